"""Holes of every kind that masks come in, drawn at random for training and for tests."""

import math

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageDraw
from torch import Tensor

LARGEST_SHARE = 0.45
"""Holes that cover more of the picture are drawn again: too little would be left to continue."""
SMALLEST_SHARE = 0.01


def random_holes(count: int, height: int, width: int, rng: np.random.Generator) -> Float[Tensor, "v 1 h w"]:
    """Boxes, ellipses, strokes and silhouettes, one to three a picture, reaching over the border as often as they fall."""
    return torch.from_numpy(np.stack([_holes(height, width, rng) for _ in range(count)]))[:, None]


def _holes(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    while True:
        canvas = Image.new("L", (width, height))
        pen = ImageDraw.Draw(canvas)
        for _ in range(rng.choice([1, 2, 3], p=[0.7, 0.2, 0.1])):
            draw = (_box, _ellipse, _stroke, _silhouette)[rng.choice(4, p=[0.2, 0.2, 0.2, 0.4])]
            draw(pen, height, width, rng)
        holes = (np.asarray(canvas) > 0).astype(np.float32)
        if SMALLEST_SHARE <= holes.mean() <= LARGEST_SHARE:
            return holes


def _frame(height: int, width: int, rng: np.random.Generator) -> tuple[float, float, float, float]:
    """Center and half extents; the center may lie anywhere in the picture, so the shape may reach over the border."""
    half = rng.uniform(0.08, 0.35, size=2) * min(height, width)
    return rng.uniform(0, width), rng.uniform(0, height), half[0], half[1]


def _box(pen: ImageDraw.ImageDraw, height: int, width: int, rng: np.random.Generator) -> None:
    x, y, a, b = _frame(height, width, rng)
    pen.rectangle((x - a, y - b, x + a, y + b), fill=255)


def _ellipse(pen: ImageDraw.ImageDraw, height: int, width: int, rng: np.random.Generator) -> None:
    x, y, a, b = _frame(height, width, rng)
    pen.ellipse((x - a, y - b, x + a, y + b), fill=255)


def _stroke(pen: ImageDraw.ImageDraw, height: int, width: int, rng: np.random.Generator) -> None:
    """A thick line that wanders."""
    side = min(height, width)
    thickness = rng.uniform(0.05, 0.16) * side
    x, y = rng.uniform(0, width), rng.uniform(0, height)
    heading = rng.uniform(0, 2 * math.pi)
    for _ in range(rng.integers(3, 9)):
        heading += rng.normal(0, 0.7)
        x_next, y_next = x + 0.15 * side * math.cos(heading), y + 0.15 * side * math.sin(heading)
        pen.line((x, y, x_next, y_next), fill=255, width=round(thickness))
        pen.ellipse((x_next - thickness / 2, y_next - thickness / 2, x_next + thickness / 2, y_next + thickness / 2), fill=255)
        x, y = x_next, y_next


def _silhouette(pen: ImageDraw.ImageDraw, height: int, width: int, rng: np.random.Generator) -> None:
    """A closed outline whose radius is a short random Fourier series: blobs with limbs, as objects seen against a wall."""
    x, y, a, b = _frame(height, width, rng)
    angles = np.linspace(0, 2 * math.pi, 64, endpoint=False)
    radius = np.ones_like(angles)
    for harmonic in range(1, 7):
        radius += rng.normal(0, 0.35 / harmonic) * np.cos(harmonic * angles + rng.uniform(0, 2 * math.pi))
    radius = np.clip(radius, 0.2, 1.8)
    outline = np.stack([x + a * radius * np.cos(angles), y + b * radius * np.sin(angles)], axis=1)
    pen.polygon([(float(u), float(v)) for u, v in outline], fill=255)
