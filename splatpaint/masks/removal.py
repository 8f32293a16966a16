"""What a removal leaves: the kept splats, and the holes of every view."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from splatpaint.scene.splats import Splats
from splatpaint.scene.views import Capture

NO_SHADE = 255
"""Shade of a pixel that no shadow darkens."""


@dataclass(frozen=True, eq=False)
class Hole:
    """One supervising view after the removal."""

    name: str
    occluded: Bool[Tensor, "1 1 h w"]
    """Where a mask, or the object, was: the photo says nothing about what is there now."""
    unobserved: Bool[Tensor, "1 1 h w"]
    """Where no other view saw past the object either: the hole."""
    support_removed: Bool[Tensor, "1 1 h w"]
    """Where splats went although it is known what is there, from this photo or another: masks are never exact."""
    shade: UInt8[Tensor, "1 1 h w"] | None = None
    """What the object's shadow left of the photo's sRGB values, where it is undone, in 1 / 255; None: nothing is undone."""

    def lit(self, image: Float[Tensor, "1 3 h w"]) -> Float[Tensor, "1 3 h w"]:
        """The view's photo without the shadow, sRGB in [0, 1]."""
        return image if self.shade is None else unshaded(image, self.shade).clamp(0, 1)


@dataclass(frozen=True, eq=False)
class Removal:
    """The scene without the object."""

    kept: Splats
    """A subset of the reconstruction, bit for bit but where a shadow is undone."""
    holes: tuple[Hole, ...]
    """One for every supervising view, in order."""


def unshaded(image: Float[Tensor, "1 c h w"], shade: UInt8[Tensor, "1 1 h w"]) -> Float[Tensor, "1 c h w"]:
    """The image divided by the shade; unchanged, bit for bit, where there is none."""
    return image * (NO_SHADE / shade.float())


def nothing_removed(splats: Splats, capture: Capture) -> Removal:
    """All splats kept, no hole anywhere."""
    nothing = [torch.zeros(1, 1, view.camera.height, view.camera.width, dtype=torch.bool) for view in capture.views]
    masks = [each.to(splats.means.device) for each in nothing]
    return Removal(splats, tuple(Hole(view.name, mask, mask, mask) for view, mask in zip(capture.views, masks, strict=True)))
