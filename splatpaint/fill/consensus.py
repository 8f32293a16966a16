"""Which surface the views, each by itself, expect in their holes, and how far they agree.

A view extrapolates the depth around its hole. The extrapolation of a single view may be far off, where it looks along a surface
or the image border cuts the hole; and once its seeds fill the hole, other views follow them.
"""

from collections.abc import Sequence
from statistics import median

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from splatpaint.fill.views import ObservedView
from splatpaint.image.region import components, ring
from splatpaint.masks.visibility import DepthView, as_half
from splatpaint.scene.views import spread

INDIRECT_WEIGHT = 0.5
"""Weight of a boundary pixel observed only by other views; observed by this view = 1."""
OUTLIER_RATIO = 0.5
"""A view is an outlier if other views support less than this share of what they support of the median view."""
MIN_CONSENSUS = 0.25
"""Support of the median view below which there is no consensus, and no view is an outlier."""
MAX_POINTS = 2000
"""Points a view that its support is measured at."""
MAX_VIEWS = 64
"""Views that are asked about a point, evenly spread over those with a hole."""


class DepthConsensus:
    """The agreement of the depths that views extrapolate into their holes.

    Attributes:
        support: a view each, share of the other views with the same hole that extrapolate the same surface, in [0, 1]; None for
            a view whose hole no other has.
        has_consensus: whether the views agree by and large.
    """

    def __init__(self, views: Sequence[ObservedView], depths: Sequence[Float[Tensor, "1 1 _ _"]]) -> None:
        """
        Args:
            views: any number.
            depths: z-depth of each, in world units, extrapolated into its hole.
        """
        self.views = views
        in_holes = [
            (view, region, DepthView(view.camera, as_half(depth * region)))
            for view, region, depth in zip(views, (view.in_fill_region for view in views), depths, strict=True)
            if region.any()
        ]
        self._asked = spread(in_holes, MAX_VIEWS)
        self.support = [self._support(view, depth) for view, depth in zip(views, depths, strict=True)]
        known = [support for support in self.support if support is not None]
        self._median = median(known) if known else 0.0
        self.has_consensus = self._median >= MIN_CONSENSUS

    def seeding_order(self) -> list[int]:
        """Numbers of the views in the order in which they seed their holes: largest hole in context first, outliers last."""
        least = OUTLIER_RATIO * self._median if self.has_consensus else 0.0
        outlier = [support is not None and support < least for support in self.support]
        areas = [area_in_context(view.fill_region, view.observed) for view in self.views]
        return sorted(range(len(self.views)), key=lambda index: (outlier[index], -areas[index]))

    def low_support(self, points: Float[Tensor, "n 3"], view: ObservedView, *, min_view_support: float) -> Bool[Tensor, " n"]:
        """Points on a surface that too few of the other views extrapolate; none if there is no consensus.

        Args:
            points: in the world, on the surface that `view` extrapolates.
            view: one of the views.
            min_view_support: share of the other views with the point in their hole.
        """
        if not self.has_consensus:
            return torch.zeros(len(points), dtype=torch.bool, device=points.device)
        same, looked = self._counts(points, view)
        return same < min_view_support * looked

    def _support(self, view: ObservedView, depth: Float[Tensor, "1 1 h w"]) -> float | None:
        points = view.camera.unproject_where(depth, view.in_fill_region)
        same, looked = (int(count.sum()) for count in self._counts(points[:: max(1, len(points) // MAX_POINTS)], view))
        return same / looked if looked else None

    def _counts(self, points: Float[Tensor, "n 3"], view: ObservedView) -> tuple[Int[Tensor, " n"], Int[Tensor, " n"]]:
        """Number of other views that extrapolate a surface through the points, and that have the points in their hole."""
        same = torch.zeros(len(points), dtype=torch.long, device=points.device)
        looked = torch.zeros_like(same)
        for other, region, extrapolated in self._asked:
            if other is not view:
                sighting = extrapolated.sight(points)
                in_hole = sighting.at(region)
                looked += sighting.in_frame & in_hole
                same += sighting.on_surface() & in_hole
        return same, looked


def area_in_context(hole: Float[Tensor, "1 1 h w"], observed: Float[Tensor, "1 1 h w"]) -> float:
    """Pixels of a view's holes, each hole weighed by the share of its outline that the view's photo shows, to the 4th power.

    Beyond the image border nothing is known to continue; and what other views saw beside the hole may be far behind it.
    """
    labels, count = components(hole[0])
    outline = ring(hole, 1)[0, 0]
    beside = F.max_pool2d(labels[None, None].float(), 3, stride=1, padding=1)[0, 0].long()

    def sums(of: Int[Tensor, "*px"], values: Float[Tensor, "*px"]) -> Float[Tensor, " holes"]:
        return torch.bincount(of.flatten(), values.flatten(), minlength=count + 1)[1:]

    area, around = sums(labels, hole[0, 0]), sums(beside, outline)
    known = sums(beside, outline * (INDIRECT_WEIGHT + (1 - INDIRECT_WEIGHT) * observed[0, 0]))
    edges = torch.cat([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    border = sums(edges, torch.ones_like(edges, dtype=hole.dtype))
    return float((area * (known / (around + border).clamp_min(1)) ** 4).sum())
