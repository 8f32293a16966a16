"""Finds the exposure of every photo while the splats are fitted to them.

Phones expose every photo anew. Splats that must be all of these at once take the mean, or hide the difference in their view
dependence, and a fill beside them cannot be right in any. Here a photo is compared with its rendering as it would show it: with
a gain and an offset a channel, the least squares fit to its own pixels.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from splatpaint.image.affine_color import gain_and_offset
from splatpaint.image.local_gain import local_gain
from splatpaint.render.protocol import Rasterizer, Rendered
from splatpaint.scene.exposure import Exposure, exposure_of
from splatpaint.scene.photos import Photo
from splatpaint.scene.splats import Splats

FOLLOW = 0.5
"""Whenever a photo is looked at, its exposure goes so much of the way to the one that fits best."""
ABOUT_BLACK = 0.3
"""How much the fit prefers a mere gain to a gain with an offset (see `gain_and_offset`)."""
MIN_ALPHA = 0.5
"""Where the splats are fainter, they say nothing about color."""
CLIPPED = 0.98
"""A photo's channel above this may have been anything."""


class Exposures:
    """One exposure a photo, found as the fit goes on.

    Their mean is no exposure at all: the scene is as bright as the photos are on average.
    """

    def __init__(self, photos: int, device: torch.device) -> None:
        self.gains = torch.ones(photos, 3, device=device)
        self.offsets = torch.zeros(photos, 3, device=device)

    def shown(self, scene: Float[Tensor, "1 3 h w"], photo: int) -> Float[Tensor, "1 3 h w"]:
        """The scene as the photo of that number would show it."""
        gain = self.gains[photo] / self.gains.log().mean(dim=0).exp()
        offset = self.offsets[photo] - self.offsets.mean(dim=0)
        return scene * gain[:, None, None] + offset[:, None, None]

    @torch.no_grad()
    def observe(
        self, rendered: Rendered, photo: int, image: Float[Tensor, "1 3 h w"], usable: Float[Tensor, "1 1 h w"]
    ) -> None:
        """Follows what a rendering and its photo say."""
        gain, offset = fitted(rendered, image, usable)
        self.gains[photo] = torch.lerp(self.gains[photo], gain, FOLLOW)
        self.offsets[photo] = torch.lerp(self.offsets[photo], offset, FOLLOW)

    def state(self) -> dict[str, Any]:
        """All that `restore` needs to continue exactly here."""
        return {"gains": self.gains, "offsets": self.offsets}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continues from what `state` returned."""
        self.gains, self.offsets = state["gains"].clone(), state["offsets"].clone()


@torch.no_grad()
def exposures_of(splats: Splats, photos: Iterable[Photo], rasterizer: Rasterizer) -> dict[str, Exposure]:
    """The exposure with which each photo shows the splats, its local tone included, by the photo's name."""
    return {photo.name: exposure_as_shown(rasterizer(splats, photo.camera), photo) for photo in photos}


@torch.no_grad()
def exposure_as_shown(rendered: Rendered, photo: Photo) -> Exposure:
    """The exposure that brings a rendering closest to its photo."""
    exposure = exposure_of(*fitted(rendered, photo.image, photo.usable))
    exposed = exposure.apply(rendered.color).clamp(0, 1)
    gain = local_gain(exposed, photo.image, telling(rendered, photo.image, photo.usable))
    rounded = (tuple(tuple(round(value, 4) for value in row) for row in channel) for channel in gain[0].tolist())
    return replace(exposure, local=tuple(rounded))


def fitted(
    rendered: Rendered, image: Float[Tensor, "1 3 h w"], usable: Float[Tensor, "1 1 h w"]
) -> tuple[Float[Tensor, " 3"], Float[Tensor, " 3"]]:
    """Gain and offset that bring a rendering closest to its photo, over the pixels that tell them."""
    weight = telling(rendered, image, usable)
    gain, offset = gain_and_offset(rendered.color, image, weight, about_black=ABOUT_BLACK)
    possible = gain > 0
    return torch.where(possible, gain, 1.0), torch.where(possible, offset, 0.0)


def telling(rendered: Rendered, image: Float[Tensor, "1 3 h w"], usable: Float[Tensor, "1 1 h w"]) -> Float[Tensor, "1 3 h w"]:
    """1 where a photo is usable, its rendering opaque, and the channel not clipped."""
    return usable * ((rendered.alpha >= MIN_ALPHA) & (image <= CLIPPED))
