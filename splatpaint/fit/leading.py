"""Which view leads a first fill: one that shows its hole and what surrounds it, and guesses what the others guess.

What a single view guesses to be in its hole may be far off, where it looks along a surface or a border of the picture cuts the
hole; and once it has filled that, the others follow.
"""

from collections.abc import Sequence
from statistics import median

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from splatpaint.fit.surroundings import Surroundings
from splatpaint.image.region import components, ring
from splatpaint.scene.views import spread

HEARSAY = 0.5
"""What it counts for that others saw what is beside a hole, beside seeing it."""
ALONE = 0.5
"""A view is alone if others share less of its guess than this share of what they do of the median view's."""
LEAST_SHARED = 0.25
"""Where they share less than this of the median view's, there is nothing that all but a few agree on."""
POINTS = 2000
"""So many places in a hole are compared."""
WITNESSES = 64
"""With the guesses of so many views."""


def in_turn(views: Sequence[Surroundings], depths: Sequence[Float[Tensor, "1 1 h w"]], *, tolerance: float) -> list[int]:
    """The views in the order in which they shall fill their holes: most hole in context first, but last those that are alone.

    Args:
        views: any number.
        depths: what each guesses of the surface in its hole.
        tolerance: guesses that differ by less than this share of the depth are the same.
    """
    shares = shared(views, depths, tolerance=tolerance)
    told = [share for share in shares if share is not None]
    usual = median(told) if told else 0.0
    least = ALONE * usual if usual >= LEAST_SHARED else 0.0
    alone = [share is not None and share < least for share in shares]
    return sorted(range(len(views)), key=lambda index: (alone[index], -area_in_context(views[index].open, views[index].seen)))


def shared(
    views: Sequence[Surroundings], depths: Sequence[Float[Tensor, "1 1 h w"]], *, tolerance: float
) -> list[float | None]:
    """What share of the other views' guesses is each view's, over places in its hole that are in theirs as well.

    None for a view whose hole is in no other's. Arguments as of `in_turn`.
    """
    witnesses = spread(list(zip(views, depths, strict=True)), WITNESSES)
    shares = []
    for view, depth in zip(views, depths, strict=True):
        places = view.camera.unproject(depth)[0][view.open[0, 0] > 0]
        places = places[:: max(1, len(places) // POINTS)]
        same, looked = 0, 0
        for other, guess in witnesses:
            if other is view:
                continue
            row, column, away, within = other.camera.find(places)
            within &= other.open[0, 0, row, column] > 0
            looked += int(within.sum())
            same += int((within & ((away - guess[0, 0, row, column]).abs() <= tolerance * away)).sum())
        shares.append(same / looked if looked else None)
    return shares


def area_in_context(hole: Float[Tensor, "1 1 h w"], seen: Float[Tensor, "1 1 h w"]) -> float:
    """Pixels of a view's holes, each less the less of its outline lies on what the view's photo shows.

    On the picture's border nothing is known to continue; and what other views saw beside the hole may be far behind it.
    """
    labels, count = components(hole[0])
    outline = ring(hole, 1)[0, 0]
    beside = F.max_pool2d(labels[None, None].float(), 3, stride=1, padding=1)[0, 0].long()

    def sums(of: Int[Tensor, "*px"], values: Float[Tensor, "*px"]) -> Float[Tensor, " holes"]:
        return torch.bincount(of.flatten(), values.flatten(), minlength=count + 1)[1:]

    area, around = sums(labels, hole[0, 0]), sums(beside, outline)
    told = sums(beside, outline * (HEARSAY + (1 - HEARSAY) * seen[0, 0]))
    edges = torch.cat([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    border = sums(edges, torch.ones_like(edges, dtype=hole.dtype))
    return float((area * (told / (around + border).clamp_min(1)) ** 4).sum())
