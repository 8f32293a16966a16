"""Procedural textures for synthetic scenes.

Lengths are in meters, colors are sRGB in [0, 1].
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import grid_sample, interpolate, pad


class Noise:
    """Smooth noise over the plane, periodic every `SIDE` units, determined by the seed."""

    SIDE = 64
    FINENESS = 8
    """Samples per unit of the table of smooth values."""

    def __init__(self, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        self._table = torch.rand(self.SIDE, self.SIDE, generator=generator)
        around = pad(self._table[None, None], (2, 2, 2, 2), mode="circular")
        self._fine = interpolate(around, scale_factor=self.FINENESS, mode="bicubic", align_corners=False).clamp(0, 1)

    def __call__(self, u: Float[Tensor, " n"], v: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """Values in [0, 1]; the features are about one unit large."""
        where = 2 * (torch.stack([u, v], dim=-1) % self.SIDE + 2) / (self.SIDE + 4) - 1
        return grid_sample(self._fine, where[None, None], align_corners=False)[0, 0, 0]

    def cell(self, i: Float[Tensor, " n"], j: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """One random value in [0, 1] per integer cell, without smoothing."""
        return self._table[i.long() % self.SIDE, j.long() % self.SIDE]

    def octaves(self, u: Float[Tensor, " n"], v: Float[Tensor, " n"], count: int) -> Float[Tensor, " n"]:
        """Sum of noise at `count` octaves of decreasing size and strength, in [0, 1]."""
        weights = [0.5**k for k in range(count)]
        layers = [w * self(u * 2**k + 17.3 * k, v * 2**k + 5.9 * k) for k, w in enumerate(weights)]
        return torch.stack(layers).sum(dim=0) / sum(weights)


def planks(u: Float[Tensor, " n"], v: Float[Tensor, " n"], noise: Noise) -> Float[Tensor, "n 3"]:
    """Floor boards along u: each with its own tone and grain, dark joints between them."""
    row = (v / 0.16).floor()
    along = u / 1.1 + noise.cell(row, torch.full_like(row, 7.0))
    board = along.floor()
    tone = noise.cell(row + 31, board)
    grain = noise.octaves(u * 3 + 40 * tone, v * 45, 3)
    across = (v / 0.16 - row - 0.5).abs()
    joint = edge(across, 0.48, 0.02) + edge((along - board - 0.5).abs(), 0.496, 0.004)
    shade = (0.62 + 0.3 * tone + 0.35 * (grain - 0.5)) * (1 - 0.7 * joint.clamp(max=1))
    return tint(shade, (0.78, 0.55, 0.34))


def wallpaper(u: Float[Tensor, " n"], v: Float[Tensor, " n"], noise: Noise) -> Float[Tensor, "n 3"]:
    """Rosettes on a diamond lattice over fine stripes, a little stained."""
    row = (v / 0.26).floor()
    x = (u / 0.34 + 0.5 * (row % 2)) % 1 - 0.5
    y = v / 0.26 % 1 - 0.5
    radius, angle = torch.hypot(x, y), torch.atan2(y, x)
    petals = edge(0.3 + 0.1 * torch.cos(6 * angle) - radius, 0.0, 0.03)
    heart = edge(0.09 - radius, 0.0, 0.02)
    stripe = edge((u / 0.085 % 1 - 0.5).abs(), 0.3, 0.1)
    stain = 0.88 + 0.24 * noise.octaves(u * 1.7, v * 1.7, 4)
    color = mixed((0.83, 0.80, 0.68), (0.76, 0.74, 0.60), stripe)
    color = torch.lerp(color, torch.tensor((0.30, 0.47, 0.44)), petals[:, None])
    color = torch.lerp(color, torch.tensor((0.86, 0.62, 0.28)), heart[:, None])
    return color * stain[:, None]


def bricks(u: Float[Tensor, " n"], v: Float[Tensor, " n"], noise: Noise) -> Float[Tensor, "n 3"]:
    """Running bond with pale joints."""
    row = (v / 0.1).floor()
    along = u / 0.24 + 0.5 * (row % 2)
    brick = along.floor()
    joint = edge((v / 0.1 - row - 0.5).abs(), 0.42, 0.04) + edge((along - brick - 0.5).abs(), 0.465, 0.02)
    shade = 0.55 + 0.35 * noise.cell(brick, row) + 0.4 * (noise.octaves(u * 25, v * 25, 3) - 0.5)
    return torch.lerp(tint(shade, (0.80, 0.42, 0.33)), torch.tensor((0.74, 0.71, 0.66)), joint.clamp(max=1)[:, None])


def carpet(u: Float[Tensor, " n"], v: Float[Tensor, " n"], noise: Noise, *, half: tuple[float, float]) -> Float[Tensor, "n 3"]:
    """A woven rug around the origin: borders along its boundary, a net of diamonds inside."""
    boundary = torch.minimum(half[0] - u.abs(), half[1] - v.abs())
    diamonds = ((u / 0.22 % 1 - 0.5).abs() + (v / 0.22 % 1 - 0.5).abs()) % 0.5
    color = mixed((0.55, 0.13, 0.14), (0.86, 0.74, 0.50), edge(diamonds, 0.36, 0.05))
    color = torch.lerp(color, torch.tensor((0.12, 0.19, 0.36)), edge(0.15 - boundary, 0.0, 0.01)[:, None])
    dashes = (
        edge(0.10 - boundary, 0.0, 0.01) * edge(boundary - 0.05, 0.0, 0.01) * edge(((u + v) / 0.09 % 1 - 0.5).abs(), 0.25, 0.1)
    )
    color = torch.lerp(color, torch.tensor((0.90, 0.82, 0.62)), dashes[:, None])
    return color * (0.75 + 0.5 * noise.octaves(u * 40, v * 40, 2))[:, None]


def wood(u: Float[Tensor, " n"], v: Float[Tensor, " n"], noise: Noise, color: Sequence[float]) -> Float[Tensor, "n 3"]:
    """Veneer with grain along u."""
    rings = torch.sin(30 * (v + 0.15 * noise.octaves(u * 1.5, v * 4, 2))) * 0.5 + 0.5
    return tint(0.7 + 0.25 * rings + 0.3 * (noise.octaves(u * 6, v * 60, 2) - 0.5), color)


def spines(u: Float[Tensor, " n"], v: Float[Tensor, " n"], noise: Noise) -> Float[Tensor, "n 3"]:
    """Rows of books, each with its own color, height and label."""
    shelf = (v / 0.32).floor()
    book = (u / 0.055 + 0.35 * noise(u / 0.055, shelf)).floor()
    height = v / 0.32 - shelf
    color = torch.stack([0.2 + 0.65 * noise.cell(book + 13 * k, shelf + 29) for k in range(3)], dim=-1)
    label = edge((height - 0.3 - 0.35 * noise.cell(book, shelf)).abs() * -1, -0.06, 0.01)
    color = torch.lerp(color, torch.tensor((0.9, 0.85, 0.7)), label[:, None])
    gap = edge(height, 0.72 + 0.22 * noise.cell(book, shelf + 3), 0.01) + edge(0.05 - height, 0.0, 0.01)
    return color * (1 - 0.85 * gap.clamp(max=1))[:, None]


def edge(value: Float[Tensor, " n"], at: float | Float[Tensor, " n"], width: float) -> Float[Tensor, " n"]:
    """0 below `at`, 1 above `at + width`, smooth between."""
    return smoothstep(((value - at) / width).clamp(0, 1))


def smoothstep(t: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """3 t^2 - 2 t^3: 0 to 1 with level ends."""
    return t * t * (3 - 2 * t)


def tint(shade: Float[Tensor, " n"], color: Sequence[float]) -> Float[Tensor, "n 3"]:
    """One color in many shades."""
    return shade[:, None] * torch.tensor(tuple(color))


def mixed(zero: Sequence[float], one: Sequence[float], share: Float[Tensor, " n"]) -> Float[Tensor, "n 3"]:
    """From one color to another."""
    return torch.lerp(torch.tensor(tuple(zero)), torch.tensor(tuple(one)), share[:, None])
