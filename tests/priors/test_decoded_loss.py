from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from splatpaint.image import perceptual
from splatpaint.image.perceptual import Lpips
from splatpaint.priors.decoded_loss import CodecMetric, PerceptualMetric, decode_estimate, decoded_loss
from splatpaint.priors.protocol import PriorQuery
from splatpaint.priors.sampling import decode_change


def loss_of(metric: PerceptualMetric, latents: torch.Tensor, images: torch.Tensor, holes: torch.Tensor) -> torch.Tensor:
    return decoded_loss(metric, decode_estimate(Mosaic(), latents, images, holes, "single"), images, holes)


class Mosaic:
    """Means of 8 x 8 pixels, seen too bright when decoded."""

    stride, channels = 8, 3

    def encode(self, images):
        return F.avg_pool2d(images, 8)

    def decode(self, latents):
        return F.interpolate(latents, scale_factor=8.0) + 0.1

    def features(self, images):
        return [images]


def wall() -> tuple[torch.Tensor, torch.Tensor]:
    """A slope of gray with a hole of one cell in its middle."""
    images = torch.linspace(0, 1, 40).expand(1, 3, 40, 40).clone()
    holes = torch.zeros(1, 1, 40, 40)
    holes[..., 16:24, 16:24] = 1
    return images, holes


def test_a_change_of_what_is_known_is_an_error_and_taken_off():
    images, holes = wall()
    everywhere_brighter = Mosaic().encode(images) + 0.2
    restored = decode_change(Mosaic(), everywhere_brighter, images, PriorQuery(images, holes))
    torch.testing.assert_close(restored, images, rtol=0, atol=1e-3)


def test_a_change_within_the_hole_stays():
    images, holes = wall()
    latents = Mosaic().encode(images)
    latents[..., 2, 2] += 0.2
    restored = decode_change(Mosaic(), latents, images, PriorQuery(images, holes))
    torch.testing.assert_close(restored, images + 0.2 * holes, rtol=0, atol=1e-6)


def test_pictures_of_which_nothing_is_known_change_as_decoded():
    images = torch.rand(1, 3, 40, 40)
    restored = decode_change(Mosaic(), Mosaic().encode(images) + 0.2, images, PriorQuery(images, torch.ones(1, 1, 40, 40)))
    torch.testing.assert_close(restored, images + 0.2, rtol=0, atol=1e-6)


@pytest.fixture
def lpips(tmp_path: Path) -> Lpips:
    torch.manual_seed(0)
    path = tmp_path / perceptual.FILE_NAMES["alex"][0]
    torch.save({f"features.{name}": value for name, value in perceptual._alexnet().state_dict().items()}, path)
    return Lpips(weights=path)


def test_the_loss_is_zero_for_what_the_picture_shows_and_grows_with_the_error(lpips: Lpips):
    images = torch.full((1, 3, 64, 64), 0.5)
    holes = torch.zeros(1, 1, 64, 64)
    holes[..., 24:40, 24:40] = 1
    truth = Mosaic().encode(images)
    wrong = torch.zeros_like(truth)
    wrong[..., 3:5, 3:5] = torch.tensor([0.3, -0.3])
    losses = [loss_of(lpips, truth + size * wrong, images, holes).item() for size in (0.0, 0.5, 1.0)]
    assert losses[0] == pytest.approx(0.0, abs=1e-6)
    assert losses[0] < losses[1] < losses[2]


def test_only_latents_that_reach_a_hole_are_taught(lpips: Lpips):
    images, holes = wall()
    images = F.interpolate(images, (80, 80))
    holes = F.interpolate(holes, (80, 80))
    latents = (Mosaic().encode(images) + 0.1 * torch.rand(1, 3, 10, 10)).requires_grad_()
    loss_of(lpips, latents, images, holes).backward()
    assert latents.grad is not None
    reached = latents.grad.abs().sum(dim=(0, 1)) > 0
    assert reached[4:6, 4:6].all()
    assert reached.sum() == 4


def test_the_distance_in_a_codecs_features_is_lpips_formula():
    """Of one layer, the pictures: unit vectors at right angles are at distance two, everywhere equal ones at none."""
    red, blue = torch.zeros(1, 3, 16, 16), torch.zeros(1, 3, 16, 16)
    red[:, 0], blue[:, 2] = 0.5, 1.0
    blue[..., :8] = 0.25 * red[..., :8]
    found = CodecMetric(Mosaic()).map(red, blue)
    assert found.shape == (1, 1, 16, 16)
    torch.testing.assert_close(found[..., 8:], torch.full((1, 1, 16, 8), 2.0))
    torch.testing.assert_close(found[..., :8], torch.zeros(1, 1, 16, 8))


def test_small_holes_count_as_much_as_large_ones():
    images = torch.full((2, 3, 64, 64), 0.5)
    holes = torch.zeros(2, 1, 64, 64)
    holes[0, :, :8, :8] = 1
    holes[1, :, :, 8:] = 1
    truth = Mosaic().encode(images)

    def loss(of: int) -> float:
        wrong = truth.clone()
        wrong[of] = torch.where(F.max_pool2d(holes[of], 8) > 0, torch.tensor([0.9, 0.5, 0.1])[:, None, None], truth[of])
        return loss_of(CodecMetric(Mosaic()), wrong, images, holes).item()

    assert loss(0) > 0
    assert loss(0) == pytest.approx(loss(1), rel=0.2)
