"""Practice holes: which way of painting comes nearest to the truth where the truth is known.

Beside the hole of a view its photo shows surface that the fill may resemble. A hole of the same shape is put there and painted
in every way, by the functions that paint the real one. Plain surface is best painted smoothly, which no piece of the photo
matches to the last decibel; a texture is best copied, since a smooth fill of it is a blur.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import torch
from jaxtyping import Float
from torch import Tensor

from splatpaint.events import Events, Measured, Noted, Progressed
from splatpaint.fill.config import STAGE, FillConfig
from splatpaint.fill.practice_holes import PracticeHole, practice_holes
from splatpaint.fill.tools import Tools
from splatpaint.fill.views import ObservedView
from splatpaint.fill.ways import HolePainter, Way
from splatpaint.image.harmonic import harmonic_fill
from splatpaint.image.region import masked_mean
from splatpaint.image.resample import working_size
from splatpaint.image.shift_map import GUIDE_DECAY_PX
from splatpaint.image.texture_distance import texture_distance
from splatpaint.priors.crops import inpaint as paint
from splatpaint.priors.crops import resized
from splatpaint.priors.protocol import Prior, PriorQuery
from splatpaint.streams import generator, stream_seed

WAYS = (Way("smooth"), Way("prior"), *(Way("pieces", weight) for weight in (0.4, 0.7, 1.0)))
"""What is practiced."""
MAX_SIDE_PX = 128
"""Larger crops are reduced to about the area of a square of this side: ways are compared, not judged."""
KEPT_DETAIL = 0.5
"""Share of the covariance of copied detail and the truth that is left once splats are fitted to many views."""
MIRRORED = ((), (3,), (2,), (2, 3))
"""Axes along which pictures are mirrored."""
MIN_ERROR = 1e-8
"""Squared errors below this are no better: 80 dB."""
MAX_LOSS_DB = 1.0
"""Ways that lose no more PSNR than this against the best are compared by perceptual distance. Much of a lead of the smooth way
is lost in a scene, where the prior's errors average out from view to view and those of the smooth way do not."""


@dataclass(frozen=True)
class PracticeScore:
    """How near a way came to the truth, mean over practice holes."""

    psnr: float
    """dB, within the hole."""
    distance: float
    """Perceptual distance, within the hole."""


def choose_finish(views: Sequence[ObservedView], tools: Tools, config: FillConfig) -> Events[Way | None]:
    """How the last round paints; None: by the prior, as the rounds before. Only `auto` may practice."""
    match config.finish:
        case "prior":
            return None
        case "smooth":
            return Way("smooth")
        case "exemplar":
            return Way("pieces", config.exemplar_weight)
        case "auto" if tools.prior.max_steps is None:
            return None
        case "auto":
            return (yield from practiced_way(views, tools, config))


@torch.no_grad()
def practiced_way(views: Sequence[ObservedView], tools: Tools, config: FillConfig) -> Events[Way]:
    """The way that came nearest to the truth on practice holes; copies at `exemplar_weight` where none has room.

    Args:
        views: of the scene without the object, with their holes.
        tools: prior and seed.
        config: gives the weight of copies without practice.
    """
    holes = list(practice_holes(views))
    every = []
    for number, hole in enumerate(holes):
        every.append(practice(hole, tools.prior, seed=stream_seed(tools.seed, view=number)))
        yield Progressed(STAGE, number + 1, len(holes), part="practice")
    if not every:
        yield Noted(STAGE, "no photo shows room for a practice hole beside a hole: the fill is copied from the photos")
        return Way("pieces", config.exemplar_weight)
    means = {
        way: PracticeScore(fmean(each[way].psnr for each in every), fmean(each[way].distance for each in every)) for way in WAYS
    }
    way = best_way(means)
    yield Noted(STAGE, f"{way.sentence}, {means[way].psnr:.1f} dB on {len(every)} practice holes")
    yield Measured(STAGE, {"practice/holes": len(every)} | {f"practice/psnr/{each.name}": means[each].psnr for each in WAYS})
    yield Measured(STAGE, {f"practice/distance/{each.name}": means[each].distance for each in WAYS})
    return way


def best_way(scores: Mapping[Way, PracticeScore]) -> Way:
    """Of the ways within `MAX_LOSS_DB` of the highest PSNR the one of the smallest perceptual distance."""
    highest = max(score.psnr for score in scores.values())
    good = [way for way, score in scores.items() if score.psnr >= highest - MAX_LOSS_DB]
    return min(good, key=lambda way: scores[way].distance)


def practice(hole: PracticeHole, prior: Prior, *, seed: int) -> dict[Way, PracticeScore]:
    """How near every way comes to the truth in one practice hole.

    What happens to the views of a scene is imitated in the one view. Splats show what the prior paints into many views on
    average; here it paints the mirrored pictures too. And pieces are a little displaced from view to view, so that only
    `KEPT_DETAIL` of what they get right by their position counts; the rest is as if error and detail were independent.

    Args:
        hole: what is painted.
        prior: paints the mean.
        seed: of all that is random.
    """
    view, box = hole.view, hole.box
    height, width = working_size(box.height, box.width, side_px=MAX_SIDE_PX, multiple=prior.codec.stride, enlarge=False)
    known = harmonic_fill(view.image, view.unknown)  # real holes are not practiced on, nor copied from
    truth, source, inside = (
        resized(each, (height, width)) for each in (box.crop(known), box.crop(view.observed), hole.hole.to(known))
    )
    query = PriorQuery(images=truth, holes=(inside > 0.5).to(inside))
    painter = HolePainter(query, (source == 1).to(source), _mean_of_mirrored(prior, query, seed), seed, GUIDE_DECAY_PX)
    scores = {}
    for way in WAYS:
        painted = painter.paint(way)
        error = (painted - truth).square()
        if way.kind == "pieces":
            independent = (painter.guide - truth).square() + (painted - painter.guide).square()
            error = torch.lerp(independent, error, KEPT_DETAIL)
        psnr = -10 * torch.log10(masked_mean(error, query.holes).clamp_min(MIN_ERROR))
        distance = masked_mean(texture_distance(painted, truth), query.holes)
        scores[way] = PracticeScore(float(psnr), float(distance))
    return scores


def _mean_of_mirrored(prior: Prior, query: PriorQuery, seed: int) -> Float[Tensor, "1 3 h w"]:
    """The mean of what the prior paints into the picture and its mirror images, mirrored back."""
    painted = []
    for axes in MIRRORED:
        mirrored = PriorQuery(query.images.flip(axes), query.holes.flip(axes))
        painted.append(paint(prior, mirrored, steps=1, generator=generator(seed)).flip(axes))
    return torch.stack(painted).mean(dim=0)
