"""A perceptual distance without a network: by how much two pictures differ in color and in the strength of their texture.

A blur and a displaced texture may have the same squared error; people, and LPIPS, take the texture for nearer. The mean
gradient magnitude around a pixel tells them apart, since it does not depend on where exactly the texture's edges are.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

WINDOW_PX = 9
"""Side of the window in which gradient magnitudes are averaged."""
COLOR_WEIGHT = 0.5
"""Weight of the color difference; the difference of the gradient magnitudes has weight 1."""


def texture_distance(x: Float[Tensor, "v 3 h w"], y: Float[Tensor, "v 3 h w"]) -> Float[Tensor, "v 1 h w"]:
    """The distance at every pixel, in units of sRGB in [0, 1]; 0 where the pictures agree in the window around it."""
    strength = (gradient_strength(x) - gradient_strength(y)).abs()
    return strength + COLOR_WEIGHT * (x - y).abs().mean(dim=1, keepdim=True)


def gradient_strength(images: Float[Tensor, "v 3 h w"]) -> Float[Tensor, "v 1 h w"]:
    """Mean magnitude of the gradient of the gray picture in the window around every pixel, in sRGB a pixel."""
    gray = images.mean(dim=1, keepdim=True)
    padded = F.pad(gray, (0, 1, 0, 1), mode="replicate")
    magnitude = torch.hypot(padded[..., :-1, 1:] - gray, padded[..., 1:, :-1] - gray)
    return F.avg_pool2d(magnitude, WINDOW_PX, stride=1, padding=WINDOW_PX // 2, count_include_pad=False)
