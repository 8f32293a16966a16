"""An order in which neighbors in the file are neighbors in space: packed formats hold such splats more exactly and smaller."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

BITS = 21
"""Per axis; three of them are 63, and fit a signed integer of 64."""
SPREADS = (
    (32, 0x001F00000000FFFF),
    (16, 0x001F0000FF0000FF),
    (8, 0x100F00F00F00F00F),
    (4, 0x10C30C30C30C30C3),
    (2, 0x1249249249249249),
)
"""Shifts and masks that put two zeros between any two of 21 bits."""


def morton_order(means: Float[Tensor, "n 3"]) -> Int[Tensor, " n"]:
    """Indices of the splats along a Z-order curve through their bounding box (Morton, 1966)."""
    if len(means) == 0:
        return torch.zeros(0, dtype=torch.long)
    low = means.double().amin(dim=0)
    extent = (means.double().amax(dim=0) - low).clamp_min(torch.finfo(torch.float32).tiny)
    cells = ((means.double() - low) / extent * (2**BITS - 1)).long()
    for shift, mask in SPREADS:
        cells = (cells | (cells << shift)) & mask
    return torch.argsort(cells[:, 0] | (cells[:, 1] << 1) | (cells[:, 2] << 2), stable=True)
