"""Candidate offsets for shift-map inpainting: where the pixels of a hole may be copied from, relative to them.

Most offsets are the dominant ones between similar patches of the image (He and Sun 2012, Statistics of Patch Offsets for Image
Completion, sec. 3). The others lead from patches at the boundary of the hole to patches that match their known pixels.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

SIDE = 5
"""Side of a patch in pixels."""
HALF = SIDE // 2
MAX_DOMINANT = 60
"""Number of dominant offsets, at most."""
MAX_BOUNDARY = 60
"""Number of offsets from patches at the boundary, at most."""
MAX_PATCHES = 3000
"""Number of patches that are compared with each other, at most."""
MAX_BOUNDARY_PATCHES = 600
"""Number of patches at the boundary of the hole, at most."""
MAX_SOURCE_PATCHES = 20_000
"""Number of patches that those are compared with, at most."""
BATCH_PATCHES = 1024
"""Rows of one distance matrix."""
MIN_OFFSET = 1 / 15
"""Shortest offset between similar patches, as a share of the longer image side; nearer patches are similar in any image."""
NEIGHBORS = 3
"""Number of best matches of a boundary patch that each give an offset."""


@torch.no_grad()
def candidate_offsets(
    image: Float[Tensor, "c h w"], hole: Bool[Tensor, "h w"], source: Bool[Tensor, "h w"], *, generator: torch.Generator
) -> Int[Tensor, "k 2"]:
    """Offsets (rows, columns) from pixels of the hole to their sources; empty if the source region holds less than two patches.

    Args:
        image: values outside the hole; those inside are ignored.
        hole: True where the image is to be filled.
        source: True where pixels may be copied from; False in the hole.
        generator: samples the patches where there are more than the maximum.
    """
    centers = _centers(source)
    if len(centers) < 2:
        return torch.zeros(0, 2, dtype=torch.long, device=image.device)
    around = F.max_pool2d(hole[None].float(), SIDE, 1, HALF)[0] * (~hole)
    around[:HALF], around[-HALF:], around[:, :HALF], around[:, -HALF:] = 0, 0, 0, 0
    boundary = _sample(torch.nonzero(around.flatten())[:, 0], MAX_BOUNDARY_PATCHES, generator)
    dominant = _dominant_offsets(image, _sample(centers, MAX_PATCHES, generator))
    return torch.cat(
        [dominant, _boundary_offsets(image, hole, _sample(centers, MAX_SOURCE_PATCHES, generator), boundary)]
    ).unique(dim=0)


def _centers(source: Bool[Tensor, "h w"]) -> Int[Tensor, " s"]:
    """Flat indices of the centers of patches that lie in the source region."""
    missing = F.max_pool2d(F.pad((~source).float()[None], (HALF,) * 4, value=1.0), SIDE, 1)
    return torch.nonzero(missing.flatten() == 0)[:, 0]


def _sample(centers: Int[Tensor, " s"], count: int, generator: torch.Generator) -> Int[Tensor, " s2"]:
    if len(centers) <= count:
        return centers
    return centers[torch.randperm(len(centers), generator=generator)[:count].to(centers.device)]


def _patches(picture: Float[Tensor, "c h w"], centers: Int[Tensor, " n"]) -> Float[Tensor, "n c p"]:
    steps = torch.arange(-HALF, HALF + 1, device=picture.device)
    around = (steps[:, None] * picture.shape[2] + steps[None]).flatten()
    return picture.flatten(1)[:, centers[:, None] + around].transpose(0, 1)


def _offsets(start: Int[Tensor, "..."], end: Int[Tensor, "..."], width: int) -> Int[Tensor, "... 2"]:
    return torch.stack([end // width - start // width, end % width - start % width], dim=-1)


def _dominant_offsets(image: Float[Tensor, "c h w"], sources: Int[Tensor, " s"]) -> Int[Tensor, "k 2"]:
    """The most frequent offsets (and their negatives) between similar patches, compared without their mean colors."""
    _, height, width = image.shape
    patches = _patches(image, sources)
    patches = (patches - patches.mean(dim=2, keepdim=True)).flatten(1)
    positions = torch.stack([sources // width, sources % width], dim=1).to(image)
    found = []
    for batch in torch.arange(len(sources), device=image.device).split(BATCH_PATCHES):
        costs = torch.cdist(patches[batch], patches)
        distances = torch.cdist(positions[batch], positions, p=torch.inf)
        nearest = costs.masked_fill_(distances < MIN_OFFSET * max(height, width), torch.inf).argmin(dim=1)
        found.append(_offsets(sources[batch], sources[nearest], width))
    offsets = torch.cat(found)
    offsets = torch.cat([offsets, -offsets])
    counts = torch.zeros(2 * height + 1, 2 * width + 1, device=image.device)
    counts.index_put_((offsets[:, 0] + height, offsets[:, 1] + width), torch.ones_like(counts[0, 0]), accumulate=True)
    smooth = F.avg_pool2d(F.avg_pool2d(counts[None], 3, 1, 1), 3, 1, 1)
    peaks = torch.nonzero((smooth == F.max_pool2d(smooth, 3, 1, 1)) & (smooth > 0))[:, 1:]
    order = smooth[0, peaks[:, 0], peaks[:, 1]].argsort(descending=True, stable=True)[:MAX_DOMINANT]
    return peaks[order] - torch.tensor([height, width], device=image.device)


def _boundary_offsets(
    image: Float[Tensor, "c h w"], hole: Bool[Tensor, "h w"], sources: Int[Tensor, " s"], boundary: Int[Tensor, " n"]
) -> Int[Tensor, "k 2"]:
    """The most frequent offsets from boundary patches to the patches that best match their known pixels."""
    patches, known = _patches(image, sources), _patches((~hole)[None].to(image), boundary)
    wanted = (_patches(image, boundary) * known).flatten(1)
    costs = known[:, 0] @ patches.square().sum(dim=1).T - 2 * wanted @ patches.flatten(1).T
    nearest = costs.topk(min(NEIGHBORS, len(sources)), dim=1, largest=False).indices
    offsets = _offsets(boundary[:, None], sources[nearest], image.shape[2]).flatten(0, 1)
    unique, counts = offsets.unique(dim=0, return_counts=True)
    return unique[counts.argsort(descending=True, stable=True)[:MAX_BOUNDARY]]
