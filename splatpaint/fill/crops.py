"""The parts of the views that a fill is trained in."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from splatpaint.fill.boundary import near
from splatpaint.fill.config import InpaintConfig
from splatpaint.fill.views import ObservedView
from splatpaint.image.region import Box, bounding_box
from splatpaint.render.protocol import Rasterizer
from splatpaint.scene.camera import Cameras
from splatpaint.scene.splats import Splats
from splatpaint.scene.views import spread

MIN_ALPHA = 0.1
"""Where the fill is fainter than this, it does not show."""


@dataclass(frozen=True, eq=False)
class Window:
    """The part of a view around its hole that is trained."""

    view: int
    box: Box
    camera: Cameras
    behind: Int[Tensor, " m"]
    """Indices of the frozen splats that show in the window."""
    bare: Float[Tensor, "1 3 hb wb"]
    """What the kept splats show there."""
    hole: Float[Tensor, "1 1 hb wb"]
    """1 where nobody saw what is there."""
    taught: Float[Tensor, "1 1 hb wb"]
    """1 where it shall look as painted or as the photo shows it, 0 where as it was."""
    weight: Float[Tensor, "1 1 hb wb"]
    """0 around the hole where the object hid what other views show: they say how it shall look, not what was kept of it."""


@torch.no_grad()
def choose_crops(
    views: Sequence[ObservedView],
    kept: Splats,
    frozen: Splats,
    fill: Splats,
    rasterizer: Rasterizer,
    config: InpaintConfig,
) -> list[Window]:
    """Windows around the holes of views spread evenly over all that have one.

    Where holes are not of photos alone, photos without one get a window too if the fill shows in them: they say where it shall
    not be.
    """
    areas = {place: view.open for place, view in enumerate(views) if view.open.any()}
    if config.unseen.asked:
        for place in set(range(len(views))) - set(areas):
            shown = (rasterizer(fill, views[place].camera).alpha > MIN_ALPHA).to(views[place].open)
            if shown.any():
                areas[place] = shown
    windows = []
    for place in spread(sorted(areas), config.views):
        view = views[place]
        box = bounding_box(areas[place][0], grow=config.context, least_px=config.boundary_px)
        assert box is not None, "the view was chosen because there is something in it"
        camera = view.camera.cropped(box.left, box.top, box.width, box.height)
        behind = torch.nonzero(rasterizer(frozen, camera).radii[0] > 0)[:, 0]
        bare = rasterizer(kept, camera).color.clamp(0, 1)
        around = near(view, config)
        taught = torch.maximum(view.hole, view.seen * around)
        weight = 1 - around * (1 - taught)
        windows.append(Window(place, box, camera, behind, bare, *(box.crop(each) for each in (view.hole, taught, weight))))
    return windows
