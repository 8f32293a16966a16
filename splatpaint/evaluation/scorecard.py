"""Renders against truths: which numbers are taken where, and how they are kept.

Regions (the metrics protocol): `full`, the whole picture; `hole`, the pixels to be painted; `known`, all others; `bbox`, the
hole's box grown by a tenth of its size on each side, clipped; `ring`, what is outside the hole up to 16 px away. PSNR and SSIM
are averaged over the region's pixels; LPIPS is taken on the whole picture (`full`), on the cropped box (`bbox`), and on the
cropped box with the truth everywhere but in the hole (`hole`), which judges the fill alone, as methods that keep the photos
around it are judged.
`psnr_affine` is PSNR after the gain and offset a channel that fit the picture to the truth outside the hole: what a different
exposure costs is the difference between the two.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean

import torch
from jaxtyping import Float
from torch import Tensor

from splatpaint.evaluation.flip import Flip
from splatpaint.evaluation.metrics import lpips_in_box, psnr, recolored
from splatpaint.image.perceptual import Lpips
from splatpaint.image.region import Box, bounding_box, masked_mean, ring
from splatpaint.image.ssim import ssim

RING_PX = 16


@dataclass(frozen=True, eq=False)
class Pair:
    """A picture to be judged, with the truth and the pixels that had to be painted."""

    name: str
    render: Float[Tensor, "3 h w"]
    truth: Float[Tensor, "3 h w"]
    hole: Float[Tensor, "1 h w"]


@dataclass(frozen=True)
class Scorecard:
    """Scores by view and name, such as `psnr/hole` (dB) or `lpips_alex/bbox`."""

    views: Mapping[str, Mapping[str, float]]
    """Scores that do not exist for a view (its hole is empty) are left out."""

    @property
    def means(self) -> dict[str, float]:
        """Every score averaged over the views that have it."""
        names = dict.fromkeys(name for scores in self.views.values() for name in scores)
        return {name: fmean(scores[name] for scores in self.views.values() if name in scores) for name in names}


@torch.no_grad()
def evaluate(
    pairs: Iterable[Pair], *, lpips: Mapping[str, Lpips] | None = None, flip: Flip | None = None, lpips_of_full: bool = True
) -> Scorecard:
    """Judges every picture.

    Args:
        pairs: may be a generator, so that only one view is in memory.
        lpips: perceptual distances to take beside PSNR and SSIM, by the net's name (`alex`, `vgg`).
        flip: whether to take FLIP too.
        lpips_of_full: whether LPIPS is taken on the whole picture too, which costs more than all the rest together.
    """
    return Scorecard({pair.name: _scores(pair, lpips or {}, flip, lpips_of_full) for pair in pairs})


def _scores(pair: Pair, lpips: Mapping[str, Lpips], flip: Flip | None, lpips_of_full: bool) -> dict[str, float]:
    x, y, hole = pair.render[None], pair.truth[None], pair.hole[None]
    box = bounding_box(pair.hole)
    regions = {"full": torch.ones_like(hole), "hole": hole, "known": 1 - hole, "ring": ring(hole, RING_PX)}
    if box is not None:
        regions["bbox"] = _filled(box, hole)
    scores = {}
    fitted = recolored(x, y, region=1 - hole)
    perceived = flip.map(x, y) if flip else None
    for name, region in regions.items():
        if region.any():
            scores[f"psnr/{name}"] = psnr(x, y, region=region).item()
            scores[f"psnr_affine/{name}"] = psnr(fitted, y, region=region).item()
            scores[f"ssim/{name}"] = ssim(x, y, region=region).item()
            if perceived is not None:
                scores[f"flip/{name}"] = masked_mean(perceived, region).item()
    for net, distance in lpips.items():
        if box is not None:
            scores[f"lpips_{net}/bbox"] = lpips_in_box(distance, x, y, box).item()
            scores[f"lpips_{net}/hole"] = lpips_in_box(distance, torch.lerp(y, x, hole), y, box).item()
        if lpips_of_full:
            scores[f"lpips_{net}/full"] = distance(x, y).item()
    return scores


def _filled(box: Box, like: Tensor) -> Tensor:
    region = torch.zeros_like(like)
    box.crop(region).fill_(1)
    return region
