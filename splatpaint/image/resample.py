"""Downsizing of images by area means."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad


def resize_area(images: Float[Tensor, "v c h w"], *, width: int, height: int) -> Float[Tensor, "v c {height} {width}"]:
    """Images downsized so that every new pixel is the mean of the area it covers, with fractional pixels; differentiable.

    Raises:
        ValueError: if a side would grow.
    """
    if width > images.shape[-1] or height > images.shape[-2]:
        raise ValueError(f"area resizing only shrinks: {images.shape[-1]}x{images.shape[-2]} to {width}x{height}")
    return _shrink(_shrink(images, width).transpose(-1, -2), height).transpose(-1, -2)


def _shrink(images: Float[Tensor, "v c h w"], width: int) -> Float[Tensor, "v c h {width}"]:
    """Area means along the last axis: differences of the cumulative sum, interpolated linearly within a pixel."""
    source = images.shape[-1]
    if width == source:
        return images
    integral = pad(images.double().cumsum(dim=-1), (1, 0))
    edges = torch.linspace(0, source, width + 1, dtype=torch.float64, device=images.device)
    left = edges.floor().long().clamp(max=source - 1)
    at_edges = torch.lerp(integral[..., left], integral[..., left + 1], edges - left)
    return (at_edges.diff(dim=-1) * (width / source)).to(images.dtype)
