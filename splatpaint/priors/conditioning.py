"""The conditioning of an inpainting denoiser: pictures with filled holes, their latents and masks, and a summary token."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from splatpaint.image.harmonic import harmonic_fill
from splatpaint.image.region import to_cells
from splatpaint.priors.canvas import PANELS, Layout, join_panels, split_panels
from splatpaint.priors.protocol import Codec

Fill = Literal["gray", "harmonic"]
"""Content of the holes in the conditioning picture: mid gray (Stable Diffusion inpainting), or the harmonic fill of the known
pixels, which gives a small network the right colors to start from."""


def fill_holes(
    images: Float[Tensor, "v 3 h w"], holes: Float[Tensor, "v 1 h w"], fill: Fill, layout: Layout = "single"
) -> Float[Tensor, "v 3 h w"]:
    """The pictures with the content of their holes replaced. Panels of a canvas are filled separately."""
    match fill:
        case "gray":
            return torch.where(holes > 0.5, 0.5, images)
        case "harmonic":
            return fill_panels(images, holes, _known_average(images, holes), layout)


def fill_panels(
    values: Float[Tensor, "v c h w"],
    holes: Float[Tensor, "v 1 h w"],
    default: Float[Tensor, "v c 1 1"],
    layout: Layout = "single",
) -> Float[Tensor, "v c h w"]:
    """The harmonic fill of each panel's holes; a panel without a known pixel is filled with the default value."""
    panels = zip(split_panels(values, layout), split_panels(holes, layout), strict=True)
    return join_panels([_fill_panel(value, hole, default) for value, hole in panels], layout)


def _fill_panel(values: Tensor, holes: Tensor, default: Tensor) -> Tensor:
    empty = (holes > 0.5).flatten(1).all(dim=1)
    filled = default.expand_as(values).clone()
    if not bool(empty.all()):
        filled[~empty] = harmonic_fill(values[~empty], holes[~empty])
    return filled


def _known_average(images: Tensor, holes: Tensor) -> Tensor:
    """The mean color of each picture's known pixels; gray if it has none."""
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
    """Latent mask, then latents of the filled pictures: the channels after the noisy latents in Stable Diffusion inpainting."""
    latents = codec.encode(fill_holes(images, holes, fill, layout))
    return torch.cat([to_cells(holes, codec.stride).to(latents), latents], dim=1)


def summary_token(channels: Float[Tensor, "v ck hl wl"], layout: Layout, width: int) -> Float[Tensor, "v 1 d"]:
    """One cross-attention token: layout (one-hot), share of hole cells, mean and standard deviation of each known channel.

    Args:
        channels: latent mask and latents of the filled pictures.
        layout: of the pictures.
        width: length of the token; the numbers are padded with zeros.

    Raises:
        ValueError: if the numbers do not fit into the token.
    """
    hole, latents = channels[:, :1], channels[:, 1:]
    known = 1 - hole
    count = known.sum(dim=(2, 3), keepdim=True).clamp_min(1)
    mean = (latents * known).sum(dim=(2, 3), keepdim=True) / count
    spread = ((latents - mean).square() * known).sum(dim=(2, 3), keepdim=True).div(count).sqrt()
    one_hot = torch.tensor([float(name == layout) for name in PANELS]).to(channels).expand(len(channels), -1)
    numbers = torch.cat([one_hot, hole.mean(dim=(2, 3)), mean[..., 0, 0], spread[..., 0, 0]], dim=1)
    if numbers.shape[1] > width:
        raise ValueError(f"the token has {numbers.shape[1]} numbers, but cross-attention is {width} wide")
    return torch.nn.functional.pad(numbers, (0, width - numbers.shape[1]))[:, None]
