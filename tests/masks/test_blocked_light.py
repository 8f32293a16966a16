import math

import pytest
import torch
from torch import Tensor

from splatpaint.masks.blocked_light import LOWEST_LIGHT, blocked_light
from splatpaint.masks.support import Support
from splatpaint.scene.splats import Splats, concatenate
from tests.support.walls import flat

SIDE, HALF = 64, 2.0
"""Cells, and world units."""
RADIUS, HEIGHT = 0.3, 0.6
"""Of a cylinder that stands on z = 0."""
STANDS = Support(torch.zeros(3), torch.eye(3), 0.5)


def cylinder() -> Splats:
    """Its side and its top."""
    draws = torch.Generator().manual_seed(0)
    angle, share = 2 * math.pi * torch.rand(3000, generator=draws), torch.rand(3000, generator=draws)
    ring = torch.stack([angle.cos(), angle.sin()], dim=1)
    side = torch.cat([RADIUS * ring, HEIGHT * share[:, None]], dim=1)
    top = torch.cat([RADIUS * share.sqrt()[:, None] * ring, torch.full((3000, 1), HEIGHT)], dim=1)
    return flat(torch.cat([side, top]), torch.full((6000, 3), 0.5), 0.02)


def from_middle() -> Tensor:
    line = ((torch.arange(SIDE) + 0.5) / SIDE * 2 - 1) * HALF
    return torch.hypot(line[:, None], line[None])


@pytest.fixture(scope="module")
def blocked() -> Tensor:
    return blocked_light(cylinder(), STANDS, HALF, SIDE)


def test_no_light_arrives_below_the_object(blocked: Tensor):
    assert blocked[:, from_middle() < 0.6 * RADIUS].min() > 0.8
    assert blocked.min() >= 0
    assert blocked.max() <= 1


def test_shadows_are_no_longer_than_the_lowest_light_throws_them(blocked: Tensor):
    longest = HEIGHT * LOWEST_LIGHT / math.sqrt(1 - LOWEST_LIGHT**2)
    assert blocked[:, from_middle() > RADIUS + longest + 0.2].max() < 0.05
    assert blocked[:, from_middle() > RADIUS + 0.7 * longest].max() > 0.5


def test_half_of_the_sky_is_missing_right_beside_a_high_wall():
    """A wall along v, ten times as high as the point is away from it, at least."""
    y, z = (part.reshape(-1) for part in torch.meshgrid(torch.linspace(-3, 3, 200), torch.linspace(0, 3, 100), indexing="ij"))
    wall = flat(torch.stack([torch.zeros_like(y), y, z], dim=1), torch.full((len(y), 3), 0.5), 0.03)
    beside = blocked_light(wall, STANDS, 4.0, SIDE)[:, SIDE // 2, SIDE // 2 + 2].mean()
    assert 0.35 < beside < 0.55


def test_what_went_of_the_plane_itself_throws_no_shadow(blocked: Tensor):
    line = torch.linspace(-1, 1, 40)
    y, x = (part.reshape(-1) for part in torch.meshgrid(line, line, indexing="ij"))
    floor = flat(torch.stack([x, y, torch.zeros_like(x)], dim=1), torch.full((len(x), 3), 0.5), 0.005)
    torch.testing.assert_close(
        blocked_light(concatenate([cylinder(), floor]), STANDS, HALF, SIDE).mean(dim=0), blocked.mean(dim=0), atol=0.08, rtol=0
    )
