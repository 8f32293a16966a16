"""Harmonic fill: smooth interpolation of holes from the known pixels around them.

Solves Laplace's equation in the holes, with the known pixels as Dirichlet boundary values and zero flux across the image
border, by geometric multigrid (Briggs, Henson & McCormick, A Multigrid Tutorial, ch. 3): the coarser solution initializes the
finer one.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from splatpaint.image.kernels import runs_in_kernels

SWEEPS = 2
"""Damped Jacobi sweeps before and after each coarse correction."""
DAMPING = 0.8
"""The factor that damps high frequencies fastest for the 5-point Laplacian."""
COARSEST_PX = 4
"""Below this side plain sweeps converge as fast as recursion."""
COARSEST_SWEEPS = 24
"""Jacobi sweeps on the coarsest level."""
TOLERANCE = 3e-4
"""Iteration stops when the Laplacian of every pixel is below this share of the range of the known values."""
MAX_CYCLES = 24
"""Iterations at full resolution, at most."""
COARSE_CYCLES = 2
"""Iterations on coarser levels, which only provide a starting point."""


@torch.no_grad()
def harmonic_fill(values: Float[Tensor, "v c h w"], holes: Float[Tensor, "v 1 h w"]) -> Float[Tensor, "v c h w"]:
    """The values with every hole (1 = unknown) replaced by its harmonic fill; known pixels are returned bit-identical.

    The result stays within the range of the known values. A function that is linear in x and y is reproduced if its hole does
    not touch the image border.

    Raises:
        ValueError: if an image has no known pixel.
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
        # A box without known pixels cannot be solved: the known pixels of this image lie outside it.
        top, bottom, left, right, inner = 0, values.shape[2], 0, values.shape[3], unknown
    known = torch.where(inner, 0.0, values[:, :, top:bottom, left:right])
    filled = values.clone()
    filled[:, :, top:bottom, left:right] = torch.where(inner, _solve(known, inner.to(values)), known)
    return filled


def _extent(occupied: Tensor) -> tuple[int, int]:
    """First and last-plus-one occupied index over the batch, extended by one known pixel on both sides."""
    indices = occupied.flatten(0, 1).any(dim=0).nonzero()
    return max(int(indices[0]) - 1, 0), min(int(indices[-1]) + 2, occupied.shape[-1])


def _solve(known: Tensor, holes: Tensor, cycles: int = MAX_CYCLES) -> Tensor:
    """Full multigrid: starts from the solution at half resolution, then runs conjugate gradients preconditioned by V-cycles."""
    if not bool(holes.any()):
        return known
    weight, total = _downsample(1.0 - holes), _downsample(known * (1.0 - holes))
    coarse = _solve(total / weight.clamp_min(1e-6), (weight == 0).to(known), COARSE_CYCLES)
    x = torch.where(holes > 0, _upsample(coarse, known.shape), known)
    tolerance = TOLERANCE * (known.amax(dim=(2, 3), keepdim=True) - known.amin(dim=(2, 3), keepdim=True)).clamp_min(1e-12)
    residual = _residual(x, 0.0, holes)
    direction, last_residual, last_product = torch.zeros_like(x), torch.zeros_like(x), torch.ones_like(tolerance)
    for _ in range(cycles):
        if bool((residual.abs() <= tolerance).all()):
            break
        step = v_cycle(residual, holes)
        # Polak-Ribiere keeps directions conjugate although restriction and interpolation are not each other's transpose.
        direction = step + direction * (_dot(step, residual - last_residual) / last_product)
        image = -_residual(direction, 0.0, holes)
        last_residual, last_product = residual, _dot(step, residual)
        step_size = last_product / _dot(direction, image)
        x = x + step_size * direction
        residual = residual - step_size * image
    return x


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """Scalar products per image and channel; never zero, so that a converged channel does not divide by zero."""
    return (a * b).sum(dim=(2, 3), keepdim=True) + 1e-30


def v_cycle(source: Float[Tensor, "v c h w"], holes: Float[Tensor, "v 1 h w"]) -> Float[Tensor, "v c h w"]:
    """One V-cycle from 0 for `4 x - (sum of the four neighbors) = source` in the holes; in the kernel where that can be."""
    if not runs_in_kernels(source):
        return _v_cycle(source, holes)
    from splatpaint import _kernels

    source, holes = source.contiguous(), holes.contiguous()
    correction, threads = torch.empty_like(source), torch.get_num_threads()
    _kernels.multigrid(source, holes, SWEEPS, DAMPING, COARSEST_PX, COARSEST_SWEEPS, correction=correction, threads=threads)
    return correction


def _v_cycle(source: Tensor, holes: Tensor) -> Tensor:
    """The specification of the kernel."""
    x = torch.zeros_like(source)
    if min(x.shape[2:]) <= COARSEST_PX:
        return _sweep(x, source, holes, COARSEST_SWEEPS)
    x = _sweep(x, source, holes, SWEEPS)
    # A coarse cell is free only if all its pixels are; the factor is the square of the doubled grid spacing.
    coarse_holes = (_downsample(holes) == 1).to(x)
    if bool(coarse_holes.any()):
        coarse_source = 4.0 * _downsample(_residual(x, source, holes)) * coarse_holes
        x = x + _upsample(_v_cycle(coarse_source, coarse_holes), x.shape) * holes
    return _sweep(x, source, holes, SWEEPS)


def _sweep(x: Tensor, source: Tensor, holes: Tensor, count: int) -> Tensor:
    for _ in range(count):
        x = x + _residual(x, source, holes) * (DAMPING / 4.0)
    return x


def _residual(x: Tensor, source: Tensor | float, holes: Tensor) -> Tensor:
    """`source` minus the negative Laplacian of x, in the holes. Replicated borders give zero flux across the image border."""
    p = F.pad(x, (1, 1, 1, 1), mode="replicate")
    neighbors = p[:, :, :-2, 1:-1] + p[:, :, 2:, 1:-1] + p[:, :, 1:-1, :-2] + p[:, :, 1:-1, 2:]
    return (source + neighbors - 4.0 * x) * holes


def _downsample(x: Tensor) -> Tensor:
    """Means of 2x2 pixels; an odd last row or column is repeated."""
    odd_w, odd_h = x.shape[3] % 2, x.shape[2] % 2
    return F.avg_pool2d(F.pad(x, (0, odd_w, 0, odd_h), mode="replicate"), 2)


def _upsample(x: Tensor, shape: torch.Size) -> Tensor:
    up = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
    return up[:, :, : shape[2], : shape[3]]
