"""Rotations as quaternions wxyz and as matrices. Everything is batched over leading axes and differentiable."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize


def matrices_from_quats(quats: Float[Tensor, "*batch 4"]) -> Float[Tensor, "*batch 3 3"]:
    """Rotation matrices of quaternions wxyz, which need not be unit length."""
    w, x, y, z = normalize(quats, dim=-1).unbind(-1)
    rows = [
        torch.stack([1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)], dim=-1),
        torch.stack([2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)], dim=-1),
        torch.stack([2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)], dim=-1),
    ]
    return torch.stack(rows, dim=-2)


def quats_from_matrices(matrices: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 4"]:
    """Unit quaternions wxyz of rotation matrices, with the sign that makes the largest component positive.

    The outer product `4 q q^T` is linear in the matrix entries. Each of its rows is a multiple of q; the row with the largest
    diagonal has at least length 1, so every rotation is well-conditioned (Shepperd, 1978).
    """
    (m00, m01, m02), (m10, m11, m12), (m20, m21, m22) = (row.unbind(-1) for row in matrices.unbind(-2))
    rows = [
        torch.stack([1 + m00 + m11 + m22, m21 - m12, m02 - m20, m10 - m01], dim=-1),
        torch.stack([m21 - m12, 1 + m00 - m11 - m22, m10 + m01, m02 + m20], dim=-1),
        torch.stack([m02 - m20, m10 + m01, 1 - m00 + m11 - m22, m21 + m12], dim=-1),
        torch.stack([m10 - m01, m02 + m20, m21 + m12, 1 - m00 - m11 + m22], dim=-1),
    ]
    outer = torch.stack(rows, dim=-2)
    best = outer.diagonal(dim1=-2, dim2=-1).argmax(dim=-1)
    row = torch.take_along_dim(outer, best[..., None, None], dim=-2).squeeze(-2)
    return normalize(row, dim=-1)
