"""Squared distance of unit feature vectors (two minus twice the cosine similarity), with a cheap gradient.

Feature maps are the largest tensors of a training step, and autograd needs a dozen passes over one to normalize, subtract and
square it. Since |x / |x| - u|^2 = 1 + |u|^2 - 2 x u / |x|, the gradient is a single linear combination of x and u.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

TINY = 1e-12
"""Vectors shorter than this have no direction: their cosine with any vector is 0, and so is their gradient."""


def cosine_feature_distance(x: Float[Tensor, "v c h w"], unit: Float[Tensor, "v c h w"]) -> Float[Tensor, "v 1 h w"]:
    """Squared distance per pixel between the normalized vector of `x` and the unit vector of `unit`; in [0, 4].

    Args:
        x: vectors along `c`, of any length; receives a gradient.
        unit: vectors of length 1, of any floating type; receives no gradient.
    """
    return _CosineFeatureDistance.apply(x, unit.to(x))  # pyright: ignore[reportReturnType]


class _CosineFeatureDistance(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, unit: Tensor) -> Tensor:
        length = torch.linalg.vector_norm(x, dim=1, keepdim=True)
        inverse = torch.where(length > TINY, 1 / length.clamp_min(TINY), 0.0)
        cosine = (x * unit).sum(dim=1, keepdim=True) * inverse
        ctx.save_for_backward(x, unit, inverse, cosine)
        # |unit|^2 is computed, because half precision changes the length; the distance of equal directions must be 0.
        return 1 + unit.square().sum(dim=1, keepdim=True) - 2 * cosine

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        x, unit, inverse, cosine = ctx.saved_tensors
        scale = 2 * gradient * inverse
        return torch.addcmul(x * (scale * cosine * inverse), unit, scale, value=-1), None
