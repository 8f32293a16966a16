"""Holes completed with pieces of what is around them, as large as may be.

Every pixel of the hole takes the color of one at some offset. Neighbors of one offset go on as the picture does there; between
two offsets is a seam, which costs as much as it shows and a little for being there. So a hole is laid with few pieces that meet
where they look alike (Pritch et al. 2009, Shift-Map Image Editing; which offsets: offsets.py), and nothing is blurred by
agreement: patches that vote for pixels agree soonest on plain wall between the flowers. What differs in brightness alone is
mended afterwards (mosaic.py); so a seam is judged by how the picture changes there, more than by its colors. A guide says, a
little, which colors belong where.

Which offset goes where is found on a coarse picture (min_cut.py), and on finer ones the pieces' outlines.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Bool, Float, Int
from scipy.ndimage import distance_transform_edt
from torch import Tensor
from torch.nn import functional as F

from splatpaint.image.min_cut import best_switch
from splatpaint.image.offsets import candidate_offsets
from splatpaint.image.poisson import poisson_blend

MOST_FREE = 2500
"""So many pixels has the hole at the coarsest level, at most."""
SWEEPS = 2
"""Every offset is tried so many times there; once at finer ones."""
OUTLINE_PX = 2
"""So far around a seam pixels are free at finer levels."""
COLOR_WEIGHT = 0.15
"""Cost of a difference in color across a seam, beside a difference in how colors change there."""
SEAM = 0.02
"""Cost of a pixel of seam, beside what it shows."""
UNKNOWN = 0.3
"""Cost of a pixel beside which a piece has nothing to compare."""
GUIDE_WEIGHT = 3.0
"""Cost of a squared distance to the guide, both blurred over `BLUR_PX`, at the boundary of the hole."""
TRUST_PX = 16.0
"""At every so many pixels from the boundary the guide counts e times less: in the middle of a large hole a weak prior paints
haze, and what has the color of haze is not what belongs there."""
BLUR_PX = 5
PLACE_WEIGHT = 0.03
"""Cost of being copied from the other end of the picture."""
NEVER = 50.0
"""Cost of taking what may not be copied."""
PAD = 2
"""A seam is judged by what lies so far beyond what is copied."""


@dataclass(frozen=True, eq=False)
class _Level:
    """One of the pyramid."""

    image: Float[Tensor, "3 h w"]
    hole: Bool[Tensor, "h w"]
    copied: Bool[Tensor, "h w"]
    guide: Float[Tensor, "3 h w"]
    trust: Float[Tensor, "h w"]
    """In the guide, 0 to 1."""


@torch.no_grad()
def shift_map_inpaint(
    image: Float[Tensor, "1 3 h w"],
    hole: Float[Tensor, "1 1 h w"],
    source: Float[Tensor, "1 1 h w"],
    guide: Float[Tensor, "1 3 h w"],
    *,
    generator: torch.Generator,
) -> Float[Tensor, "1 3 h w"]:
    """The image with its hole made of pieces of the source.

    Args:
        image: in [0, 1]; known outside the hole, and what it holds there is never looked at.
        hole: 1 where it shall be completed.
        source: 1 where pieces may be taken from; what of it is in the hole does not count.
        guide: rough colors in the hole; the result where there is nothing to copy.
        generator: draws which places are looked at, where there are many, and the order of trials.
    """
    inside = hole > 0.5
    if not inside.any():
        return image.clone()
    image = torch.where(inside, guide, image)
    copied = (source > 0.5) & ~inside
    boundary_px = torch.from_numpy(distance_transform_edt(inside.cpu().numpy())).to(image)
    levels = _pyramid(image, inside, copied, torch.cat([guide, torch.exp(-boundary_px / TRUST_PX)], dim=1))
    coarsest = levels[-1]
    offsets = candidate_offsets(coarsest.image, coarsest.hole, coarsest.copied, generator=generator)
    if not len(offsets):
        return image
    puzzle = Labeling(coarsest, offsets)
    labels = puzzle.cheapest()
    for _ in range(SWEEPS):
        for label in torch.randperm(len(offsets), generator=generator).tolist():
            labels = puzzle.expanded(labels, label, torch.ones_like(labels, dtype=torch.bool))
    for coarse, fine in pairwise(reversed(levels)):
        used, labels = labels.unique(return_inverse=True)
        offsets = 2 * offsets[used]
        puzzle, labels = Labeling(fine, offsets), _enlarged(labels, coarse, fine)
        for label in range(len(offsets)):
            labels = puzzle.expanded(labels, label, puzzle.near(labels, label))
    taken, copied = puzzle.taken(labels)
    return poisson_blend(image[0], inside[0, 0], taken, ~inside[0, 0] | ~copied)[None]


def _pyramid(
    image: Float[Tensor, "1 3 h w"],
    hole: Bool[Tensor, "1 1 h w"],
    copied: Bool[Tensor, "1 1 h w"],
    guide: Float[Tensor, "1 4 h w"],
) -> list[_Level]:
    """The finest level first; the guide's fourth channel says how far it is to be trusted."""
    levels = [_Level(image[0], hole[0, 0], copied[0, 0], guide[0, :3], guide[0, 3])]
    while hole.sum() > MOST_FREE:
        known = (~hole).to(image)
        share = _halved(known)
        image = torch.where(share > 0, _halved(image * known) / share.clamp_min(1e-6), _halved(image))
        hole, copied, guide = share < 1, _halved(copied.to(image)) == 1, _halved(guide)
        levels.append(_Level(image[0], hole[0, 0], copied[0, 0], guide[0, :3], guide[0, 3]))
    return levels


def _halved(picture: Float[Tensor, "1 c h w"]) -> Float[Tensor, "1 c h2 w2"]:
    return F.avg_pool2d(picture, 2, ceil_mode=True)


def _enlarged(labels: Int[Tensor, " n"], coarse: _Level, fine: _Level) -> Int[Tensor, " n2"]:
    """The labels of the pixels of the finer hole."""
    there = torch.zeros_like(coarse.hole, dtype=torch.long)
    there[coarse.hole] = labels
    height, width = fine.hole.shape
    return there.repeat_interleave(2, 0).repeat_interleave(2, 1)[:height, :width][fine.hole]


class Labeling:
    """A hole, the offsets that its pixels may have (their labels), and what that costs."""

    def __init__(self, level: _Level, offsets: Int[Tensor, "k 2"]) -> None:
        self.hole = level.hole
        height, width = level.hole.shape
        own_rows, own_columns = torch.nonzero(level.hole, as_tuple=True)
        self._wide = width + 2 * PAD
        self._picture = F.pad(level.image[None], (PAD,) * 4, mode="replicate")[0].flatten(1)
        self._known = F.pad(~level.hole, (PAD,) * 4).flatten()
        self._pixels = (own_rows + PAD) * self._wide + own_columns + PAD
        self._reach = offsets[:, 0] * self._wide + offsets[:, 1]
        rows, columns = own_rows + offsets[:, :1], own_columns + offsets[:, 1:]
        inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        self._sources = rows.clamp(0, height - 1) * width + columns.clamp(0, width - 1)
        self._allowed = inside & level.copied.flatten()[self._sources]
        number = torch.full_like(self._known, -1, dtype=torch.long)
        number[self._pixels] = torch.arange(len(self._pixels), device=number.device)
        pairs = [torch.stack([number[self._pixels], number[self._pixels + step]]) for step in (1, self._wide)]
        self._first, self._second = torch.cat([pair[:, pair[1] >= 0] for pair in pairs], dim=1)
        self._costs = self._alone(level, offsets)

    def _alone(self, level: _Level, offsets: Int[Tensor, "k 2"]) -> Float[Tensor, "k n"]:
        """What a pixel costs with every label, whatever its neighbors in the hole have."""
        known = (~level.hole).to(level.image)[None]
        image, guide = _blurred(level.image * known) / _blurred(known).clamp_min(1e-6), _blurred(level.guide)
        unlike = (image.flatten(1)[:, self._sources] - guide[:, level.hole][:, None]).square().sum(dim=0)
        costs = GUIDE_WEIGHT * level.trust[level.hole] * unlike
        costs += PLACE_WEIGHT * offsets.to(costs).norm(dim=1, keepdim=True) / max(level.hole.shape)
        for step in (1, -1, self._wide, -self._wide):
            beside, beyond = self._pixels + step, self._pixels + 2 * step
            border = torch.nonzero(self._known[beside])[:, 0]
            beside, beyond = beside[border], beyond[border]
            shown, next_shown = self._moved(beside), self._moved(beyond)
            there, next_there = self._picture[:, beside, None], self._picture[:, beyond, None]
            apart = COLOR_WEIGHT * _length(shown - there)
            change = _length((next_shown - shown) - (next_there - there))
            known = self._is_known(beside)
            seam = torch.where(known, apart, UNKNOWN)
            seam += torch.where(known & self._is_known(beyond) & self._known[beyond, None], change, 0)
            costs[:, border] += seam.T
        return torch.where(self._allowed, costs, NEVER)

    def _moved(self, pixels: Int[Tensor, " n"]) -> Float[Tensor, "3 n k"]:
        """The colors that all labels give pixels."""
        return self._picture[:, self._at(pixels[:, None], self._reach)]

    def _is_known(self, pixels: Int[Tensor, " n"]) -> Bool[Tensor, "n k"]:
        return self._known[self._at(pixels[:, None], self._reach)]

    def _at(self, pixels: Int[Tensor, "..."], reach: Int[Tensor, "..."]) -> Int[Tensor, "..."]:
        return (pixels + reach).clamp(0, len(self._known) - 1)

    def cheapest(self) -> Int[Tensor, " n"]:
        """Every pixel's best label, were there no neighbors."""
        return self._costs.argmin(dim=0)

    def taken(self, labels: Int[Tensor, " n"]) -> tuple[Int[Tensor, "h w"], Bool[Tensor, "h w"]]:
        """Flat index of the pixel that is copied to each, and where one is: not outside the hole, nor where no label may be."""
        height, width = self.hole.shape
        taken = torch.arange(height * width, device=labels.device).view(height, width)
        copied = torch.zeros_like(self.hole)
        sources, copied[self.hole] = (each.gather(0, labels[None])[0] for each in (self._sources, self._allowed))
        taken[copied] = sources[copied[self.hole]]
        return taken, copied

    def near(self, labels: Int[Tensor, " n"], label: int) -> Bool[Tensor, " n"]:
        """The pixels near those of the label."""
        there = torch.zeros_like(self.hole, dtype=torch.float32)
        there[self.hole] = (labels == label).to(there)
        return F.max_pool2d(there[None], 2 * OUTLINE_PX + 1, 1, OUTLINE_PX)[0][self.hole] > 0

    def expanded(self, labels: Int[Tensor, " n"], label: int, free: Bool[Tensor, " n"]) -> Int[Tensor, " n"]:
        """The labels, those changed to the one given, of pixels that are free, that are the better for it together."""
        free = free & (labels != label) & self._allowed[label]
        if not free.any():
            return labels
        coupled = free[self._first] | free[self._second]
        first, second = self._first[coupled], self._second[coupled]
        new = torch.full_like(first, label)
        neither = self._seam(first, second, labels[first], labels[second])
        first_only = self._seam(first, second, new, labels[second])
        second_only = self._seam(first, second, labels[first], new)
        stay = self._costs.gather(0, labels[None])[0]
        switch = self._costs[label].clone()
        both = free[first] & free[second]
        for own, alone in ((first, first_only), (second, second_only)):
            one = free[own] & ~both
            stay = stay.index_add(0, own[one], neither[one])
            switch.index_add_(0, own[one], alone[one])
        number = free.cumsum(dim=0) - 1
        costs = (stay[free], switch[free])
        pairs = (number[first[both]], number[second[both]], neither[both], first_only[both], second_only[both])
        switched = best_switch(*(each.cpu().numpy() for each in (*costs, *pairs)))
        labels = labels.clone()
        labels[torch.nonzero(free)[:, 0][torch.from_numpy(switched).to(free.device)]] = label
        return labels

    def _seam(
        self, first: Int[Tensor, " e"], second: Int[Tensor, " e"], one: Int[Tensor, " e"], other: Int[Tensor, " e"]
    ) -> Float[Tensor, " e"]:
        """What it costs that two neighbors have these labels."""
        here, there = self._pixels[first], self._pixels[second]
        one_reach, other_reach = self._reach[one], self._reach[other]
        here_one, here_other = (self._picture[:, self._at(here, reach)] for reach in (one_reach, other_reach))
        there_one, there_other = (self._picture[:, self._at(there, reach)] for reach in (one_reach, other_reach))
        goes_on = self._known[self._at(there, one_reach)], self._known[self._at(here, other_reach)]
        apart = torch.where(goes_on[0], COLOR_WEIGHT * _length(there_one - there_other), UNKNOWN)
        apart = apart + torch.where(goes_on[1], COLOR_WEIGHT * _length(here_one - here_other), UNKNOWN)
        change = _length((there_one - here_one) - (there_other - here_other))
        return torch.where(one == other, 0, apart + torch.where(goes_on[0] & goes_on[1], change, 0) + SEAM)


def _blurred(picture: Float[Tensor, "c h w"]) -> Float[Tensor, "c h w"]:
    return F.avg_pool2d(F.pad(picture[None], (BLUR_PX // 2,) * 4, mode="replicate"), BLUR_PX, 1)[0]


def _length(colors: Float[Tensor, "3 ..."]) -> Float[Tensor, "..."]:
    return colors.square().sum(dim=0).sqrt()
