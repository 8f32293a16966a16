"""The perceptual loss of a denoiser's estimate, decoded to pictures.

The minimum of the squared error of latents is the mean of all plausible fills, which is blurred. A distance of deep features
also penalizes the blur. The estimate is decoded as in sampling, as a change of the filled picture.
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
class PerceptualMetric(Protocol):
    """A perceptual distance of two pictures at every pixel; `Lpips` is one."""

    def map(self, x: Float[Tensor, "v 3 h w"], y: Float[Tensor, "v 3 h w"], /) -> Float[Tensor, "v 1 h w"]:
        """Distances, at least 0; differentiable in the first picture."""
        ...


def feature_distances(a: Sequence[Float[Tensor, "v _ _ _"]], b: Sequence[Float[Tensor, "v _ _ _"]]) -> list[Tensor]:
    """Squared distances of unit feature vectors: one (v, 1, h_l, w_l) map per layer; differentiable in the first."""
    pairs = zip(a, b, strict=True)
    return [cosine_feature_distance(x.float(), F.normalize(y.float(), dim=1)) for x, y in pairs]


class CodecMetric:
    """The formula of LPIPS on the features of a codec's encoder: it needs no other weights, and is a little less accurate."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec

    def map(self, x: Float[Tensor, "v 3 h w"], y: Float[Tensor, "v 3 h w"], /) -> Float[Tensor, "v 1 h w"]:
        """Squared distances of unit feature vectors, each layer resized to the pictures' size, averaged over layers."""
        with torch.no_grad():
            target = self._codec.features(y)
        layers = feature_distances(self._codec.features(x), target)
        return torch.stack([F.interpolate(layer, x.shape[2:], mode="bilinear") for layer in layers]).mean(dim=0)


def decode_estimate(
    codec: Codec,
    estimate: Float[Tensor, "v c hl wl"],
    images: Float[Tensor, "v 3 h w"],
    holes: Float[Tensor, "v 1 h w"],
    layout: Layout,
) -> Float[Tensor, "v 3 h w"]:
    """The pictures with their holes decoded from the estimate; differentiable in it.

    Args:
        codec: decodes the latents.
        estimate: clean latents; those of hole cells are the denoiser's.
        images: ground truth.
        holes: 1 = inpainted.
        layout: of the pictures.
    """
    query = PriorQuery(images, holes, layout=layout)
    painted = decode_change(codec, estimate, fill_holes(images, holes, "harmonic", layout), query)
    return torch.where(holes > 0.5, painted, images)


def decoded_loss(
    metric: PerceptualMetric,
    painted: Float[Tensor, "v 3 h w"],
    images: Float[Tensor, "v 3 h w"],
    holes: Float[Tensor, "v 1 h w"],
) -> Tensor:
    """The distance of inpainted pictures to the ground truth: the mean over each picture's hole pixels, then over pictures.

    So a thin hole weighs as much as one of half the picture.
    """
    distance = metric.map(painted, images) * holes
    return (distance.sum(dim=(1, 2, 3)) / holes.sum(dim=(1, 2, 3)).clamp_min(1)).mean()
