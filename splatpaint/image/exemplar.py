"""Holes completed by patches of what is around them.

Every patch that reaches into the hole shall look like some patch of the source, and overlapping patches agree: from coarse to
fine, each patch looks up its nearest neighbor in the source, and the pixels of the hole are voted for by the neighbors of all
patches that hold them (Wexler et al. 2007, Space-Time Completion of Video, sec. 3). What is compared is colors and how busy the
picture is around them, or plain areas would be copied everywhere (Newson et al. 2014, Video Inpainting of Complex Scenes, sec.
3.3). A guide says roughly which colors belong where, and near places are thought to look a little more alike than far ones. The
finest level copies whole pieces as the level before it found them, so nothing is blurred, joined by mosaic.py.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from splatpaint.image.mosaic import seamless

SIDE = 5
"""Of a patch, in pixels."""
HALF = SIDE // 2
REACH = 8
"""At the coarsest level, nothing in the hole is farther than this from its outline (pixels)."""
SEARCHES = (10, 6, 2)
"""How often patches are looked up at the coarsest level, the next, and all others but the finest."""
DIMENSIONS = 24
"""Of what patches are compared by: the principal components of the source's."""
MOST_SOURCES = 20_000
AT_ONCE = 2048
"""So many patches are compared with the sources in one matrix."""
LEAST_SOURCES = 200
"""No level is as coarse as to have fewer source patches."""
BUSY_PX = 16
BUSY_WEIGHT = 2.0
"""Of the mean size of color steps so far around, beside the colors."""
GUIDE_WEIGHT = 0.1
"""Of a patch's distance to the guide's mean color, beside that of its pixels. Little: in a large hole a weak prior paints haze,
and what has the color of haze is not what belongs there."""
PLACE_WEIGHT = 1.0
"""Squared color distance of a patch that is as bad as being copied from the other end of the picture."""
TIE_BREAK = 0.01
"""By how much of a typical distance a patch is worse a pixel away from its center, in squared pixels."""


@dataclass(frozen=True, eq=False)
class _Level:
    """One of the pyramid; pictures have `HALF` pixels added on every side, so that no patch leaves them."""

    image: Float[Tensor, "c h w"]
    hole: Bool[Tensor, "h w"]
    guide: Float[Tensor, "3 h w"]
    sources: Int[Tensor, " s"]
    """Flat pixel indices of the centers of patches that may be copied."""
    targets: Int[Tensor, " t"]
    """Of those that reach into the hole."""

    @property
    def width(self) -> int:
        return self.image.shape[2]


@dataclass(frozen=True, eq=False)
class _Matches:
    """What every target patch looks like."""

    targets: Int[Tensor, " t"]
    sources: Int[Tensor, " t"]
    distances: Float[Tensor, " t"]


@torch.no_grad()
def complete_by_example(
    image: Float[Tensor, "1 3 h w"],
    hole: Float[Tensor, "1 1 h w"],
    source: Float[Tensor, "1 1 h w"],
    guide: Float[Tensor, "1 3 h w"],
    *,
    generator: torch.Generator,
) -> Float[Tensor, "1 3 h w"]:
    """The image with its hole made of pieces of the source.

    Args:
        image: in [0, 1]; known outside the hole.
        hole: 1 where it shall be completed.
        source: 1 where patches may be taken from; what of it is in the hole does not count.
        guide: rough colors in the hole; the result where there is nothing to copy.
        generator: draws which source patches are looked at, where there are more than `MOST_SOURCES`.
    """
    inside = hole > 0.5
    copied = ((source > 0.5) & ~inside).to(image)
    levels = _pyramid(torch.cat([image, _busy(image, copied)], dim=1), inside, copied, guide)
    if not levels or not inside.any():
        return torch.where(inside, guide, image)
    coarsest = levels[-1]
    picture, matches = _searched(_from_outside(coarsest, generator), coarsest, SEARCHES[0], generator)
    for number, (coarse, fine) in enumerate(pairwise(reversed(levels)), start=1):
        matches = _refined(matches, coarse, fine)
        if fine is not levels[0]:
            picture = _voted(fine.image, fine.hole, matches)
            picture, matches = _searched(picture, fine, SEARCHES[min(number, len(SEARCHES) - 1)], generator)
    framed, known = (F.pad(area[0, 0], (HALF,) * 4) for area in (inside, ~inside))
    picture = seamless(levels[0].image[:3], framed, _taken(levels[0], matches), known)
    return picture[None, :, HALF:-HALF, HALF:-HALF]


def _busy(image: Float[Tensor, "1 3 h w"], known: Float[Tensor, "1 1 h w"]) -> Float[Tensor, "1 2 h w"]:
    """Mean size of the steps of brightness around every pixel, across and down, of known pixels."""
    gray = image.mean(dim=1, keepdim=True)
    steps = torch.cat([F.pad(gray.diff(dim=3), (0, 1)).abs(), F.pad(gray.diff(dim=2), (0, 0, 0, 1)).abs()], dim=1)
    inner = -F.max_pool2d(-known, 3, 1, 1)
    sums = F.avg_pool2d(torch.cat([steps * inner, inner], dim=1), BUSY_PX + 1, 1, BUSY_PX // 2)
    return BUSY_WEIGHT * sums[:, :2] / sums[:, 2:].clamp_min(1e-6)


def _pyramid(
    image: Float[Tensor, "1 c h w"],
    hole: Bool[Tensor, "1 1 h w"],
    source: Float[Tensor, "1 1 h w"],
    guide: Float[Tensor, "1 3 h w"],
) -> list[_Level]:
    """The finest level first; empty if there is hardly anything to copy."""
    levels = []
    while len((level := _level(image, hole, source, guide)).sources) >= LEAST_SOURCES:
        levels.append(level)
        known = (~hole).to(image)
        if F.max_pool2d(known, 2 * REACH + 1, 1, REACH).all():
            break
        share = _halved(known)
        image = torch.where(share > 0, _halved(image * known) / share.clamp_min(1e-6), _halved(image))
        hole, source, guide = share < 1, (_halved(source) == 1).to(image), _halved(guide)
    return levels


def _halved(picture: Float[Tensor, "1 c h w"]) -> Float[Tensor, "1 c h2 w2"]:
    return F.avg_pool2d(picture, 2, ceil_mode=True)


def _level(
    image: Float[Tensor, "1 c h w"],
    hole: Bool[Tensor, "1 1 h w"],
    source: Float[Tensor, "1 1 h w"],
    guide: Float[Tensor, "1 3 h w"],
) -> _Level:
    margin = (HALF,) * 4
    torn = F.max_pool2d(F.pad(1 - source, margin, value=1.0), SIDE, 1)
    reaching = F.max_pool2d(hole.to(image), SIDE, 1, HALF)
    return _Level(
        image=F.pad(image, margin, mode="replicate")[0],
        hole=F.pad(hole.to(image), margin, mode="replicate")[0, 0] > 0,
        guide=F.pad(guide, margin, mode="replicate")[0],
        sources=torch.nonzero(F.pad(torn, margin, value=1.0).flatten() == 0)[:, 0],
        targets=torch.nonzero(F.pad(reaching, margin).flatten())[:, 0],
    )


def _offsets(width: int, like: Tensor) -> Int[Tensor, " p"]:
    """From the center of a patch to its pixels, as flat indices."""
    steps = torch.arange(-HALF, HALF + 1, device=like.device)
    return (steps[:, None] * width + steps[None]).flatten()


def _patches(picture: Float[Tensor, "c h w"], centers: Int[Tensor, " n"]) -> Float[Tensor, "n c p"]:
    return picture.flatten(1)[:, centers[:, None] + _offsets(picture.shape[2], picture)].transpose(0, 1)


def _beliefs(colors: Float[Tensor, "c h w"], centers: Int[Tensor, " n"]) -> Float[Tensor, "n d"]:
    """What counts beside a patch's pixels: its mean color and its place, weighted."""
    _, height, width = colors.shape
    means = _patches(colors[:3], centers).mean(dim=2) * SIDE * GUIDE_WEIGHT**0.5
    places = torch.stack([centers // width, centers % width], dim=1) / max(height, width)
    return torch.cat([means, places.to(means) * PLACE_WEIGHT**0.5], dim=1)


def _from_outside(level: _Level, generator: torch.Generator) -> Float[Tensor, "c h w"]:
    """The hole filled layer by layer with the centers of the patches that fit what is known by then."""
    picture, known = level.image.clone(), (~level.hole).to(level.image)
    inner = F.pad(torch.ones_like(known[HALF:-HALF, HALF:-HALF]), (HALF,) * 4)
    sources = _drawn(level.sources, generator)
    patches, beliefs = _patches(picture, sources), _beliefs(picture, sources)
    squared, flat = patches.square().sum(dim=1), patches.flatten(1)
    while (layer := F.max_pool2d(known[None], 3, 1, 1)[0] * (1 - known) * inner).any():
        before = picture.clone()
        for centers in torch.nonzero(layer.flatten())[:, 0].split(AT_ONCE):
            shown = _patches(known[None], centers)
            wanted = (_patches(before, centers) * shown).flatten(1)
            costs = (shown[:, 0] @ squared.T - 2 * wanted @ flat.T) * SIDE**2 / shown.sum(dim=2)
            costs += torch.cdist(_beliefs(level.guide, centers), beliefs).square()
            picture.flatten(1)[:, centers] = level.image.flatten(1)[:, sources[costs.argmin(dim=1)]]
        known = torch.maximum(known, layer)
    return picture


def _drawn(sources: Int[Tensor, " s"], generator: torch.Generator) -> Int[Tensor, " s2"]:
    """All of them, or `MOST_SOURCES`."""
    if len(sources) <= MOST_SOURCES:
        return sources
    return sources[torch.randperm(len(sources), generator=generator)[:MOST_SOURCES].to(sources.device)]


def _searched(
    picture: Float[Tensor, "c h w"], level: _Level, times: int, generator: torch.Generator
) -> tuple[Float[Tensor, "c h w"], _Matches]:
    """The picture after so many searches, at least one, and the votes on each; and the last one's matches."""
    for _ in range(times):
        matches = _matched(picture, level, generator)
        picture = _voted(picture, level.hole, matches)
    return picture, matches


def _matched(picture: Float[Tensor, "c h w"], level: _Level, generator: torch.Generator) -> _Matches:
    """The nearest of the source patches for every target patch of the present picture."""
    sources = _drawn(level.sources, generator)
    there = _patches(picture, sources).flatten(1)
    mean = there.mean(dim=0)
    axes = torch.linalg.eigh((there - mean).T @ (there - mean)).eigenvectors[:, -DIMENSIONS:]
    there = torch.cat([(there - mean) @ axes, _beliefs(picture, sources)], dim=1)
    lengths = there.square().sum(dim=1)
    chosen, distances = [], []
    for targets in level.targets.split(AT_ONCE):
        here = (_patches(picture, targets).flatten(1) - mean) @ axes
        here = torch.cat([here, _beliefs(level.guide, targets)], dim=1)
        nearest, index = torch.addmm(lengths[None], here, there.T, alpha=-2).min(dim=1)
        chosen.append(sources[index])
        distances.append((nearest + here.square().sum(dim=1)).clamp_min(0))
    return _Matches(level.targets, torch.cat(chosen), torch.cat(distances))


def _refined(matches: _Matches, coarse: _Level, fine: _Level) -> _Matches:
    """The same pieces at twice the size."""
    at = torch.full((coarse.hole.numel(),), -1, device=matches.targets.device)
    at[matches.targets] = torch.arange(len(matches.targets), device=at.device)
    row, column = fine.targets // fine.width - HALF, fine.targets % fine.width - HALF
    parent = at[(row // 2 + HALF) * coarse.width + column // 2 + HALF]
    known = parent >= 0
    parent, row, column = parent[known], row[known], column[known]
    height, width = fine.hole.shape
    from_row = (matches.sources[parent] // coarse.width - HALF) * 2 + row % 2 + HALF
    from_column = (matches.sources[parent] % coarse.width - HALF) * 2 + column % 2 + HALF
    sources = from_row.clamp(HALF, height - 1 - HALF) * width + from_column.clamp(HALF, width - 1 - HALF)
    return _Matches(fine.targets[known], sources, matches.distances[parent])


def _voted(picture: Float[Tensor, "c h w"], hole: Bool[Tensor, "h w"], matches: _Matches) -> Float[Tensor, "c h w"]:
    """The pixels of the hole as the matches of all patches that hold them say: their weighted mean."""
    flat = picture.flatten(1)
    sums, weights = torch.zeros_like(flat), torch.zeros_like(flat[0])
    weight = torch.exp(-matches.distances / (2 * _typical(matches)))
    for offset in _offsets(picture.shape[2], flat).tolist():
        pixels = matches.targets + offset
        sums.index_add_(1, pixels, flat[:, matches.sources + offset] * weight)
        weights.index_add_(0, pixels, weight)
    voted = hole.flatten() & (weights > 0)
    return torch.where(voted, sums / weights.clamp_min(1e-12), flat).view_as(picture)


def _taken(level: _Level, matches: _Matches) -> Int[Tensor, "h w"]:
    """Which pixel is copied to every one that patches hold, in the hole or out of it: what the best of them has there."""
    taken = torch.arange(level.hole.numel(), device=level.hole.device)
    least = torch.full_like(level.image[0].flatten(), torch.inf)
    reach = torch.arange(-HALF, HALF + 1, device=taken.device).square()
    away = (reach[:, None] + reach[None]).flatten()
    worse = (TIE_BREAK * _typical(matches) * away).tolist()
    for offset, more in zip(_offsets(level.width, taken).tolist(), worse, strict=True):
        pixels, costs = matches.targets + offset, matches.distances + more
        better = costs < least[pixels]
        least[pixels[better]] = costs[better]
        taken[pixels[better]] = matches.sources[better] + offset
    return taken.view_as(level.hole)


def _typical(matches: _Matches) -> Float[Tensor, ""]:
    """How bad a match is that three of four are better than."""
    return matches.distances.sort().values[len(matches.distances) * 3 // 4].clamp_min(1e-6)
