import torch

from splatpaint.priors.critic import PatchCritic, fooled, told_apart


def test_a_critic_learns_to_tell_and_its_verdict_leads_what_is_made_towards_the_real():
    torch.manual_seed(0)
    critic = PatchCritic(8)
    optimizer = torch.optim.Adam(critic.parameters(), lr=1e-2)
    real = (torch.rand(4, 3, 32, 32) > 0.5).float()  # sharp
    made = torch.full_like(real, 0.5)  # the mean of all that is sharp
    before = told_apart(critic, real, made)
    for _ in range(60):
        optimizer.zero_grad()
        told_apart(critic, real, made).backward()
        optimizer.step()
    assert told_apart(critic, real, made) < 0.5 * before
    assert fooled(critic, real) < fooled(critic, made)


def test_what_was_made_learns_nothing_from_the_critics_own_loss():
    critic, made = PatchCritic(8), torch.rand(1, 3, 32, 32, requires_grad=True)
    told_apart(critic, torch.rand(1, 3, 32, 32), made).backward()
    assert made.grad is None
    fooled(critic, made).backward()
    assert made.grad is not None
    assert made.grad.abs().sum() > 0


def test_there_is_a_verdict_every_eight_pixels():
    assert PatchCritic(8)(torch.rand(1, 3, 64, 32)).shape == (1, 1, 8, 4)


def test_where_a_place_is_given_only_what_lies_near_it_is_judged():
    critic, made, where = PatchCritic(8).eval(), torch.rand(1, 3, 64, 64, requires_grad=True), torch.zeros(1, 1, 64, 64)
    where[..., :8, :8] = 1
    fooled(critic, made, where).backward()
    assert made.grad is not None
    assert made.grad[..., :8, :8].abs().sum() > 0
    assert (made.grad[..., 40:, 40:] == 0).all()
    real = torch.rand(1, 3, 64, 64)
    elsewhere = real.clone()
    elsewhere[..., 40:, 40:] = 0
    assert told_apart(critic, real, made, where) == told_apart(critic, elsewhere, made, where)
