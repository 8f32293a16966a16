import torch

from splatpaint.priors.critic import PatchCritic, discriminator_loss, generator_loss


def test_a_critic_learns_to_tell_and_its_verdict_leads_what_is_made_towards_the_real():
    torch.manual_seed(0)
    critic = PatchCritic(8)
    optimizer = torch.optim.Adam(critic.parameters(), lr=1e-2)
    real = (torch.rand(4, 3, 32, 32) > 0.5).float()  # sharp
    made = torch.full_like(real, 0.5)  # the mean of all that is sharp
    before = discriminator_loss(critic, real, made)
    for _ in range(60):
        optimizer.zero_grad()
        discriminator_loss(critic, real, made).backward()
        optimizer.step()
    assert discriminator_loss(critic, real, made) < 0.5 * before
    assert generator_loss(critic, real) < generator_loss(critic, made)


def test_what_was_made_learns_nothing_from_the_critics_own_loss():
    critic, made = PatchCritic(8), torch.rand(1, 3, 32, 32, requires_grad=True)
    discriminator_loss(critic, torch.rand(1, 3, 32, 32), made).backward()
    assert made.grad is None
    generator_loss(critic, made).backward()
    assert made.grad is not None
    assert made.grad.abs().sum() > 0


def test_there_is_a_verdict_every_eight_pixels():
    assert PatchCritic(8)(torch.rand(1, 3, 64, 32)).shape == (1, 1, 8, 4)


def test_where_a_place_is_given_only_what_lies_near_it_is_judged():
    critic, made, where = PatchCritic(8).eval(), torch.rand(1, 3, 64, 64, requires_grad=True), torch.zeros(1, 1, 64, 64)
    where[..., :8, :8] = 1
    generator_loss(critic, made, where).backward()
    assert made.grad is not None
    assert made.grad[..., :8, :8].abs().sum() > 0
    assert (made.grad[..., 40:, 40:] == 0).all()
    real = torch.rand(1, 3, 64, 64)
    elsewhere = real.clone()
    elsewhere[..., 40:, 40:] = 0
    assert discriminator_loss(critic, real, made, where) == discriminator_loss(critic, elsewhere, made, where)
