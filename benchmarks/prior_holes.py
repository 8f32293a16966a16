"""Random holes for the benchmark of priors."""

import math

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

HOLES = ("ball", "box", "stroke", "half")


def draw_hole(kind: str, side: int, rng: np.random.Generator) -> Tensor:
    """A hole of the given kind at a random place, (1, side, side), 1 inside."""
    canvas = Image.new("L", (side, side))
    pen = ImageDraw.Draw(canvas)
    x, y = rng.uniform(0.3, 0.7, size=2) * side
    reach = rng.uniform(0.12, 0.25) * side
    match kind:
        case "ball":
            pen.ellipse((x - reach, y - reach, x + reach, y + reach), fill=255)
        case "box":
            tall = reach * rng.uniform(0.6, 1.5)
            pen.rectangle((x - reach, y - tall, x + reach, y + tall), fill=255)
        case "stroke":
            heading, width = rng.uniform(0, 2 * math.pi), round(rng.uniform(0.05, 0.1) * side)
            for _ in range(8):
                heading += rng.normal(0, 0.6)
                ahead = (x + 0.1 * side * math.cos(heading), y + 0.1 * side * math.sin(heading))
                pen.line((x, y, *ahead), fill=255, width=width)
                x, y = ahead
                pen.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), fill=255)
        case "half":
            corners = [(0, 0, 0.5, 1), (0.5, 0, 1, 1), (0, 0, 1, 0.5), (0, 0.5, 1, 1)][rng.integers(4)]
            pen.rectangle([share * side for share in corners], fill=255)
    return torch.from_numpy((np.asarray(canvas) > 0).astype(np.float32))[None]
