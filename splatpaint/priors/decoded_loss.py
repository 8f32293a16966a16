"""How a denoiser's estimate looks: a perceptual distance of the pictures it makes of the holes.

Squared error of latents asks for the mean of all fills, which is blurred; features of pictures also ask that it look like a
photo. The estimate is decoded as samples are, as a change of the filled picture.
"""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from splatpaint.image.feature_distance import cosine_feature_distance
from splatpaint.priors.canvas import Layout
from splatpaint.priors.conditioning import fill_holes
from splatpaint.priors.protocol import Codec, PriorQuery
from splatpaint.priors.sampling import decode_change


@runtime_checkable
class Distance(Protocol):
    """How differently two pictures look around every pixel; `Lpips` is one."""

    def map(self, x: Float[Tensor, "v 3 h w"], y: Float[Tensor, "v 3 h w"], /) -> Float[Tensor, "v 1 h w"]:
        """Differentiable in the first."""
        ...


def feature_distances(a: Sequence[Float[Tensor, "v _ _ _"]], b: Sequence[Float[Tensor, "v _ _ _"]]) -> list[Tensor]:
    """Squared distances of unit feature vectors: a (v, 1, h_l, w_l) map a layer. Differentiable in the first."""
    pairs = zip(a, b, strict=True)
    return [cosine_feature_distance(x.float(), F.normalize(y.float(), dim=1)) for x, y in pairs]


class CodecDistance:
    """LPIPS's formula on the features of a codec's own encoder: it needs no further weights, and knows a little less."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec

    def map(self, x: Float[Tensor, "v 3 h w"], y: Float[Tensor, "v 3 h w"], /) -> Float[Tensor, "v 1 h w"]:
        """Squared distances of unit feature vectors, each layer stretched to the pictures' size, averaged over layers."""
        with torch.no_grad():
            wanted = self._codec.features(y)
        layers = feature_distances(self._codec.features(x), wanted)
        return torch.stack([F.interpolate(layer, x.shape[2:], mode="bilinear") for layer in layers]).mean(dim=0)


def painted_pictures(
    codec: Codec,
    estimate: Float[Tensor, "v c hl wl"],
    images: Float[Tensor, "v 3 h w"],
    holes: Float[Tensor, "v 1 h w"],
    layout: Layout,
) -> Float[Tensor, "v 3 h w"]:
    """The pictures, with their holes as the estimate paints them.

    Args:
        codec: of the latents.
        estimate: clean latents, in the holes the denoiser's.
        images: the truth.
        holes: 1 = painted.
        layout: of the pictures.
    """
    query = PriorQuery(images, holes, layout=layout)
    painted = decode_change(codec, estimate, fill_holes(images, holes, "harmonic", layout), query)
    return torch.where(holes > 0.5, painted, images)


def decoded_loss(
    distance: Distance,
    painted: Float[Tensor, "v 3 h w"],
    images: Float[Tensor, "v 3 h w"],
    holes: Float[Tensor, "v 1 h w"],
) -> Tensor:
    """The distance of painted pictures to the truth: the mean over each hole's pixels, then over pictures, so that a thin
    stroke counts as much as half a picture."""
    apart = distance.map(painted, images) * holes
    return (apart.sum(dim=(1, 2, 3)) / holes.sum(dim=(1, 2, 3)).clamp_min(1)).mean()
