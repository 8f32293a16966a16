import json

import numpy as np
import pytest
import torch

from splatpaint.priors.crops import inpaint
from splatpaint.priors.latent import LatentInpaintingPrior
from splatpaint.priors.load import BUNDLED, PriorConfig, load_prior
from splatpaint.priors.protocol import PriorQuery
from splatpaint.priors.random_holes import random_holes

MEGABYTE = 1e6


@pytest.fixture(scope="module")
def prior() -> LatentInpaintingPrior:
    return load_prior(PriorConfig(), torch.device("cpu"))


def paint(prior: LatentInpaintingPrior, images: torch.Tensor, *, strength: float = 1.0, steps: int = 4) -> torch.Tensor:
    """The pictures painted in random holes, which hide what they cover."""
    holes = random_holes(len(images), *images.shape[2:], np.random.default_rng(0))
    query = PriorQuery(torch.where(holes > 0, torch.nan, images).nan_to_num(0.5), holes)
    return inpaint(prior, query, strength=strength, steps=steps, generator=torch.Generator().manual_seed(0))


def test_it_is_small_enough_to_ship():
    size = sum(path.stat().st_size for path in BUNDLED.rglob("*") if path.is_file())
    assert size <= 40 * MEGABYTE


def test_it_says_what_it_learnt_from():
    assert "CC BY-SA" in (BUNDLED / "MODEL_CARD.md").read_text()
    assert len((BUNDLED / "ATTRIBUTION.md").read_text().splitlines()) > 10
    assert json.loads((BUNDLED / "splatpaint.json").read_text())["fill"] == "harmonic"


def test_its_schedule_ends_in_pure_noise(prior):
    assert prior.noise.alpha_bar[-1] == 0


@pytest.mark.parametrize("color", [(0.9, 0.9, 0.1), (0.1, 0.3, 0.8), (0.5, 0.5, 0.5), (0.8, 0.4, 0.2)])
def test_a_wall_of_one_color_keeps_its_color(prior, color):
    wall = torch.tensor(color)[None, :, None, None].expand(1, 3, 128, 128)
    assert (paint(prior, wall) - wall).abs().mean() < 0.01


def test_a_shaded_wall_stays_shaded(prior):
    ramp = torch.linspace(0.2, 0.8, 128)[None, None, None].expand(1, 3, 96, 128)
    assert (paint(prior, ramp) - ramp).abs().mean() < 0.01


def test_a_grained_surface_keeps_its_mean(prior):
    grain = (0.5 + 0.08 * torch.randn(4, 3, 128, 128)).clamp(0, 1)
    assert (paint(prior, grain) - grain).mean(dim=(2, 3)).abs().max() < 0.02


def test_a_gently_noised_guess_comes_back_nearly_as_it_was(prior):
    ramp = torch.linspace(0.2, 0.8, 128)[None, None, None].expand(1, 3, 128, 128)
    holes = random_holes(1, 128, 128, np.random.default_rng(0))
    painted = inpaint(prior, PriorQuery(ramp, holes), start=ramp, strength=0.2, generator=torch.Generator())
    assert (painted - ramp)[holes.expand_as(ramp) > 0].abs().mean() < 0.05


def test_it_paints_the_same_for_the_same_seed(prior):
    pictures = torch.rand(1, 3, 100, 140)
    assert torch.equal(paint(prior, pictures), paint(prior, pictures))
