"""The photometric difference of two images: weighted L1 and structural dissimilarity, with a fused kernel for processors."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from splatpaint.image.kernels import runs_in_kernels
from splatpaint.image.ssim import C1, C2, ssim_map, window_taps


def photometric_difference(
    color: Float[Tensor, "v c h w"], target: Float[Tensor, "v c h w"], weight: Float[Tensor, "v 1 h w"], *, dssim: float
) -> Float[Tensor, ""]:
    """The sum over pixels of `weight ((1 - dssim) |color - target| + dssim (1 - SSIM))`, averaged over channels.

    Pixels of weight 0 count nowhere: in SSIM windows across their border they are equal. float32 on the CPU runs in the kernel,
    which computes the gradient together with the value; everything else in torch.

    Args:
        color: what is differentiated, once.
        target: a constant.
        weight: a constant, not negative.
        dssim: share of the structural term, in [0, 1].

    Raises:
        ValueError: if target or weight requires a gradient, or if dssim is positive and a side has less than 6 px.
    """
    if target.requires_grad or weight.requires_grad:
        raise ValueError("target or weight requires a gradient: only the color has one")
    if dssim > 0 and min(color.shape[2:]) <= len(window_taps(color)) // 2:
        raise ValueError(f"the images are {color.shape[3]} x {color.shape[2]} px, smaller than half the window of SSIM")
    if runs_in_kernels(color):
        return _Fused.apply(color, target, weight, dssim)
    return in_torch(color, target, weight, dssim=dssim)


def in_torch(color: Tensor, target: Tensor, weight: Tensor, *, dssim: float) -> Tensor:
    """The specification of the kernel."""
    difference = (1 - dssim) * ((color - target).abs().mean(dim=1, keepdim=True) * weight).sum()
    if dssim == 0:
        return difference
    shown = torch.lerp(target, color, (weight > 0).to(color))
    return difference + dssim * ((1 - ssim_map(shown, target)).mean(dim=1, keepdim=True) * weight).sum()


class _Fused(torch.autograd.Function):
    """See kernels/src/photometric.hpp."""

    @staticmethod
    def forward(ctx: Any, color: Tensor, target: Tensor, weight: Tensor, dssim: float) -> Tensor:
        from splatpaint import _kernels

        color = color.detach().contiguous()
        gradient = torch.empty_like(color) if ctx.needs_input_grad[0] else None
        total = _kernels.photometric(
            color,
            target.contiguous(),
            weight.contiguous(),
            dssim,
            window_taps(color),
            C1,
            C2,
            gradient=gradient,
            threads=torch.get_num_threads(),
        )
        ctx.save_for_backward(gradient)
        return color.new_tensor(total / color.shape[1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, total_grad: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = ctx.saved_tensors
        return gradient * (total_grad / gradient.shape[1]), None, None, None
