"""Downsizing of images by area means."""

import math

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


def working_size(height: int, width: int, *, side_px: int | float, multiple: int, enlarge: bool) -> tuple[int, int]:
    """Height and width at which a network sees a picture: its aspect, about the area of a square of side `side_px`.

    Args:
        height: of the picture, in pixels.
        width: of the picture, in pixels.
        side_px: side of the square, in pixels.
        multiple: height and width are rounded to multiples of it, and are at least it.
        enlarge: whether a picture of a smaller area is enlarged; otherwise only rounded.
    """
    scale = side_px / math.sqrt(height * width)
    if not enlarge:
        scale = min(1.0, scale)
    return max(multiple, round(scale * height / multiple) * multiple), max(multiple, round(scale * width / multiple) * multiple)


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
