"""Scores of the prior in captures: after customization (a LoRA), or with a neighboring view as reference.

Both are scored on holes in known parts of views that were not used for customization, against the photos.
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
from splatpaint.priors.customization_data import KnownPicture
from splatpaint.priors.customize import CustomizeConfig, customize
from splatpaint.priors.latent import LatentInpaintingPrior
from splatpaint.priors.protocol import PriorQuery, Reference
from splatpaint.scene.photos import Photos
from splatpaint.scene.views import spread
from splatpaint.stages.customize import known_picture
from splatpaint.stages.evaluate import Metrics

METRICS = ("psnr/hole", "lpips_alex/hole", "lpips_vgg/hole")
TESTED_EVERY = 4
"""Interval of the test views, which are excluded from customization."""
TEST_HOLES = 64
"""Approximate number of test holes for customization."""
TRIES = 50
"""Attempts to place a hole within known pixels."""


@dataclass(frozen=True, eq=False)
class TestHole:
    """A square crop of a view with a hole whose content is known."""

    picture: Tensor
    """(3, s, s)"""
    hole: Tensor
    """(1, s, s)"""
    beside: Tensor
    """The same crop of the neighboring view, (3, s, s)."""
    unknown: Tensor
    """1 where the neighboring view is unknown, (1, s, s)."""


def known_pictures(capture: Path, max_resolution: int) -> list[KnownPicture]:
    """The views of the capture in order, with their known pixels."""
    with tempfile.TemporaryDirectory() as cache:
        views = drain(prepare(capture, CaptureConfig(max_resolution=max_resolution), cache=Path(cache))).all_views
        return [known_picture(photo) for photo in Photos(views, torch.device("cpu"))]


def holes_in_views(pictures: Sequence[KnownPicture], tested: Sequence[int], side: int, seed: int) -> Iterator[TestHole]:
    """For every test view, one hole of each kind within the known pixels."""
    rng = np.random.default_rng(seed)
    for index in tested:
        picture, neighbor = pictures[index], pictures[index + 1 if index + 1 < len(pictures) else index - 1]
        for kind in HOLES:
            found = known_box(picture, side, kind, rng)
            if found is not None:
                box, hole = found
                beside = box.crop(neighbor.image)[0], 1 - box.crop(neighbor.known)[0]
                yield TestHole(box.crop(picture.image)[0], hole, *beside)


def known_box(picture: KnownPicture, side: int, kind: str, rng: np.random.Generator) -> tuple[Box, Tensor] | None:
    """A square of an image, of at most that side, and a hole (1, s, s) in it that covers known pixels only."""
    height, width = picture.image.shape[2:]
    size = min(side, height, width)
    for _ in range(TRIES):
        left, top = (int(rng.integers(extent - size + 1)) for extent in (width, height))
        box, hole = Box(left, top, left + size, top + size), draw_hole(kind, size, rng)
        if bool((box.crop(picture.known[0])[hole > 0] > 0).all()):
            return box, hole
    return None


@torch.no_grad()
def fill_and_score(
    prior: LatentInpaintingPrior, cases: Sequence[TestHole], steps: int, metrics: Metrics, *, beside: bool = False
) -> tuple[dict[str, float], list[Tensor]]:
    """Mean scores in the holes, and the filled images."""
    painted = []
    for case in cases:
        reference = Reference(case.beside[None], case.unknown[None]) if beside else None
        query = PriorQuery(case.picture[None], case.hole[None], reference=reference)
        painted.append(inpaint(prior, query, steps=steps, generator=torch.Generator().manual_seed(0))[0])
    scores = hole_scores(painted, [case.picture for case in cases], [case.hole for case in cases], metrics)
    return scores, painted


def hole_scores(
    painted: Sequence[Tensor], truth: Sequence[Tensor], holes: Sequence[Tensor], metrics: Metrics
) -> dict[str, float]:
    """Mean scores in the holes."""
    pairs = (Pair(str(i), *each) for i, each in enumerate(zip(painted, truth, holes, strict=True)))
    means = evaluate(pairs, lpips=metrics.lpips, lpips_of_full=False).means
    return {key: means[key] for key in METRICS if key in means} | {"n": float(len(painted))}


@dataclass(frozen=True)
class CustomizationResult:
    """Result of a customization."""

    before: dict[str, float]
    after: dict[str, float]
    seconds: float
    curve: list[tuple[int, float]]
    """Pairs of step and held-out loss."""
    pictures: dict[str, list[Tensor]]


def customize_and_score(
    prior: LatentInpaintingPrior, capture: Path, config: CustomizeConfig, steps: int, metrics: Metrics, *, side: int
) -> CustomizationResult:
    """Scores the test views before and after customization on the other views; the prior stays customized."""
    pictures = known_pictures(capture, max_resolution=2 * side)
    tested = list(range(1, len(pictures), TESTED_EVERY))
    rounds = math.ceil(TEST_HOLES / (len(HOLES) * len(tested)))
    cases = [case for number in range(rounds) for case in holes_in_views(pictures, tested, side, seed=1 + number)]
    before, plain = fill_and_score(prior, cases, steps, metrics)
    known = [picture for index, picture in enumerate(pictures) if index not in tested]
    curve: list[tuple[int, float]] = []
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        for event in customize(prior, spread(known, config.pictures), config, seed=0, out=Path(folder) / "lora.safetensors"):
            if isinstance(event, Progressed) and "held_out" in event.values:
                curve.append((event.done, float(event.values["held_out"])))
    seconds = time.perf_counter() - start
    after, customized = fill_and_score(prior, cases, steps, metrics)
    columns = {
        "given": [torch.where(case.hole > 0, 0.5, case.picture) for case in cases],
        "truth": [case.picture for case in cases],
        "before": plain,
        "after": customized,
    }
    return CustomizationResult(before, after, seconds, curve, columns)


def score_with_reference(
    prior: LatentInpaintingPrior, captures: Sequence[Path], steps: int, metrics: Metrics, *, side: int
) -> tuple[dict[str, dict[str, float]], dict[str, list[Tensor]]]:
    """Scores fills with and without the neighboring view as reference."""
    cases = []
    for capture in captures:
        pictures = known_pictures(capture, max_resolution=2 * side)
        cases += holes_in_views(pictures, spread(range(len(pictures)), 6), side, seed=2)
    alone, without = fill_and_score(prior, cases, steps, metrics)
    helped, beside = fill_and_score(prior, cases, steps, metrics, beside=True)
    columns = {
        "neighbor": [case.beside for case in cases],
        "given": [torch.where(case.hole > 0, 0.5, case.picture) for case in cases],
        "truth": [case.picture for case in cases],
        "alone": without,
        "beside": beside,
    }
    return {"alone": alone, "beside its neighbor": helped}, columns
