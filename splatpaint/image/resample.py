"""Pictures at other sizes and seen through other pixel grids."""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import grid_sample, pad


def resize_area(images: Float[Tensor, "v c h w"], *, width: int, height: int) -> Float[Tensor, "v c {height} {width}"]:
    """Pictures shrunk so that every new pixel is the mean of the area it covers, fractions of pixels counted; differentiable.

    Raises:
        ValueError: if a side would grow: an area mean has nothing to add there.
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


def warp(
    images: Float[Tensor, "v c hs ws"], pixels: Float[Tensor, "v h w 2"], *, mode: str = "bilinear"
) -> Float[Tensor, "v c h w"]:
    """Every output pixel fetched from `pixels` of the source (x, y; pixel centers at .5); zero beyond the border.

    Args:
        images: what to look up.
        pixels: where, for every output pixel.
        mode: `bilinear`, `nearest` or `bicubic`.
    """
    size = pixels.new_tensor([images.shape[-1], images.shape[-2]])
    return grid_sample(images, 2 * pixels / size - 1, mode=mode, padding_mode="zeros", align_corners=False)


def _shrink(images: Float[Tensor, "v c h w"], width: int) -> Float[Tensor, "v c h {width}"]:
    """Area means along the last axis, as differences of the running integral, which is linear inside a pixel."""
    source = images.shape[-1]
    if width == source:
        return images
    integral = pad(images.double().cumsum(dim=-1), (1, 0))
    edges = torch.linspace(0, source, width + 1, dtype=torch.float64, device=images.device)
    left = edges.floor().long().clamp(max=source - 1)
    at_edges = torch.lerp(integral[..., left], integral[..., left + 1], edges - left)
    return (at_edges.diff(dim=-1) * (width / source)).to(images.dtype)
