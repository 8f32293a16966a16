"""What an inpainting denoiser is shown of a picture with holes."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from splatpaint.image.harmonic import harmonic_fill
from splatpaint.image.region import to_cells
from splatpaint.priors.canvas import PANELS, Layout, join_panels, split_panels
from splatpaint.priors.protocol import Codec

Fill = Literal["gray", "harmonic"]
"""What stands in the holes of the picture that the denoiser is shown: mid gray (Stable Diffusion inpainting), or the membrane
over the known pixels, which starts a small network at the right colors."""


def fill_holes(
    images: Float[Tensor, "v 3 h w"], holes: Float[Tensor, "v 1 h w"], fill: Fill, layout: Layout = "single"
) -> Float[Tensor, "v 3 h w"]:
    """The pictures without what lies in their holes. The membrane of a canvas does not reach from panel to panel."""
    match fill:
        case "gray":
            return torch.where(holes > 0.5, 0.5, images)
        case "harmonic":
            return membranes(images, holes, _known_average(images, holes), layout)


def membranes(
    values: Float[Tensor, "v c h w"],
    holes: Float[Tensor, "v 1 h w"],
    unknown: Float[Tensor, "v c 1 1"],
    layout: Layout = "single",
) -> Float[Tensor, "v c h w"]:
    """The membrane over each panel's holes; a panel without any known pixel is flat, of the value given for that."""
    panels = zip(split_panels(values, layout), split_panels(holes, layout), strict=True)
    return join_panels([_membrane(value, hole, unknown) for value, hole in panels], layout)


def _membrane(values: Tensor, holes: Tensor, unknown: Tensor) -> Tensor:
    empty = (holes > 0.5).flatten(1).all(dim=1)
    filled = unknown.expand_as(values).clone()
    if not bool(empty.all()):
        filled[~empty] = harmonic_fill(values[~empty], holes[~empty])
    return filled


def _known_average(images: Tensor, holes: Tensor) -> Tensor:
    """The mean color of what is known of each picture; gray where nothing is."""
    known = (holes <= 0.5).to(images)
    count = known.sum(dim=(2, 3), keepdim=True)
    return torch.where(count > 0, (images * known).sum(dim=(2, 3), keepdim=True) / count.clamp_min(1), 0.5)


def masked_latents(
    codec: Codec,
    images: Float[Tensor, "v 3 h w"],
    holes: Float[Tensor, "v 1 h w"],
    fill: Fill,
    layout: Layout = "single",
) -> Float[Tensor, "v ck hl wl"]:
    """Latent mask, then latents of the filled pictures: the channels that follow the noisy latents (SD inpainting's order)."""
    latents = codec.encode(fill_holes(images, holes, fill, layout))
    return torch.cat([to_cells(holes, codec.stride).to(latents), latents], dim=1)


def summary_token(given: Float[Tensor, "v ck hl wl"], layout: Layout, width: int) -> Float[Tensor, "v 1 d"]:
    """One cross-attention token: which layout, how much is hole, and mean and spread of each known latent channel.

    Args:
        given: latent mask and latents of the filled pictures.
        layout: how many pictures there are in one.
        width: of the token; what the numbers leave over is zero.
    """
    hole, latents = given[:, :1], given[:, 1:]
    known = 1 - hole
    count = known.sum(dim=(2, 3), keepdim=True).clamp_min(1)
    mean = (latents * known).sum(dim=(2, 3), keepdim=True) / count
    spread = ((latents - mean).square() * known).sum(dim=(2, 3), keepdim=True).div(count).sqrt()
    which = torch.tensor([float(name == layout) for name in PANELS]).to(given).expand(len(given), -1)
    numbers = torch.cat([which, hole.mean(dim=(2, 3)), mean[..., 0, 0], spread[..., 0, 0]], dim=1)
    if numbers.shape[1] > width:
        raise ValueError(f"the token has {numbers.shape[1]} numbers, but cross-attention is {width} wide")
    return torch.nn.functional.pad(numbers, (0, width - numbers.shape[1]))[:, None]
