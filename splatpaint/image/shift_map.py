"""Shift-map inpainting: fills a hole with a few large regions copied from the rest of the image.

Each pixel of the hole gets one label, an offset to the pixel that it copies (Pritch et al. 2009, Shift-Map Image Editing;
candidate offsets come from offsets.py). Neighbors with the same label reproduce the image as it is; neighbors with different
labels form a seam, whose cost grows with its visibility. Minimizing the sum of all costs gives few regions that meet where they
look alike. Nothing is averaged, unlike in patch voting, which prefers flat areas because patches agree there most easily.

Poisson blending (poisson.py) removes differences in brightness afterwards, so seam costs weight gradients more than colors. A
guide image adds a small cost for colors that differ from it.

Labels are optimized at a coarse level by alpha expansion (min_cut.py); at finer levels only the boundaries of the regions are.
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

MAX_COARSE_PIXELS = 2500
"""Number of hole pixels at the coarsest level, at most."""
SWEEPS = 2
"""Number of times that each label is expanded at the coarsest level; once at finer levels."""
REFINE_PX = 2
"""Distance from a region up to which its label may expand at finer levels."""
COLOR_WEIGHT = 0.15
"""Weight of the color difference across a seam; the gradient difference has weight 1."""
SEAM_LENGTH_WEIGHT = 0.02
"""Cost of each pair of neighbors at a seam, in addition to its visibility."""
UNKNOWN_COST = 0.3
"""Cost in place of a color difference if a copied region has no known pixel to compare."""
GUIDE_WEIGHT = 3.0
"""Weight of the squared color distance to the guide at the boundary of the hole; both are blurred over `BLUR_PX`."""
GUIDE_DECAY_PX = 16.0
"""Distance from the boundary over which the weight of the guide falls by a factor e. In the middle of a large hole, a weak
prior paints low-frequency colors that are often wrong."""
BLUR_PX = 5
"""Side of the box blur of the guide and the image in pixels."""
OFFSET_WEIGHT = 0.03
"""Cost of an offset as long as the longer image side."""
FORBIDDEN_COST = 50.0
"""Cost of copying a pixel outside the source region."""
PAD = 2
"""Image padding in pixels: seam costs use the pixels up to 2 px beyond a copied pixel."""


@dataclass(frozen=True, eq=False)
class _Level:
    """One level of the image pyramid."""

    image: Float[Tensor, "3 h w"]
    hole: Bool[Tensor, "h w"]
    source: Bool[Tensor, "h w"]
    """True where pixels may be copied from."""
    guide: Float[Tensor, "3 h w"]
    guide_weight: Float[Tensor, "h w"]
    """In [0, 1]."""


@torch.no_grad()
def shift_map_inpaint(
    image: Float[Tensor, "1 3 h w"],
    hole: Float[Tensor, "1 1 h w"],
    source: Float[Tensor, "1 1 h w"],
    guide: Float[Tensor, "1 3 h w"],
    *,
    generator: torch.Generator,
    decay_px: float = GUIDE_DECAY_PX,
) -> Float[Tensor, "1 3 h w"]:
    """The image with its hole filled by regions copied from the source; pixels outside the hole are returned bit-identical.

    Args:
        image: sRGB in [0, 1]; its values in the hole are ignored.
        hole: 1 where the image is to be filled.
        source: 1 where pixels may be copied from; pixels of the hole are excluded.
        guide: approximate colors in the hole; they are the result if nothing can be copied.
        generator: samples the patches that give candidate offsets, and the order of the expansion moves.
        decay_px: see GUIDE_DECAY_PX.
    """
    inside = hole > 0.5
    if not inside.any():
        return image.clone()
    image = torch.where(inside, guide, image)
    allowed = (source > 0.5) & ~inside
    boundary_px = torch.from_numpy(distance_transform_edt(inside.cpu().numpy())).to(image)
    levels = _pyramid(image, inside, allowed, torch.cat([guide, torch.exp(-boundary_px / decay_px)], dim=1))
    coarsest = levels[-1]
    offsets = candidate_offsets(coarsest.image, coarsest.hole, coarsest.source, generator=generator)
    if not len(offsets):
        return image
    problem = Labeling(coarsest, offsets)
    labels = problem.lowest_unary()
    for _ in range(SWEEPS):
        for label in torch.randperm(len(offsets), generator=generator).tolist():
            labels = problem.alpha_expansion(labels, label, torch.ones_like(labels, dtype=torch.bool))
    for coarse, fine in pairwise(reversed(levels)):
        used, labels = labels.unique(return_inverse=True)
        offsets = 2 * offsets[used]
        problem, labels = Labeling(fine, offsets), _upsample_labels(labels, coarse, fine)
        for label in range(len(offsets)):
            labels = problem.alpha_expansion(labels, label, problem.close_to(labels, label))
    source_index, copied = problem.source_index(labels)
    return poisson_blend(image[0], inside[0, 0], source_index, ~inside[0, 0] | ~copied)[None]


def _pyramid(
    image: Float[Tensor, "1 3 h w"],
    hole: Bool[Tensor, "1 1 h w"],
    source: Bool[Tensor, "1 1 h w"],
    guide: Float[Tensor, "1 4 h w"],
) -> list[_Level]:
    """The levels, finest first. The fourth channel of the guide is its weight."""
    levels = [_Level(image[0], hole[0, 0], source[0, 0], guide[0, :3], guide[0, 3])]
    while hole.sum() > MAX_COARSE_PIXELS:
        known = (~hole).to(image)
        share = _downsample(known)
        image = torch.where(share > 0, _downsample(image * known) / share.clamp_min(1e-6), _downsample(image))
        hole, source, guide = share < 1, _downsample(source.to(image)) == 1, _downsample(guide)
        levels.append(_Level(image[0], hole[0, 0], source[0, 0], guide[0, :3], guide[0, 3]))
    return levels


def _downsample(image: Float[Tensor, "1 c h w"]) -> Float[Tensor, "1 c h2 w2"]:
    return F.avg_pool2d(image, 2, ceil_mode=True)


def _upsample_labels(labels: Int[Tensor, " n"], coarse: _Level, fine: _Level) -> Int[Tensor, " n2"]:
    """The labels of the hole at the finer level, copied from the coarser one."""
    grid = torch.zeros_like(coarse.hole, dtype=torch.long)
    grid[coarse.hole] = labels
    height, width = fine.hole.shape
    return grid.repeat_interleave(2, 0).repeat_interleave(2, 1)[:height, :width][fine.hole]


class Labeling:
    """The costs of labels (indices of offsets) at the pixels of a hole: unary costs and seam costs of neighbors."""

    def __init__(self, level: _Level, offsets: Int[Tensor, "k 2"]) -> None:
        self.hole = level.hole
        height, width = level.hole.shape
        own_rows, own_columns = torch.nonzero(level.hole, as_tuple=True)
        self._stride = width + 2 * PAD
        self._image = F.pad(level.image[None], (PAD,) * 4, mode="replicate")[0].flatten(1)
        self._known = F.pad(~level.hole, (PAD,) * 4).flatten()
        self._pixels = (own_rows + PAD) * self._stride + own_columns + PAD
        self._steps = offsets[:, 0] * self._stride + offsets[:, 1]
        rows, columns = own_rows + offsets[:, :1], own_columns + offsets[:, 1:]
        inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        self._sources = rows.clamp(0, height - 1) * width + columns.clamp(0, width - 1)
        self._allowed = inside & level.source.flatten()[self._sources]
        number = torch.full_like(self._known, -1, dtype=torch.long)
        number[self._pixels] = torch.arange(len(self._pixels), device=number.device)
        pairs = [torch.stack([number[self._pixels], number[self._pixels + step]]) for step in (1, self._stride)]
        self._first, self._second = torch.cat([pair[:, pair[1] >= 0] for pair in pairs], dim=1)
        self._unary = self._unary_cost(level, offsets)

    def _unary_cost(self, level: _Level, offsets: Int[Tensor, "k 2"]) -> Float[Tensor, "k n"]:
        """Costs of every label at every pixel: guide, offset length, and seams to the known pixels next to the hole."""
        known = (~level.hole).to(level.image)[None]
        image, guide = _blur(level.image * known) / _blur(known).clamp_min(1e-6), _blur(level.guide)
        guide_cost = (image.flatten(1)[:, self._sources] - guide[:, level.hole][:, None]).square().sum(dim=0)
        costs = GUIDE_WEIGHT * level.guide_weight[level.hole] * guide_cost
        costs += OFFSET_WEIGHT * offsets.to(costs).norm(dim=1, keepdim=True) / max(level.hole.shape)
        for step in (1, -1, self._stride, -self._stride):
            beside, beyond = self._pixels + step, self._pixels + 2 * step
            border = torch.nonzero(self._known[beside])[:, 0]
            beside, beyond = beside[border], beyond[border]
            copy, next_copy = self._shifted(beside), self._shifted(beyond)
            real, next_real = self._image[:, beside, None], self._image[:, beyond, None]
            color = COLOR_WEIGHT * _norm(copy - real)
            gradient = _norm((next_copy - copy) - (next_real - real))
            known = self._is_known(beside)
            seam = torch.where(known, color, UNKNOWN_COST)
            seam += torch.where(known & self._is_known(beyond) & self._known[beyond, None], gradient, 0)
            costs[:, border] += seam.T
        return torch.where(self._allowed, costs, FORBIDDEN_COST)

    def _shifted(self, pixels: Int[Tensor, " n"]) -> Float[Tensor, "3 n k"]:
        """Colors of the pixels under every label."""
        return self._image[:, self._at(pixels[:, None], self._steps)]

    def _is_known(self, pixels: Int[Tensor, " n"]) -> Bool[Tensor, "n k"]:
        return self._known[self._at(pixels[:, None], self._steps)]

    def _at(self, pixels: Int[Tensor, "..."], step: Int[Tensor, "..."]) -> Int[Tensor, "..."]:
        return (pixels + step).clamp(0, len(self._known) - 1)

    def lowest_unary(self) -> Int[Tensor, " n"]:
        """The label of lowest unary cost at every pixel."""
        return self._unary.argmin(dim=0)

    def source_index(self, labels: Int[Tensor, " n"]) -> tuple[Int[Tensor, "h w"], Bool[Tensor, "h w"]]:
        """The flat index of the pixel copied to each pixel (its own index if none is), and True where a pixel is copied."""
        height, width = self.hole.shape
        index = torch.arange(height * width, device=labels.device).view(height, width)
        copied = torch.zeros_like(self.hole)
        sources, copied[self.hole] = (each.gather(0, labels[None])[0] for each in (self._sources, self._allowed))
        index[copied] = sources[copied[self.hole]]
        return index, copied

    def close_to(self, labels: Int[Tensor, " n"], label: int) -> Bool[Tensor, " n"]:
        """The pixels within `REFINE_PX` of a pixel with the label."""
        grid = torch.zeros_like(self.hole, dtype=torch.float32)
        grid[self.hole] = (labels == label).to(grid)
        return F.max_pool2d(grid[None], 2 * REFINE_PX + 1, 1, REFINE_PX)[0][self.hole] > 0

    def alpha_expansion(self, labels: Int[Tensor, " n"], label: int, free: Bool[Tensor, " n"]) -> Int[Tensor, " n"]:
        """The labels after the expansion move of lowest total cost: some of the free pixels switch to `label`."""
        free = free & (labels != label) & self._allowed[label]
        if not free.any():
            return labels
        coupled = free[self._first] | free[self._second]
        first, second = self._first[coupled], self._second[coupled]
        new = torch.full_like(first, label)
        neither = self._seam_cost(first, second, labels[first], labels[second])
        first_only = self._seam_cost(first, second, new, labels[second])
        second_only = self._seam_cost(first, second, labels[first], new)
        stay = self._unary.gather(0, labels[None])[0]
        switch = self._unary[label].clone()
        both = free[first] & free[second]
        for own, pair_cost in ((first, first_only), (second, second_only)):
            one = free[own] & ~both
            stay = stay.index_add(0, own[one], neither[one])
            switch.index_add_(0, own[one], pair_cost[one])
        number = free.cumsum(dim=0) - 1
        costs = (stay[free], switch[free])
        pairs = (number[first[both]], number[second[both]], neither[both], first_only[both], second_only[both])
        switched = best_switch(*(each.cpu().numpy() for each in (*costs, *pairs)))
        labels = labels.clone()
        labels[torch.nonzero(free)[:, 0][torch.from_numpy(switched).to(free.device)]] = label
        return labels

    def _seam_cost(
        self, first: Int[Tensor, " e"], second: Int[Tensor, " e"], one: Int[Tensor, " e"], other: Int[Tensor, " e"]
    ) -> Float[Tensor, " e"]:
        """Cost of the labels `one` and `other` at the neighbors `first` and `second`; 0 if they are equal."""
        here, there = self._pixels[first], self._pixels[second]
        one_step, other_step = self._steps[one], self._steps[other]
        here_one, here_other = (self._image[:, self._at(here, step)] for step in (one_step, other_step))
        there_one, there_other = (self._image[:, self._at(there, step)] for step in (one_step, other_step))
        continued = self._known[self._at(there, one_step)], self._known[self._at(here, other_step)]
        color = torch.where(continued[0], COLOR_WEIGHT * _norm(there_one - there_other), UNKNOWN_COST)
        color = color + torch.where(continued[1], COLOR_WEIGHT * _norm(here_one - here_other), UNKNOWN_COST)
        gradient = _norm((there_one - here_one) - (there_other - here_other))
        return torch.where(one == other, 0, color + torch.where(continued[0] & continued[1], gradient, 0) + SEAM_LENGTH_WEIGHT)


def _blur(image: Float[Tensor, "c h w"]) -> Float[Tensor, "c h w"]:
    return F.avg_pool2d(F.pad(image[None], (BLUR_PX // 2,) * 4, mode="replicate"), BLUR_PX, 1)[0]


def _norm(colors: Float[Tensor, "3 ..."]) -> Float[Tensor, "..."]:
    return colors.square().sum(dim=0).sqrt()
