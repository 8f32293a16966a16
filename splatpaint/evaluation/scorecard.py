"""Scores of renders against ground truth, by metric and region.

Regions: `full`, the whole image; `hole`, the filled pixels; `known`, all other pixels; `bbox`, the bounding box of the hole
grown by a tenth of its size on each side and clipped; `ring`, the pixels outside the hole within 16 px of it. PSNR, SSIM and
FLIP are averaged over the pixels of the region. LPIPS is computed on the whole image (`full`), on the cropped box (`bbox`), and
on the cropped box with the truth outside the hole (`hole`). The last one scores the fill alone, as for methods that keep the
photos around it.
`psnr_affine` is PSNR after fitting a gain and an offset per channel outside the hole; its difference to `psnr` is the cost of a
different exposure.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean

import torch
from jaxtyping import Float
from torch import Tensor

from splatpaint.evaluation.flip import Flip
from splatpaint.evaluation.metrics import fit_exposure, lpips_in_box, psnr
from splatpaint.image.perceptual import Lpips
from splatpaint.image.region import Box, bounding_box, masked_mean, ring
from splatpaint.image.ssim import ssim

RING_PX = 16
"""Width of the region `ring`."""


@dataclass(frozen=True, eq=False)
class Pair:
    """A render with its ground truth and its hole (1 = filled)."""

    name: str
    render: Float[Tensor, "3 h w"]
    truth: Float[Tensor, "3 h w"]
    hole: Float[Tensor, "1 h w"]


@dataclass(frozen=True)
class Scorecard:
    """Scores of every view by name, such as `psnr/hole` (dB) or `lpips_alex/bbox`."""

    views: Mapping[str, Mapping[str, float]]
    """Scores that a view does not have (its hole is empty) are left out."""

    @property
    def means(self) -> dict[str, float]:
        """Mean of every score over the views that have it."""
        names = dict.fromkeys(name for scores in self.views.values() for name in scores)
        return {name: fmean(scores[name] for scores in self.views.values() if name in scores) for name in names}


@torch.no_grad()
def evaluate(
    pairs: Iterable[Pair], *, lpips: Mapping[str, Lpips] | None = None, flip: Flip | None = None, lpips_of_full: bool = True
) -> Scorecard:
    """Scores every render.

    Args:
        pairs: may be a generator, so that only one view is in memory.
        lpips: LPIPS by the name of the net (`alex`, `vgg`).
        flip: FLIP; None leaves it out.
        lpips_of_full: whether LPIPS is computed on the whole image, which takes longer than everything else together.
    """
    return Scorecard({pair.name: _scores(pair, lpips or {}, flip, lpips_of_full) for pair in pairs})


def _scores(pair: Pair, lpips: Mapping[str, Lpips], flip: Flip | None, lpips_of_full: bool) -> dict[str, float]:
    x, y, hole = pair.render[None], pair.truth[None], pair.hole[None]
    box = bounding_box(pair.hole)
    regions = {"full": torch.ones_like(hole), "hole": hole, "known": 1 - hole, "ring": ring(hole, RING_PX)}
    if box is not None:
        regions["bbox"] = _box_mask(box, hole)
    scores = {}
    fitted = fit_exposure(x, y, region=1 - hole)
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


def _box_mask(box: Box, like: Tensor) -> Tensor:
    region = torch.zeros_like(like)
    box.crop(region).fill_(1)
    return region
