"""Membranes: the smoothest continuation of known pixels into holes.

Solves Laplace's equation in the holes, with the known pixels as boundary values and no flux through the picture's border, by
geometric multigrid (Briggs, Henson & McCormick, A Multigrid Tutorial, ch. 3): the coarser picture's membrane starts the finer.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

SWEEPS = 2
"""Damped Jacobi sweeps before and after each coarse correction."""
DAMPING = 0.8
"""The factor that damps high frequencies fastest for the 5-point Laplacian."""
COARSEST_PX = 4
"""Below this side length plain sweeps converge as fast as recursion."""
COARSEST_SWEEPS = 24
TOLERANCE = 3e-4
"""Cycles stop when no pixel's Laplacian exceeds this share of the known values' range."""
MAX_CYCLES = 24
COARSE_CYCLES = 2
"""Enough for a starting point."""


@torch.no_grad()
def harmonic_fill(values: Float[Tensor, "v c h w"], holes: Float[Tensor, "v 1 h w"]) -> Float[Tensor, "v c h w"]:
    """The values with every hole (1 = unknown) replaced by the membrane over it; known pixels come back bit-identical.

    The result stays within the range of the known values, and a function that is linear in x and y is restored (where the
    picture's border does not interfere).

    Raises:
        ValueError: if a picture has no known pixel at all.
    """
    unknown = holes > 0.5
    if bool(unknown.flatten(1).all(dim=1).any()):
        raise ValueError("a picture without any known pixel cannot be filled")
    if not bool(unknown.any()):
        return values.clone()
    top, bottom = _extent(unknown.any(dim=3))
    left, right = _extent(unknown.any(dim=2))
    inner = unknown[:, :, top:bottom, left:right]
    if bool(inner.flatten(1).all(dim=1).any()):
        # A hole without known pixels in the common bounding box has them just outside, or in another picture's box.
        top, bottom, left, right, inner = 0, values.shape[2], 0, values.shape[3], unknown
    known = torch.where(inner, 0.0, values[:, :, top:bottom, left:right])
    filled = values.clone()
    filled[:, :, top:bottom, left:right] = torch.where(inner, _membrane(known, inner.to(values)), known)
    return filled


def _extent(occupied: Tensor) -> tuple[int, int]:
    """First and last-plus-one occupied index over the batch, with one known pixel around."""
    indices = occupied.flatten(0, 1).any(dim=0).nonzero()
    return max(int(indices[0]) - 1, 0), min(int(indices[-1]) + 2, occupied.shape[-1])


def _membrane(known: Tensor, holes: Tensor, cycles: int = MAX_CYCLES) -> Tensor:
    """Full multigrid: start from the coarser picture's membrane, then conjugate gradients preconditioned by V-cycles."""
    if not bool(holes.any()):
        return known
    weight, total = _halved(1.0 - holes), _halved(known * (1.0 - holes))
    coarse = _membrane(total / weight.clamp_min(1e-6), (weight == 0).to(known), COARSE_CYCLES)
    x = torch.where(holes > 0, _doubled(coarse, known.shape), known)
    least = TOLERANCE * (known.amax(dim=(2, 3), keepdim=True) - known.amin(dim=(2, 3), keepdim=True)).clamp_min(1e-12)
    residual = _residual(x, 0.0, holes)
    direction, last_residual, last_product = torch.zeros_like(x), torch.zeros_like(x), torch.ones_like(least)
    for _ in range(cycles):
        if bool((residual.abs() <= least).all()):
            break
        step = _v_cycle(torch.zeros_like(x), residual, holes)
        # Polak-Ribiere keeps directions conjugate although restriction and interpolation are not each other's transpose.
        direction = step + direction * (_dot(step, residual - last_residual) / last_product)
        image = -_residual(direction, 0.0, holes)
        last_residual, last_product = residual, _dot(step, residual)
        length = last_product / _dot(direction, image)
        x = x + length * direction
        residual = residual - length * image
    return x


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """Scalar products, a picture and channel each; never zero, so a finished channel stays where it is."""
    return (a * b).sum(dim=(2, 3), keepdim=True) + 1e-30


def _v_cycle(x: Tensor, source: Tensor, holes: Tensor) -> Tensor:
    """One V-cycle for `4 x - (sum of the four neighbors) = source` in the holes."""
    if min(x.shape[2:]) <= COARSEST_PX:
        return _sweep(x, source, holes, COARSEST_SWEEPS)
    x = _sweep(x, source, holes, SWEEPS)
    # A coarse cell may move only if all its pixels may; the factor is the square of the doubled grid spacing.
    coarse_holes = (_halved(holes) == 1).to(x)
    if bool(coarse_holes.any()):
        coarse_source = 4.0 * _halved(_residual(x, source, holes)) * coarse_holes
        correction = _v_cycle(torch.zeros_like(coarse_source), coarse_source, coarse_holes)
        x = x + _doubled(correction, x.shape) * holes
    return _sweep(x, source, holes, SWEEPS)


def _sweep(x: Tensor, source: Tensor, holes: Tensor, count: int) -> Tensor:
    for _ in range(count):
        x = x + _residual(x, source, holes) * (DAMPING / 4.0)
    return x


def _residual(x: Tensor, source: Tensor | float, holes: Tensor) -> Tensor:
    """Replicated borders make the missing neighbor equal to the pixel itself: no flux."""
    p = F.pad(x, (1, 1, 1, 1), mode="replicate")
    neighbors = p[:, :, :-2, 1:-1] + p[:, :, 2:, 1:-1] + p[:, :, 1:-1, :-2] + p[:, :, 1:-1, 2:]
    return (source + neighbors - 4.0 * x) * holes


def _halved(x: Tensor) -> Tensor:
    """Means of 2x2 pixels; odd sizes repeat their last row or column."""
    odd_w, odd_h = x.shape[3] % 2, x.shape[2] % 2
    return F.avg_pool2d(F.pad(x, (0, odd_w, 0, odd_h), mode="replicate"), 2)


def _doubled(x: Tensor, shape: torch.Size) -> Tensor:
    up = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
    return up[:, :, : shape[2], : shape[3]]
