"""What a prior makes of a scene that it may look at: learned beforehand (a LoRA), or shown beside the hole (a reference).

Both are measured on holes in known parts of views that the prior has not learned from, against the photos themselves.
"""

import math
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.prior_holes import HOLES, draw_hole
from splatpaint.capture import CaptureConfig, prepare
from splatpaint.evaluation import Pair, evaluate
from splatpaint.events import Progressed, drain
from splatpaint.image.region import Box
from splatpaint.priors.crops import inpaint
from splatpaint.priors.customization_data import MaskedPhoto
from splatpaint.priors.customize import CustomizeConfig, customize
from splatpaint.priors.latent import LatentInpaintingPrior
from splatpaint.priors.protocol import PriorQuery, Reference
from splatpaint.scene.photos import Photos
from splatpaint.scene.views import spread
from splatpaint.stages.customize import masked_photo
from splatpaint.stages.evaluate import Metrics

METRICS = ("psnr/hole", "lpips_alex/hole", "lpips_vgg/hole")
TESTED_EVERY = 4
"""Every so many-th view is painted in and never learned from."""
QUESTIONS = 64
"""About so many are asked of a prior that learns: the fewer views are tested, the more each."""
TRIES = 50


@dataclass(frozen=True, eq=False)
class Question:
    """A square part of a view with a hole whose content is known."""

    picture: Tensor
    """(3, s, s)"""
    hole: Tensor
    """(1, s, s)"""
    beside: Tensor
    """The same part of the neighboring view, (3, s, s)."""
    unknown: Tensor
    """Where the neighbor says nothing, (1, s, s)."""


def known_pictures(capture: Path, max_resolution: int) -> list[MaskedPhoto]:
    """The capture's views in order, with what their masks leave."""
    with tempfile.TemporaryDirectory() as cache:
        views = drain(prepare(capture, CaptureConfig(max_resolution=max_resolution), cache=Path(cache))).all_views
        return [masked_photo(photo) for photo in Photos(views, torch.device("cpu"))]


def questions(pictures: Sequence[MaskedPhoto], tested: Sequence[int], side: int, seed: int) -> Iterator[Question]:
    """For every tested view a hole of every kind that stays within what is known."""
    rng = np.random.default_rng(seed)
    for index in tested:
        picture, neighbor = pictures[index], pictures[index + 1 if index + 1 < len(pictures) else index - 1]
        for kind in HOLES:
            found = known_box(picture, side, kind, rng)
            if found is not None:
                box, hole = found
                beside = box.crop(neighbor.image)[0], 1 - box.crop(neighbor.known)[0]
                yield Question(box.crop(picture.image)[0], hole, *beside)


def known_box(picture: MaskedPhoto, side: int, kind: str, rng: np.random.Generator) -> tuple[Box, Tensor] | None:
    """A square of a picture, of at most that side, and a hole (1, s, s) in it that hides nothing but what is known."""
    height, width = picture.image.shape[2:]
    size = min(side, height, width)
    for _ in range(TRIES):
        left, top = (int(rng.integers(extent - size + 1)) for extent in (width, height))
        box, hole = Box(left, top, left + size, top + size), draw_hole(kind, size, rng)
        if bool((box.crop(picture.known[0])[hole > 0] > 0).all()):
            return box, hole
    return None


@torch.no_grad()
def answered(
    prior: LatentInpaintingPrior, asked: Sequence[Question], steps: int, instruments: Metrics, *, beside: bool = False
) -> tuple[dict[str, float], list[Tensor]]:
    """Mean scores in the holes, and the painted pictures."""
    painted = []
    for question in asked:
        reference = Reference(question.beside[None], question.unknown[None]) if beside else None
        query = PriorQuery(question.picture[None], question.hole[None], reference=reference)
        painted.append(inpaint(prior, query, steps=steps, generator=torch.Generator().manual_seed(0))[0])
    scores = in_holes(painted, [question.picture for question in asked], [question.hole for question in asked], instruments)
    return scores, painted


def in_holes(
    painted: Sequence[Tensor], truth: Sequence[Tensor], holes: Sequence[Tensor], instruments: Metrics
) -> dict[str, float]:
    """Means over pictures."""
    pairs = (Pair(str(i), *each) for i, each in enumerate(zip(painted, truth, holes, strict=True)))
    means = evaluate(pairs, lpips=instruments.lpips, lpips_of_full=False).means
    return {key: means[key] for key in METRICS if key in means} | {"n": float(len(painted))}


@dataclass(frozen=True)
class Learned:
    """What customisation did."""

    before: dict[str, float]
    after: dict[str, float]
    seconds: float
    curve: list[tuple[int, float]]
    """Step and held-out loss."""
    pictures: dict[str, list[Tensor]]


def learned(
    prior: LatentInpaintingPrior, capture: Path, config: CustomizeConfig, steps: int, instruments: Metrics, *, side: int
) -> Learned:
    """Paints in the tested views before and after the prior has learned the others; the prior keeps what it learned."""
    pictures = known_pictures(capture, max_resolution=2 * side)
    tested = list(range(1, len(pictures), TESTED_EVERY))
    rounds = math.ceil(QUESTIONS / (len(HOLES) * len(tested)))
    asked = [question for number in range(rounds) for question in questions(pictures, tested, side, seed=1 + number)]
    before, plain = answered(prior, asked, steps, instruments)
    known = [picture for index, picture in enumerate(pictures) if index not in tested]
    curve: list[tuple[int, float]] = []
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        for event in customize(prior, spread(known, config.pictures), config, seed=0, out=Path(folder) / "lora.safetensors"):
            if isinstance(event, Progressed) and "held_out" in event.values:
                curve.append((event.done, float(event.values["held_out"])))
    seconds = time.perf_counter() - begun
    after, taught = answered(prior, asked, steps, instruments)
    columns = {
        "given": [torch.where(question.hole > 0, 0.5, question.picture) for question in asked],
        "truth": [question.picture for question in asked],
        "before": plain,
        "after": taught,
    }
    return Learned(before, after, seconds, curve, columns)


def shown(
    prior: LatentInpaintingPrior, captures: Sequence[Path], steps: int, instruments: Metrics, *, side: int
) -> tuple[dict[str, dict[str, float]], dict[str, list[Tensor]]]:
    """Paints with and without the neighboring view beside the hole."""
    asked = []
    for capture in captures:
        pictures = known_pictures(capture, max_resolution=2 * side)
        asked += questions(pictures, spread(range(len(pictures)), 6), side, seed=2)
    alone, without = answered(prior, asked, steps, instruments)
    helped, beside = answered(prior, asked, steps, instruments, beside=True)
    columns = {
        "neighbor": [question.beside for question in asked],
        "given": [torch.where(question.hole > 0, 0.5, question.picture) for question in asked],
        "truth": [question.picture for question in asked],
        "alone": without,
        "beside": beside,
    }
    return {"alone": alone, "beside its neighbor": helped}, columns
