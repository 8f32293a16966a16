"""From how far away a hole may be completed: the offsets at which a picture looks like itself.

Most of them follow from what repeats in it: of every patch, the one that is most alike and not right beside it (He and Sun
2012, Statistics of Patch Offsets for Image Completion, sec. 3). Others are those at which what is right around the hole is
continued.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

SIDE = 5
"""Of a patch, in pixels."""
HALF = SIDE // 2
MOST_REPEATS = 60
MOST_CONTINUED = 60
"""So many offsets of either kind."""
MOST_PATCHES = 3000
"""So many are compared with each other."""
MOST_AROUND = 600
MOST_SOURCES = 20_000
"""So many around the hole are compared with so many that may continue them."""
AT_ONCE = 1024
"""So many patches are compared with all others in one matrix."""
NEAR = 1 / 15
"""What is nearer than this share of the longer side is no repetition."""
NEIGHBORS = 3
"""So many of the patches that are most alike give an offset to one around the hole."""


@torch.no_grad()
def candidate_offsets(
    image: Float[Tensor, "c h w"], hole: Bool[Tensor, "h w"], copied: Bool[Tensor, "h w"], *, generator: torch.Generator
) -> Int[Tensor, "k 2"]:
    """Rows and columns from a pixel of the hole to one that it may be copied from; none if there is hardly anything to copy.

    Args:
        image: known outside the hole.
        hole: to be completed.
        copied: what may be copied; not in the hole.
        generator: draws which patches are looked at, where there are many.
    """
    whole = _centers(copied)
    if len(whole) < 2:
        return torch.zeros(0, 2, dtype=torch.long, device=image.device)
    around = F.max_pool2d(hole[None].float(), SIDE, 1, HALF)[0] * (~hole)
    around[:HALF], around[-HALF:], around[:, :HALF], around[:, -HALF:] = 0, 0, 0, 0
    begun = _drawn(torch.nonzero(around.flatten())[:, 0], MOST_AROUND, generator)
    repeated = _repeats(image, _drawn(whole, MOST_PATCHES, generator))
    return torch.cat([repeated, _continued(image, hole, _drawn(whole, MOST_SOURCES, generator), begun)]).unique(dim=0)


def _centers(copied: Bool[Tensor, "h w"]) -> Int[Tensor, " s"]:
    """Flat indices of the pixels around which a whole patch may be copied."""
    missing = F.max_pool2d(F.pad((~copied).float()[None], (HALF,) * 4, value=1.0), SIDE, 1)
    return torch.nonzero(missing.flatten() == 0)[:, 0]


def _drawn(centers: Int[Tensor, " s"], most: int, generator: torch.Generator) -> Int[Tensor, " s2"]:
    if len(centers) <= most:
        return centers
    return centers[torch.randperm(len(centers), generator=generator)[:most].to(centers.device)]


def _patches(picture: Float[Tensor, "c h w"], centers: Int[Tensor, " n"]) -> Float[Tensor, "n c p"]:
    steps = torch.arange(-HALF, HALF + 1, device=picture.device)
    around = (steps[:, None] * picture.shape[2] + steps[None]).flatten()
    return picture.flatten(1)[:, centers[:, None] + around].transpose(0, 1)


def _between(start: Int[Tensor, "..."], end: Int[Tensor, "..."], width: int) -> Int[Tensor, "... 2"]:
    return torch.stack([end // width - start // width, end % width - start % width], dim=-1)


def _repeats(image: Float[Tensor, "c h w"], sources: Int[Tensor, " s"]) -> Int[Tensor, "k 2"]:
    """The offsets, there and back, at which most patches look like others, be they brighter or darker."""
    _, height, width = image.shape
    patches = _patches(image, sources)
    patches = (patches - patches.mean(dim=2, keepdim=True)).flatten(1)
    places = torch.stack([sources // width, sources % width], dim=1).to(image)
    found = []
    for some in torch.arange(len(sources), device=image.device).split(AT_ONCE):
        costs = torch.cdist(patches[some], patches)
        away = torch.cdist(places[some], places, p=torch.inf)
        nearest = costs.masked_fill_(away < NEAR * max(height, width), torch.inf).argmin(dim=1)
        found.append(_between(sources[some], sources[nearest], width))
    offsets = torch.cat(found)
    offsets = torch.cat([offsets, -offsets])
    counts = torch.zeros(2 * height + 1, 2 * width + 1, device=image.device)
    counts.index_put_((offsets[:, 0] + height, offsets[:, 1] + width), torch.ones_like(counts[0, 0]), accumulate=True)
    smooth = F.avg_pool2d(F.avg_pool2d(counts[None], 3, 1, 1), 3, 1, 1)
    peaks = torch.nonzero((smooth == F.max_pool2d(smooth, 3, 1, 1)) & (smooth > 0))[:, 1:]
    often = smooth[0, peaks[:, 0], peaks[:, 1]].argsort(descending=True, stable=True)[:MOST_REPEATS]
    return peaks[often] - torch.tensor([height, width], device=image.device)


def _continued(
    image: Float[Tensor, "c h w"], hole: Bool[Tensor, "h w"], sources: Int[Tensor, " s"], begun: Int[Tensor, " n"]
) -> Int[Tensor, "k 2"]:
    """The most frequent offsets to what looks like what is known of the patches `begun`, which reach into the hole."""
    patches, shown = _patches(image, sources), _patches((~hole)[None].to(image), begun)
    wanted = (_patches(image, begun) * shown).flatten(1)
    costs = shown[:, 0] @ patches.square().sum(dim=1).T - 2 * wanted @ patches.flatten(1).T
    nearest = costs.topk(min(NEIGHBORS, len(sources)), dim=1, largest=False).indices
    offsets = _between(begun[:, None], sources[nearest], image.shape[2]).flatten(0, 1)
    unique, counts = offsets.unique(dim=0, return_counts=True)
    return unique[counts.argsort(descending=True, stable=True)[:MOST_CONTINUED]]
