import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from benchmarks import textures
from benchmarks.textures import Noise
from splatpaint.image.contact_shadow import KNOTS, Darkening, darkening_around, find_contact_shadow

SIDE, HALF, FOOT = 100, 1.1, 0.25
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


def soft_shadow(strength: float = 0.5) -> Tensor:
    """Ambient light that is missing at the contact, and a lamp's shadow with a wide penumbra to one side; a factor of sRGB."""
    ambient = 0.5 * strength * torch.exp(-(AWAY - FOOT).clamp(min=0) / 0.08)
    lamp = strength * torch.sigmoid((0.33 - torch.hypot(U - 0.12, V - 0.05)) / 0.06)
    return ((1 - ambient) * (1 - lamp)) ** (1 / 2.2)


def found(picture: Tensor) -> Darkening | None:
    noise = torch.randn(picture.shape, generator=torch.Generator().manual_seed(0))
    noisy = (picture + 0.01 * noise).clamp(1 / 255, 1)
    return find_contact_shadow(noisy.clamp_min(0.03).log(), (~ON_FOOT).float(), ON_FOOT)


def decibels(picture: Tensor, truth: Tensor, where: Tensor) -> float:
    return -10 * math.log10(float((picture - truth)[:, where].square().mean()))


@pytest.mark.parametrize("name", ["wallpaper", "bricks", "planks"])
def test_a_soft_shadow_is_taken_off_and_the_texture_stays(name: str):
    truth = surface(name)
    picture = truth * soft_shadow()
    shadow = found(picture)
    assert shadow is not None
    region = (soft_shadow() < 0.97) & ~ON_FOOT
    before, after = decibels(picture, truth, region), decibels(picture * shadow.field.exp(), truth, region)
    assert after > before + 6


def test_a_shadow_ends():
    picture = surface("bricks") * soft_shadow()
    shadow = darkening_around(picture.log(), (~ON_FOOT).float(), ON_FOOT)
    assert shadow.field.max() > 0.2
    far = FOOT * (1 + KNOTS[-1]) + 2 * HALF / SIDE < AWAY
    assert shadow.field[far].max() == 0


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
    nothing = torch.zeros(SIDE, SIDE)
    assert find_contact_shadow(torch.zeros(3, SIDE, SIDE), nothing, ON_FOOT) is None
