"""Which light an object keeps off the plane that it stands on."""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import avg_pool2d

from splatpaint.masks.support import Support
from splatpaint.scene.rotation import matrices_from_quats
from splatpaint.scene.splats import Splats
from splatpaint.streams import generator

DIRECTIONS = 64
"""Directions that light comes from. A bright sky sends as much from each."""
WITHIN = 6
"""Directions around each that it is the mean of, so that there are no gaps between."""
LOWEST_LIGHT = 0.85
"""Cosine of the least elevation of light. What comes in lower throws long, faint shadows, which look like much else."""
POINTS = 20_000
"""Number of points that the object is sampled at."""
SPREAD = 0.8
"""Of the points in a splat, in its standard deviations."""
OPAQUE = 2.0
"""So many points in a cell keep off all but 1 / e of the light."""
LOW = 0.07
"""Splats no higher than this share of the object's height are of the plane rather than of the object."""


def blocked_light(removed: Splats, support: Support, half: float, side: int) -> Float[Tensor, "k s s"]:
    """Share of the light from every direction that does not arrive on a square of the plane, in [0, 1]; rows are v, columns u.

    Args:
        removed: the object, and little else.
        support: the plane, on the object's side.
        half: half the side of the square around the foot, world units.
        side: the same side in cells.
    """
    points = (_sampled(removed) - support.origin) @ support.axes.T
    points = points[points.norm(dim=1) < half]
    height = points[:, 2]
    above = height > LOW * height.quantile(0.95) if len(height) else height > 0
    place, height = points[above, :2], points[above, 2:]
    blocked = []
    around = _disc(WITHIN) * (1.2 * math.sqrt(1 / DIRECTIONS))
    for middle in _disc(DIRECTIONS):
        share = place.new_zeros(side, side)
        for direction in (middle + around) * LOWEST_LIGHT:
            sine = direction / (direction.norm() / LOWEST_LIGHT).clamp_min(1)
            slope = sine / (1 - sine.square().sum()).sqrt()
            share += _cover((place - height * slope.to(place)) / half, side)
        blocked.append(share / WITHIN)
    return torch.stack(blocked)


def _disc(count: int) -> Float[Tensor, "m 2"]:
    """Points spread evenly over the unit disc under the hemisphere, which weighs light by the cosine (Vogel's spiral)."""
    number = torch.arange(count)
    angle, radius = number * math.pi * (3 - math.sqrt(5)), ((number + 0.5) / count).sqrt()
    return torch.stack([radius * angle.cos(), radius * angle.sin()], dim=1)


def _sampled(splats: Splats) -> Float[Tensor, "n 3"]:
    """Points in the splats, in proportion to what they cover."""
    draws, scales = generator(0), splats.scales
    largest = scales.sort(dim=1, descending=True).values
    area = (largest[:, 0] * largest[:, 1] * splats.opacities).cpu()
    drawn = torch.multinomial(area, POINTS, replacement=True, generator=draws).to(scales.device)
    offset = SPREAD * torch.randn(POINTS, 3, generator=draws).to(scales) * scales[drawn]
    return splats.means[drawn] + (matrices_from_quats(splats.quats[drawn]) @ offset[..., None])[..., 0]


def _cover(at: Float[Tensor, "n 2"], side: int) -> Float[Tensor, "s s"]:
    """How opaque the points are in each cell; the square is [-1, 1]."""
    cell = ((at + 1) / 2 * side).floor().long()
    inside = ((cell >= 0) & (cell < side)).all(dim=1)
    index = cell[inside, 1] * side + cell[inside, 0]
    count = torch.bincount(index, minlength=side**2).view(1, 1, side, side).to(at)
    return 1 - torch.exp(-avg_pool2d(count, 3, stride=1, padding=1)[0, 0] / OPAQUE)
