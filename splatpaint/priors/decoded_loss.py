"""How a denoiser's estimate looks: a perceptual distance of the pictures it makes of the holes.

Squared error of latents asks for the mean of all fills, which is blurred; features of pictures also ask that it look like a
photo. The estimate is decoded as samples are, as a change of the filled picture.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from splatpaint.image.perceptual import Lpips
from splatpaint.priors.canvas import Layout
from splatpaint.priors.conditioning import fill_holes
from splatpaint.priors.protocol import Codec, PriorQuery
from splatpaint.priors.sampling import decode_change


def decoded_loss(
    lpips: Lpips,
    codec: Codec,
    estimate: Float[Tensor, "v c hl wl"],
    images: Float[Tensor, "v 3 h w"],
    holes: Float[Tensor, "v 1 h w"],
    layout: Layout,
) -> Tensor:
    """LPIPS around the holes' pixels between the pictures and those whose holes the estimate paints; mean over all of them.

    Args:
        lpips: the distance.
        codec: of the latents.
        estimate: clean latents, in the holes the denoiser's.
        images: the truth.
        holes: 1 = painted.
        layout: of the pictures.
    """
    query = PriorQuery(images, holes, layout=layout)
    painted = decode_change(codec, estimate, fill_holes(images, holes, "harmonic", layout), query)
    return (lpips.map(torch.where(holes > 0.5, painted, images), images) * holes).sum() / holes.sum().clamp_min(1)
