"""Fréchet and kernel distances between two sets of images, for images without a ground truth of their own.

Both compare features of VGG-16 (last ReLU, averaged over the image) instead of the Inception features of FID and KID, so values
are comparable within one table but not with published FIDs. Small sets bias the Fréchet distance upward (report n with it); the
kernel distance is unbiased.
"""

import math
from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor

from splatpaint.image.perceptual import Lpips

MIN_IMAGES = 8
"""Minimum size of a set."""


@torch.no_grad()
def features(images: Iterable[Float[Tensor, "1 3 _h _w"]], net: Lpips) -> Float[Tensor, "n d"]:
    """One feature vector per image; images may differ in size."""
    return torch.cat([net.embed(image) for image in images])


def frechet(a: Float[Tensor, "n d"], b: Float[Tensor, "m d"]) -> float:
    """Squared Fréchet distance between Gaussians fitted to two sets (Heusel et al. 2017, eq. 6).

    Raises:
        ValueError: if a set has fewer than `MIN_IMAGES` members.
    """
    _check_sizes(a, b)
    a, b = a.double(), b.double()
    means = (a.mean(dim=0) - b.mean(dim=0)).square().sum()
    # With covariances A = X'X and B = Y'Y, tr sqrt(A B) is the nuclear norm of XY', from which orthogonal factors drop out.
    x, y = (torch.linalg.qr((side - side.mean(dim=0)) / math.sqrt(len(side) - 1), mode="r").R for side in (a, b))
    return float(means + x.square().sum() + y.square().sum() - 2 * torch.linalg.matrix_norm(x @ y.T, ord="nuc"))


def kernel(a: Float[Tensor, "n d"], b: Float[Tensor, "m d"]) -> float:
    """Unbiased squared maximum mean discrepancy with the kernel (x.y / d + 1)^3 (Binkowski et al. 2018); may be negative.

    Raises:
        ValueError: if a set has fewer than `MIN_IMAGES` members.
    """
    _check_sizes(a, b)
    a, b = a.double(), b.double()

    def similarity(x: Tensor, y: Tensor) -> Tensor:
        return (x @ y.T / x.shape[1] + 1) ** 3

    def off_diagonal_mean(x: Tensor) -> Tensor:
        full = similarity(x, x)
        return (full.sum() - full.diagonal().sum()) / (len(x) * (len(x) - 1))

    return float(off_diagonal_mean(a) + off_diagonal_mean(b) - 2 * similarity(a, b).mean())


def _check_sizes(*sets: Tensor) -> None:
    for each in sets:
        if len(each) < MIN_IMAGES:
            raise ValueError(f"{len(each)} images are too few for a distribution: expected at least {MIN_IMAGES}")
