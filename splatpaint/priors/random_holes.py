"""Random holes in the shapes of real masks, for training and for tests."""

import math

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageDraw
from torch import Tensor

LARGEST_SHARE = 0.6
"""Holes with a larger share of the picture's pixels are drawn again: they would leave too little context."""
SMALLEST_SHARE = 0.01
"""Holes with a smaller share of the pixels are drawn again."""


def random_holes(count: int, height: int, width: int, rng: np.random.Generator) -> Float[Tensor, "v 1 h w"]:
    """Masks with one to three random shapes each, which may extend beyond the border.

    The shapes are boxes, ellipses, strokes, silhouettes, objects with a shadow, and half planes.
    """
    return torch.from_numpy(np.stack([_holes(height, width, rng) for _ in range(count)]))[:, None]


def _holes(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    while True:
        canvas = Image.new("L", (width, height))
        pen = ImageDraw.Draw(canvas)
        for _ in range(rng.choice([1, 2, 3], p=[0.7, 0.2, 0.1])):
            draw = list(SHAPES)[rng.choice(len(SHAPES), p=list(SHAPES.values()))]
            draw(pen, height, width, rng)
        holes = (np.asarray(canvas) > 0).astype(np.float32)
        if SMALLEST_SHARE <= holes.mean() <= LARGEST_SHARE:
            return holes


def _frame(height: int, width: int, rng: np.random.Generator) -> tuple[float, float, float, float]:
    """A random center (x, y), anywhere in the picture, and half extents (x, y), in pixels."""
    half = rng.uniform(0.08, 0.35, size=2) * min(height, width)
    return rng.uniform(0, width), rng.uniform(0, height), half[0], half[1]


def _box(pen: ImageDraw.ImageDraw, height: int, width: int, rng: np.random.Generator) -> None:
    x, y, a, b = _frame(height, width, rng)
    pen.rectangle((x - a, y - b, x + a, y + b), fill=255)


def _ellipse(pen: ImageDraw.ImageDraw, height: int, width: int, rng: np.random.Generator) -> None:
    x, y, a, b = _frame(height, width, rng)
    pen.ellipse((x - a, y - b, x + a, y + b), fill=255)


def _stroke(pen: ImageDraw.ImageDraw, height: int, width: int, rng: np.random.Generator) -> None:
    """A thick polyline of random headings."""
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
    """A closed outline whose radius is a random Fourier series of six terms: blobs with limbs."""
    x, y, a, b = _frame(height, width, rng)
    angles = np.linspace(0, 2 * math.pi, 64, endpoint=False)
    radius = np.ones_like(angles)
    for harmonic in range(1, 7):
        radius += rng.normal(0, 0.35 / harmonic) * np.cos(harmonic * angles + rng.uniform(0, 2 * math.pi))
    radius = np.clip(radius, 0.2, 1.8)
    outline = np.stack([x + a * radius * np.cos(angles), y + b * radius * np.sin(angles)], axis=1)
    pen.polygon([(float(u), float(v)) for u, v in outline], fill=255)


def _object_with_shadow(pen: ImageDraw.ImageDraw, height: int, width: int, rng: np.random.Generator) -> None:
    """A rounded box with a flat ellipse at its lower end: an object on a table or floor with its shadow."""
    x, y, a, b = _frame(height, width, rng)
    pen.rounded_rectangle((x - a, y - b, x + a, y + b), radius=0.8 * min(a, b), fill=255)
    reach, flat = a * rng.uniform(1.0, 2.0), b * rng.uniform(0.1, 0.3)
    lean = rng.uniform(-0.7, 0.7) * a
    pen.ellipse((x + lean - reach, y + b - 2 * flat, x + lean + reach, y + b + flat), fill=255)


def _half_plane(pen: ImageDraw.ImageDraw, height: int, width: int, rng: np.random.Generator) -> None:
    """All pixels on one side of a random line through the middle third."""
    x, y = rng.uniform(0.35, 0.65) * width, rng.uniform(0.35, 0.65) * height
    angle, far = rng.uniform(0, 2 * math.pi), 2.0 * (height + width)
    along, across = (math.cos(angle), math.sin(angle)), (-math.sin(angle), math.cos(angle))
    ends = [(x - far * along[0], y - far * along[1]), (x + far * along[0], y + far * along[1])]
    pen.polygon([*ends, *((u + far * across[0], v + far * across[1]) for u, v in reversed(ends))], fill=255)


SHAPES = {_box: 0.18, _ellipse: 0.18, _stroke: 0.16, _silhouette: 0.28, _object_with_shadow: 0.1, _half_plane: 0.1}
"""Probability of each shape."""
