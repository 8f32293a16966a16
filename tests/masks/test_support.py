import torch

from splatpaint.masks.holes import RemovalView
from splatpaint.masks.support import find_support
from splatpaint.render.native import rasterize
from splatpaint.scene.splats import Splats, concatenate
from tests.support.scenes import orbit
from tests.support.walls import flat

UP = torch.tensor([0.0, -1.0, 0.0])
"""Cameras of `orbit` have y down."""


def ground(height: float = 0.0) -> Splats:
    side = torch.linspace(-1.5, 1.5, 61)
    z, x = (part.reshape(-1) for part in torch.meshgrid(side, side, indexing="ij"))
    return flat(torch.stack([x, torch.full_like(x, height), z], dim=1), torch.full((len(x), 3), 0.5), 0.03)


def block(lift: float = 0.0) -> Splats:
    generator = torch.Generator().manual_seed(0)
    points = (torch.rand(300, 3, generator=generator) - 0.5) * torch.tensor([0.5, 0.6, 0.5])
    return flat(points - torch.tensor([0.0, 0.3 + lift, 0.0]), torch.full((300, 3), 0.2), 0.03)


def views_of(around: Splats, removed: Splats) -> list[RemovalView]:
    """What six cameras above the ground see; they look at it from all around."""
    result = []
    for camera in (orbit(6, 64, 48, distance=3.0, focal=60.0)[index] for index in range(6)):
        scene = concatenate([around, removed])
        is_removed = torch.cat([torch.zeros(len(around), 1), torch.ones(len(removed), 1)])
        occluded = rasterize(scene, camera, features=is_removed).color > 0.1
        full, left = rasterize(scene, camera), rasterize(around, camera)
        everywhere = torch.ones_like(occluded)
        result.append(RemovalView(camera, occluded, occluded, everywhere, full.depth, left.depth, left.alpha, ~everywhere))
    return result


def test_a_block_stands_on_the_ground():
    support = find_support(block(), views_of(ground(), block()))
    assert support is not None
    assert support.axes[2] @ UP > 0.98
    assert support.origin.abs().max() < 0.17  # a pixel is so long on the ground
    assert 0.25 < support.radius < 0.55  # half its sides are 0.25, 0.3 and 0.25
    torch.testing.assert_close(support.axes @ support.axes.T, torch.eye(3), atol=1e-5, rtol=0)


def test_a_block_in_the_air_stands_on_nothing():
    hanging = block(lift=0.6)
    assert find_support(hanging, views_of(ground(), hanging)) is None


def test_splats_that_went_with_a_block_from_afar_do_not_matter():
    far = flat(torch.tensor([[3.0, -1.0, 2.0], [-4.0, -0.2, 5.0]]).repeat(40, 1), torch.full((80, 3), 0.2), 0.03)
    views = views_of(ground(), block())
    alone, with_far = find_support(block(), views), find_support(concatenate([block(), far]), views)
    assert alone is not None
    assert with_far is not None
    assert with_far.axes[2] @ UP > 0.98
    assert abs(with_far.radius / alone.radius - 1) < 0.3


def test_too_few_splats_are_no_object():
    assert find_support(block()[:5], views_of(ground(), block())) is None
