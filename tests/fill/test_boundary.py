from dataclasses import replace

import torch
from torch.nn import functional as F

from splatpaint.fill.boundary import fill_neighborhood
from splatpaint.fill.config import FillConfig
from splatpaint.fill.crops import choose_crops
from splatpaint.fill.views import ObservedView
from splatpaint.image.region import erode
from splatpaint.render.native import rasterize
from splatpaint.scene.camera import Cameras
from tests.support.scenes import splat_at


def holed_view(scale: int) -> ObservedView:
    """A view of 480 x 270 px, or so many times larger, with a hole in its middle."""
    width, height = 480 * scale, 270 * scale
    K = torch.tensor([[[400.0 * scale, 0.0, width / 2], [0.0, 400.0 * scale, height / 2], [0.0, 0.0, 1.0]]])
    hole = torch.zeros(1, 1, height, width)
    hole[..., 100 * scale : 160 * scale, 200 * scale : 280 * scale] = 1
    return ObservedView.of(
        Cameras(K, torch.eye(4)[None], width, height),
        torch.full((1, 3, height, width), 0.5),
        depth=torch.ones_like(hole),
        alpha=1 - hole,
        observed=1 - hole,
        unobserved=hole,
        support_removed=torch.zeros_like(hole),
    )


def test_a_fill_at_960_px_has_the_neighborhood_and_the_crops_of_one_at_480():
    small, large = holed_view(1), holed_view(2)
    near, far = (fill_neighborhood(view, FillConfig()) for view in (small, large))
    enlarged = F.interpolate(near, scale_factor=2)
    assert ((enlarged != far).float().mean()) < 0.01, "but for the outline's pixels"
    assert torch.equal(erode(enlarged, 3) * far, erode(enlarged, 3))
    splats, config = splat_at((0.0, 0.0, 1.0)), replace(FillConfig(), context=0.0)
    (one,), (other,) = (choose_crops([view], splats, splats[:0], rasterize, config) for view in (small, large))
    assert [2 * extent for extent in (one.box.left, one.box.top, one.box.right, one.box.bottom)] == [
        other.box.left, other.box.top, other.box.right, other.box.bottom
    ]  # fmt: skip
