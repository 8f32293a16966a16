"""What an inpainting denoiser is shown of a picture with holes."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from splatpaint.image.harmonic import harmonic_fill
from splatpaint.image.region import to_cells
from splatpaint.priors.protocol import Codec

Fill = Literal["gray", "harmonic"]
"""What stands in the holes of the picture that the denoiser is shown: mid gray (Stable Diffusion inpainting), or the membrane
over the known pixels, which starts a small network at the right colors."""


def fill_holes(images: Float[Tensor, "v 3 h w"], holes: Float[Tensor, "v 1 h w"], fill: Fill) -> Float[Tensor, "v 3 h w"]:
    """The pictures without what lies in their holes."""
    match fill:
        case "gray":
            return torch.where(holes > 0.5, 0.5, images)
        case "harmonic":
            return harmonic_fill(images, holes)


def masked_latents(
    codec: Codec, images: Float[Tensor, "v 3 h w"], holes: Float[Tensor, "v 1 h w"], fill: Fill
) -> Float[Tensor, "v ck hl wl"]:
    """Latent mask, then latents of the filled pictures: the channels that follow the noisy latents (SD inpainting's order)."""
    latents = codec.encode(fill_holes(images, holes, fill))
    return torch.cat([to_cells(holes, codec.stride).to(latents), latents], dim=1)
