"""What the views guess to be in their holes, and which of them and of their guesses the others bear out.

What a single view guesses may be far off, where it looks along a surface or a border of the picture cuts the hole; and once it
has filled that, the others follow.
"""

from collections.abc import Sequence
from statistics import median

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from splatpaint.fill.views import ObservedView
from splatpaint.image.region import components, ring
from splatpaint.scene.views import spread

INDIRECT_WEIGHT = 0.5
"""What it counts for that others saw what is beside a hole, beside seeing it."""
ALONE = 0.5
"""A view is alone if the others share less of its guess than this share of what they do of the median view's."""
MIN_CONSENSUS = 0.25
"""Where they share less than this of the median view's, there is nothing that all but a few agree on."""
POINTS = 2000
"""A view's guess is judged by so many places in its hole."""
WITNESSES = 64
"""By so many of the views that have a hole."""


class DepthConsensus:
    """The surface that each view, by itself, guesses to be in its hole."""

    def __init__(self, views: Sequence[ObservedView], depths: Sequence[Float[Tensor, "1 1 _ _"]], *, tolerance: float) -> None:
        """
        Args:
            views: any number.
            depths: what each guesses.
            tolerance: guesses that differ by less than this share of the depth are the same.
        """
        self.views, self.tolerance = views, tolerance
        holed = [(view, view.open > 0, depth) for view, depth in zip(views, depths, strict=True) if view.open.any()]
        self._witnesses = spread(holed, WITNESSES)
        self.shared = [self._shared(view, depth) for view, depth in zip(views, depths, strict=True)]
        """What share of the others' guesses is each view's; None for a view whose hole is in no other's."""
        told = [share for share in self.shared if share is not None]
        self._usual = median(told) if told else 0.0
        self.agreed = self._usual >= MIN_CONSENSUS
        """Whether the views agree, by and large."""

    def seeding_order(self) -> list[int]:
        """The order in which the views shall fill their holes: most hole in context first, but last those that are alone."""
        least = ALONE * self._usual if self.agreed else 0.0
        alone = [share is not None and share < least for share in self.shared]
        areas = [area_in_context(view.open, view.seen) for view in self.views]
        return sorted(range(len(self.views)), key=lambda index: (alone[index], -areas[index]))

    def alone(self, places: Float[Tensor, "n 3"], view: ObservedView, *, share: float) -> Bool[Tensor, " n"]:
        """Places that fewer of the others guess to be on the surface; none if the views do not agree in general.

        Args:
            places: in the world, on what `view` guesses.
            view: one of the views.
            share: of the other views that have the place in their hole.
        """
        if not self.agreed:
            return torch.zeros(len(places), dtype=torch.bool, device=places.device)
        same, looked = self._borne_out(places, view)
        return same < share * looked

    def _shared(self, view: ObservedView, depth: Float[Tensor, "1 1 h w"]) -> float | None:
        places = view.camera.unproject_where(depth, view.open > 0)
        same, looked = (int(count.sum()) for count in self._borne_out(places[:: max(1, len(places) // POINTS)], view))
        return same / looked if looked else None

    def _borne_out(self, places: Float[Tensor, "n 3"], view: ObservedView) -> tuple[Int[Tensor, " n"], Int[Tensor, " n"]]:
        """How many other views guess the places to be on the surface, and how many have them in their hole."""
        same = torch.zeros(len(places), dtype=torch.long, device=places.device)
        looked = torch.zeros_like(same)
        for other, hole, guess in self._witnesses:
            if other is view:
                continue
            row, column, depth, within = other.camera.find(places)
            within &= hole[0, 0, row, column]
            looked += within
            same += within & ((depth - guess[0, 0, row, column]).abs() <= self.tolerance * depth)
        return same, looked


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
    told = sums(beside, outline * (INDIRECT_WEIGHT + (1 - INDIRECT_WEIGHT) * seen[0, 0]))
    edges = torch.cat([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    border = sums(edges, torch.ones_like(edges, dtype=hole.dtype))
    return float((area * (told / (around + border).clamp_min(1)) ** 4).sum())
