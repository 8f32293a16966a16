"""Rotation of splats: of their quaternions and of their spherical harmonics."""

from math import pi, sqrt

import torch
from jaxtyping import Float
from torch import Tensor

from splatpaint.scene.harmonics import sh_basis


def multiply_quats(left: Float[Tensor, "*#batch 4"], right: Float[Tensor, "*#batch 4"]) -> Float[Tensor, "*batch 4"]:
    """Hamilton product: the rotation `right` followed by the rotation `left`."""
    w1, x1, y1, z1 = left.unbind(-1)
    w2, x2, y2, z2 = right.unbind(-1)
    product = [
        w1 * w2 - x1 * x2 - y1 * y2 - z1 * z2,
        w1 * x2 + x1 * w2 + y1 * z2 - z1 * y2,
        w1 * y2 - x1 * z2 + y1 * w2 + z1 * x2,
        w1 * z2 + x1 * y2 - y1 * x2 + z1 * w2,
    ]
    return torch.stack(product, dim=-1)


def rotate_sh(sh: Float[Tensor, "n k c"], rotation: Float[Tensor, "3 3"]) -> Float[Tensor, "n k c"]:
    """Coefficients of the rotated functions: the result at direction `rotation @ d` equals `sh` at `d`.

    Harmonics of one degree are closed under rotation, so each degree has a square matrix of its own. It is found by least
    squares from values at more directions than terms, which is exact up to rounding because a solution exists.
    """
    directions = _fibonacci_sphere(32).to(rotation.device)
    degree = {1: 0, 4: 1, 9: 2, 16: 3}[sh.shape[1]]
    after = sh_basis(directions, degree)
    before = sh_basis(directions @ rotation.double(), degree)  # rows are rotation^T d
    parts = []
    for band in range(degree + 1):
        terms = slice(band**2, (band + 1) ** 2)
        matrix = torch.linalg.lstsq(after[:, terms], before[:, terms]).solution
        parts.append(torch.einsum("ij,njc->nic", matrix.to(sh), sh[:, terms]))
    return torch.cat(parts, dim=1)


def _fibonacci_sphere(count: int) -> Float[Tensor, "count 3"]:
    """Well-spread unit directions, the same every time."""
    index = torch.arange(count, dtype=torch.float64) + 0.5
    z = 1 - 2 * index / count
    turn = index * (pi * (3 - sqrt(5)))  # the golden angle never lines points up
    radius = torch.sqrt(1 - z * z)
    return torch.stack([radius * torch.cos(turn), radius * torch.sin(turn), z], dim=-1)
