import torch

from splatpaint.priors.cloning import poisson_clone
from splatpaint.priors.protocol import Reference


def wall() -> tuple[torch.Tensor, torch.Tensor]:
    """Stripes, and a hole in their middle."""
    images = (torch.arange(32) % 8 < 4).float().mul(0.4).add(0.2).expand(1, 3, 32, 32).clone()
    holes = torch.zeros(1, 1, 32, 32)
    holes[..., 10:22, 9:23] = 1
    return images, holes


def test_what_a_darker_reference_shows_is_set_in_without_a_seam():
    images, holes = wall()
    unknown = torch.zeros_like(holes)
    assert torch.allclose(poisson_clone(images * (1 - holes), holes, Reference(images - 0.15, unknown)), images, atol=1e-3)


def test_known_pixels_stay_bit_identical():
    images, holes = wall()
    found = poisson_clone(images, holes, Reference(torch.rand_like(images), torch.zeros_like(holes)))
    known = (holes == 0).expand_as(images)
    assert torch.equal(found[known], images[known])
    assert not torch.equal(found, images)


def test_where_the_reference_says_nothing_the_rest_is_continued():
    images, holes = wall()
    unknown = torch.zeros_like(holes)
    unknown[..., 10:16, 9:23] = 1
    reference = torch.where(unknown > 0, 7.0, images)
    found = poisson_clone(images, holes, Reference(reference, unknown))
    torch.testing.assert_close(found[..., 16:22, 9:23], images[..., 16:22, 9:23], atol=1e-3, rtol=0)
    assert found.max() <= 0.6 + 1e-3
    assert found.min() >= 0.2 - 1e-3


def test_a_reference_that_shares_nothing_known_is_taken_as_it_is():
    images = torch.full((1, 3, 8, 8), 0.9)
    holes = torch.ones(1, 1, 8, 8)
    shown = torch.rand(1, 3, 8, 8)
    assert torch.equal(poisson_clone(images, holes, Reference(shown, torch.zeros_like(holes))), shown)
