"""How far apart the directions of feature vectors are, with a gradient that costs little more than the value.

Feature maps are the largest tensors of a training step, and normalizing, subtracting and squaring one leaves autograd a dozen
passes over it. Since |x / |x| - u|^2 = 1 + |u|^2 - 2 x u / |x|, the gradient is one scaled sum of x and u.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

TINY = 1e-12
"""Shorter vectors have no direction: they count as orthogonal to everything, and nothing pulls at them."""


def cosine_feature_distance(x: Float[Tensor, "v c h w"], unit: Float[Tensor, "v c h w"]) -> Float[Tensor, "v 1 h w"]:
    """Squared distance of every pixel's vector, brought to unit length, to another of unit length; in [0, 4].

    Args:
        x: vectors along `c`; receives a gradient.
        unit: of length 1, of any floating type; receives none.
    """
    return _DirectionDistance.apply(x, unit.to(x))  # pyright: ignore[reportReturnType]


class _DirectionDistance(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, unit: Tensor) -> Tensor:
        length = torch.linalg.vector_norm(x, dim=1, keepdim=True)
        inverse = torch.where(length > TINY, 1 / length.clamp_min(TINY), 0.0)
        cosine = (x * unit).sum(dim=1, keepdim=True) * inverse
        ctx.save_for_backward(x, unit, inverse, cosine)
        # Stored at half precision, a vector of length 1 is one no more: equal directions shall be 0 apart all the same.
        return 1 + unit.square().sum(dim=1, keepdim=True) - 2 * cosine

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        x, unit, inverse, cosine = ctx.saved_tensors
        scale = 2 * gradient * inverse
        return torch.addcmul(x * (scale * cosine * inverse), unit, scale, value=-1), None
