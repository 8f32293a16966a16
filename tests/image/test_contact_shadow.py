import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from benchmarks import textures
from benchmarks.textures import Noise
from splatpaint.image.contact_shadow import find_shadow_field
from tests.support.cylinder_shade import blocked_by_cylinder, cylinder_shade

SIDE, HALF, FOOT, HEIGHT = 100, 1.1, 0.25, 0.4
"""Cells, and meters."""


def places(side: int) -> tuple[Tensor, Tensor]:
    line = ((torch.arange(side) + 0.5) / side * 2 - 1) * HALF
    v, u = torch.meshgrid(line, line, indexing="ij")
    return u, v


def surface(name: str) -> Tensor:
    """A texture, (3, s, s), from three samples a cell along each axis."""
    u, v = (each.reshape(-1) for each in places(3 * SIDE))
    paints = {"wallpaper": textures.wallpaper, "bricks": textures.bricks, "planks": textures.planks}
    return avg_pool2d(paints[name](u, v, Noise(0)).T.reshape(3, 3 * SIDE, 3 * SIDE), 3)


U, V = places(SIDE)
AWAY = torch.hypot(U, V)
ON_FOOT = AWAY < FOOT


SHADE = cylinder_shade(U, V, radius=FOOT, height=HEIGHT)
BLOCKED = blocked_by_cylinder(U, V, radius=FOOT, height=HEIGHT, directions=48)
"""From other directions than the shade is made of."""


def found(picture: Tensor, known: Tensor | None = None) -> Tensor | None:
    noise = torch.randn(picture.shape, generator=torch.Generator().manual_seed(0))
    noisy = (picture + 0.01 * noise).clamp(1 / 255, 1)
    known = (~ON_FOOT).float() if known is None else known
    return find_shadow_field(noisy.clamp_min(0.03).log(), known, BLOCKED)


def decibels(picture: Tensor, truth: Tensor, where: Tensor) -> float:
    return -10 * math.log10(float((picture - truth)[:, where].square().mean()))


@pytest.mark.parametrize("name", ["wallpaper", "bricks", "planks"])
def test_a_soft_shadow_is_taken_off_and_the_texture_stays(name: str):
    truth = surface(name)
    picture = truth * SHADE
    shadow = found(picture)
    assert shadow is not None
    region = (SHADE < 0.97) & ~ON_FOOT
    before, after = decibels(picture, truth, region), decibels(picture * shadow.exp(), truth, region)
    assert after > before + 6


def test_a_shadow_ends():
    shadow = found(surface("bricks") * SHADE)
    assert shadow is not None
    assert shadow.max() > 0.2
    assert shadow[BLOCKED.amax(dim=0) == 0].max() == 0


@pytest.mark.parametrize("name", ["wallpaper", "bricks"])
def test_texture_without_a_shadow_is_left_alone(name: str):
    assert found(surface(name)) is None


def test_a_dark_tile_around_the_foot_is_no_shadow():
    tile = (U.abs() < 0.4) & (V.abs() < 0.4)
    assert found(torch.where(tile, 0.5 * surface("wallpaper"), surface("wallpaper"))) is None


def test_a_dark_tile_beside_the_foot_is_no_shadow():
    tile = ((U - 0.4).abs() < 0.15) & (V.abs() < 0.2)
    assert found(torch.where(tile, 0.5 * surface("wallpaper"), surface("wallpaper"))) is None


def test_a_brown_stain_is_no_shadow_however_soft():
    share = torch.sigmoid((0.45 - torch.hypot(U - 0.1, V)) / 0.06)
    coffee = torch.tensor([0.2, 0.45, 0.65])[:, None, None]
    assert found(surface("bricks") * (1 - share * coffee)) is None


def test_what_is_darkest_away_from_the_foot_is_no_shadow():
    spot = 1 - 0.4 * torch.exp(-((AWAY - 0.6) / 0.08).square())
    assert found(surface("wallpaper") * spot) is None


def test_nothing_known_around_the_foot_is_no_shadow():
    assert found(surface("bricks") * SHADE, known=torch.zeros(SIDE, SIDE)) is None


def test_no_object_throws_no_shadow():
    picture = (surface("bricks") * SHADE).log()
    assert find_shadow_field(picture, torch.ones(SIDE, SIDE), torch.zeros(8, SIDE, SIDE)) is None
