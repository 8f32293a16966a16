import pytest
import torch

from splatpaint.priors.discriminator import PatchDiscriminator, discriminator_loss, generator_loss


def discriminator() -> PatchDiscriminator:
    return PatchDiscriminator(8, spectral=True)


def test_a_discriminator_learns_and_its_loss_prefers_sharp_pictures():
    torch.manual_seed(0)
    network = discriminator()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    real = (torch.rand(4, 3, 32, 32) > 0.5).float()  # sharp
    fake = torch.full_like(real, 0.5)  # their mean
    before = discriminator_loss(network, real, fake)
    for _ in range(60):
        optimizer.zero_grad()
        discriminator_loss(network, real, fake).backward()
        optimizer.step()
    assert discriminator_loss(network, real, fake) < 0.5 * before
    assert generator_loss(network, real) < generator_loss(network, fake)


def test_only_the_generator_loss_has_a_gradient_by_generated_pictures():
    network, fake = discriminator(), torch.rand(1, 3, 32, 32, requires_grad=True)
    discriminator_loss(network, torch.rand(1, 3, 32, 32), fake).backward()
    assert fake.grad is None
    generator_loss(network, fake).backward()
    assert fake.grad is not None
    assert fake.grad.abs().sum() > 0


@pytest.mark.parametrize("spectral", [True, False])
def test_there_is_a_score_for_each_eight_pixels_and_three_layers_of_activations(spectral: bool):
    scores, activations = PatchDiscriminator(8, spectral=spectral)(torch.rand(1, 3, 64, 32))
    assert scores.shape == (1, 1, 8, 4)
    assert [layer.shape[1:] for layer in activations] == [(8, 32, 16), (16, 16, 8), (32, 8, 4)]


def test_with_a_mask_only_pixels_near_it_count():
    network, fake, mask = discriminator().eval(), torch.rand(1, 3, 64, 64, requires_grad=True), torch.zeros(1, 1, 64, 64)
    mask[..., :8, :8] = 1
    generator_loss(network, fake, mask).backward()
    assert fake.grad is not None
    assert fake.grad[..., :8, :8].abs().sum() > 0
    assert (fake.grad[..., 40:, 40:] == 0).all()
    real = torch.rand(1, 3, 64, 64)
    changed_far_away = real.clone()
    changed_far_away[..., 40:, 40:] = 0
    assert discriminator_loss(network, real, fake, mask) == discriminator_loss(network, changed_far_away, fake, mask)
