"""Few values in place of many: codebooks of numbers and palettes of vectors, by k-means (Lloyd, 1982)."""

import numpy as np
import torch
from jaxtyping import Float, Int, Int64, UInt8
from torch import Tensor

ENTRIES = 256
"""Numbers in a codebook, so that a byte tells which."""
HISTOGRAM_BINS = 4096
CODEBOOK_STEPS = 30
PALETTE_STEPS = 6
BRANCHES = 256
"""Clusters that a larger palette is first divided into; clusters of clusters cost far less than many at once."""
LEAVES_MAX = 1024
"""Clusters within one of those, also where it holds most of the vectors."""
SAMPLES = 65536
"""Vectors that the centers of clusters are moved by; all are assigned to them in the end."""
CHUNK = 2**24
"""Distances that are computed at once, 64 MB."""


def codebook(values: Float[np.ndarray, " n"]) -> tuple[Float[np.ndarray, " 256"], UInt8[np.ndarray, " n"]]:
    """256 ascending numbers, and which of them is nearest to each value."""
    distinct = np.unique(values)
    if len(distinct) <= ENTRIES:
        centers = np.pad(distinct, (0, ENTRIES - len(distinct)), mode="edge") if len(distinct) else np.zeros(ENTRIES, "f4")
        return centers.astype(np.float32), np.searchsorted(distinct, values).astype(np.uint8)
    ordered = np.sort(values.astype(np.float64))
    sums = np.concatenate([[0], np.cumsum(ordered)])
    centers = _spread(ordered)
    for _ in range(CODEBOOK_STEPS):
        ends = np.searchsorted(ordered, (centers[1:] + centers[:-1]) / 2)
        starts, ends = np.concatenate([[0], ends]), np.concatenate([ends, [len(ordered)]])
        centers = np.where(ends > starts, (sums[ends] - sums[starts]) / np.maximum(ends - starts, 1), centers)
        centers.sort()
    centers = centers.astype(np.float32)
    return centers, np.searchsorted((centers[1:] + centers[:-1]) / 2, values).astype(np.uint8)


def _spread(ordered: Float[np.ndarray, " n"]) -> Float[np.ndarray, " 256"]:
    """Where the numbers start: half of them even, so that rare values far out have some near them, half where most values are.

    The latter are as dense as the cube root of the density of the values, which is best for many (Panter and Dite, 1951).
    """
    counts, edges = np.histogram(ordered, bins=HISTOGRAM_BINS)
    density = np.cbrt(counts) / np.cbrt(counts).sum() + 1 / HISTOGRAM_BINS
    share = np.concatenate([[0], np.cumsum(density)])
    return np.interp((np.arange(ENTRIES) + 0.5) / ENTRIES * share[-1], share, edges)


def palette(vectors: Float[Tensor, "n d"], size: int) -> tuple[Float[Tensor, "m d"], Int64[Tensor, " n"]]:
    """At most `size` vectors, and which of them stands for each given one; the same for the same input."""
    if len(vectors) <= size:
        return vectors, torch.arange(len(vectors))
    generator = torch.Generator().manual_seed(0)
    centers, labels = _k_means(vectors, min(size, BRANCHES), generator)
    if size <= BRANCHES:
        return centers, labels
    parts, out = [], torch.empty(len(vectors), dtype=torch.long)
    counts = torch.bincount(labels, minlength=len(centers)).tolist()
    spare, first = size - sum(count > 0 for count in counts), 0
    for cluster, count in enumerate(counts):
        if count:
            members = torch.nonzero(labels == cluster)[:, 0]
            leaves = min(count, LEAVES_MAX, 1 + spare * count // len(vectors))
            part, inside = _k_means(vectors[members], leaves, generator)
            parts.append(part)
            out[members] = first + inside
            first += len(part)
    return torch.cat(parts), out


def _k_means(
    vectors: Float[Tensor, "n d"], count: int, generator: torch.Generator
) -> tuple[Float[Tensor, "k d"], Int64[Tensor, " n"]]:
    samples = vectors[torch.randperm(len(vectors), generator=generator)[:SAMPLES]]
    centers = samples[:count].clone()
    for _ in range(PALETTE_STEPS):
        centers = _means(samples, _nearest(samples, centers), centers)
    labels = _nearest(vectors, centers)
    return _means(vectors, labels, centers), labels


def _nearest(vectors: Float[Tensor, "n d"], centers: Float[Tensor, "k d"]) -> Int64[Tensor, " n"]:
    rows = max(1, CHUNK // len(centers))
    half_squares = centers.square().sum(dim=1) / 2
    return torch.cat([(half_squares - part @ centers.T).argmin(dim=1) for part in vectors.split(rows)])


def _means(vectors: Float[Tensor, "n d"], labels: Int[Tensor, " n"], centers: Float[Tensor, "k d"]) -> Float[Tensor, "k d"]:
    """The mean of the vectors of each label; the center where there are none."""
    counts = torch.bincount(labels, minlength=len(centers))[:, None]
    sums = torch.zeros_like(centers).index_add_(0, labels, vectors)
    return torch.where(counts > 0, sums / counts.clamp_min(1), centers)
