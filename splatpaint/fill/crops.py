"""The parts of the views that a fill is trained in."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from splatpaint.fill.boundary import fill_neighborhood
from splatpaint.fill.config import FillConfig
from splatpaint.fill.views import ObservedView
from splatpaint.fit.samplers import Example, view_of_step
from splatpaint.image.region import Box, bounding_box
from splatpaint.render.protocol import Rasterizer
from splatpaint.scene.camera import Cameras
from splatpaint.scene.splats import Splats
from splatpaint.scene.views import spread

FILL_SHOWS = 0.1
"""Where the fill has a smaller accumulated opacity than this, it does not show."""


@dataclass(frozen=True, eq=False)
class TrainingCrop:
    """The part of a view around its hole."""

    view: int
    """Number of the view."""
    box: Box
    """In the view's pixels."""
    camera: Cameras
    visible_frozen: Int[Tensor, " m"]
    """Indices of the frozen splats that show in the crop."""
    hole: Bool[Tensor, "1 1 hb wb"]
    """Where no photo shows what is there."""
    supervised: Bool[Tensor, "1 1 hb wb"]
    """Where it shall look as painted or as the photo shows it; elsewhere as the kept splats show it."""
    counted: Bool[Tensor, "1 1 hb wb"]
    """False around the hole where the object hid what other views show: these teach it, not what was kept of it here."""


@dataclass(frozen=True, eq=False)
class Target:
    """What one crop shall look like in a round."""

    image: Float[Tensor, "1 3 hb wb"]
    """sRGB in [0, 1]."""
    disparity_hint: Float[Tensor, "1 1 hb wb"] | None
    """Disparity up to scale and shift that a network estimates from the image."""


@torch.no_grad()
def choose_crops(
    views: Sequence[ObservedView],
    frozen: Splats,
    fill: Splats,
    rasterizer: Rasterizer,
    config: FillConfig,
) -> list[TrainingCrop]:
    """Crops around the holes of at most `config.views` views, spread evenly over all that have one.

    Where there are holes that no mask made, photos without a hole get a crop too if the fill shows in them: they say where it
    must not be.
    """
    areas = {place: view.fill_region for place, view in enumerate(views) if view.in_fill_region.any()}
    if config.unobserved.enabled:
        for place in set(range(len(views))) - set(areas):
            fill_shows = rasterizer(fill, views[place].camera).alpha > FILL_SHOWS
            if fill_shows.any():
                areas[place] = fill_shows.float()
    crops = []
    for place in spread(sorted(areas), config.views):
        view = views[place]
        boundary_px = round(view.camera.px(config.boundary_px))
        box = bounding_box(areas[place][0], grow=config.context, least_px=boundary_px)
        assert box is not None, "the view was chosen because there is something in it"
        camera = view.camera.cropped(box.left, box.top, box.width, box.height)
        visible_frozen = torch.nonzero(rasterizer(frozen, camera).radii[0] > 0)[:, 0]
        hole, neighborhood = view.unobserved > 0, fill_neighborhood(view, config) > 0
        supervised = hole | ((view.observed > 0) & neighborhood)
        counted = ~neighborhood | supervised
        crops.append(
            TrainingCrop(place, box, camera, visible_frozen, *(box.crop(each) for each in (hole, supervised, counted)))
        )
    return crops


@dataclass(frozen=True, eq=False)
class CropSampler:
    """Asks for the crops as they were painted, in another random order every epoch."""

    crops: Sequence[TrainingCrop]
    targets: Sequence[Target]
    frozen: Splats
    first: int
    """Number of steps that were done in earlier rounds."""
    seed: int

    def __call__(self, step: int) -> Example:
        """See `Sampler`."""
        place = view_of_step(step + self.first, len(self.crops), self.seed)
        crop, target = self.crops[place], self.targets[place]
        return Example(
            crop.camera,
            target.image,
            crop.counted.float(),
            crop.hole.float(),
            frozen=self.frozen[crop.visible_frozen],
            disparity_hint=target.disparity_hint,
        )
