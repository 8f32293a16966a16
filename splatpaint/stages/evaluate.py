"""How good a finished run is, in numbers and in one picture.

With the truth behind the object (pictures named like the views), everything is judged: the hole, its box, the ring around it,
the rest. Without it, what can be known is judged: the known pixels against the photos (those held out, if any were), and
whether the fill is the same from every view.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from splatpaint.errors import RunError, WeightsError
from splatpaint.evaluation import Pair, Scorecard, evaluate
from splatpaint.evaluation.consistency import Seen, consistency
from splatpaint.evaluation.distribution import MIN_PICTURES, features, frechet, kernel
from splatpaint.evaluation.flip import Flip
from splatpaint.evaluation.metrics import MIN_LPIPS_PX, widened
from splatpaint.events import Events, Progressed, Saved
from splatpaint.image.files import IMAGE_SUFFIXES, read_image
from splatpaint.image.perceptual import Lpips
from splatpaint.image.region import bounding_box, dilate
from splatpaint.image.resample import resize_area
from splatpaint.image.sheet import write_sheet
from splatpaint.render.protocol import Rasterizer
from splatpaint.scene.photos import Photo, Photos
from splatpaint.scene.splats import Splats
from splatpaint.scene.views import Capture, spread
from splatpaint.stages.folder import plain, write_whole

STAGE = "eval"
SHEET_VIEWS = 6
"""Rows of the sheet."""
FAR_PX = 16
"""Farther from the mask than this, nothing at all should change."""


@dataclass(frozen=True)
class Metrics:
    """What measures, beside PSNR and SSIM; what is missing on this machine is left out and said."""

    lpips: Mapping[str, Lpips] = field(default_factory=dict)
    flip: Flip | None = None


def find_metrics(weights: Path | None) -> tuple[Metrics, list[str]]:
    """What this machine can measure with, and a sentence for each thing that it lacks.

    Args:
        weights: a folder with the trunks of LPIPS, if they are not in torch's hub cache.
    """
    nets, flip, missing = {}, None, []
    for net in ("alex", "vgg"):
        try:
            nets[net] = Lpips(net, weights=weights)
        except WeightsError as error:
            missing.append(str(error))
    try:
        flip = Flip()
    except WeightsError as error:
        missing.append(str(error))
    return Metrics(nets, flip), missing


@dataclass(frozen=True)
class Report:
    """Everything that was measured."""

    judged: str
    """Which views, against what."""
    card: Scorecard
    whole: Mapping[str, float]
    """Numbers of the scene rather than of a view: consistency, drift, distances between sets of pictures."""

    def write(self, path: Path, costs: Mapping[str, Mapping[str, float | None]]) -> None:
        """JSON: what was judged, means, whole, costs (the run's metrics.json), and every view."""
        content = {"judged": self.judged, "means": self.card.means, "whole": dict(self.whole), "costs": costs}
        write_whole(path, json.dumps(plain(content | {"views": self.card.views}), indent=1) + "\n")


@torch.no_grad()
def judge(
    reconstructed: Splats,
    filled: Splats,
    capture: Capture,
    rasterizer: Rasterizer,
    instruments: Metrics,
    *,
    truth: Path | None,
    out: Path,
    device: torch.device,
) -> Events[Report]:
    """Renders the views, each as its photo is exposed, and measures them; writes a sheet of pictures to `out/eval.png`.

    Args:
        reconstructed: the splats with the object.
        filled: the finished scene.
        capture: its views; their fill masks say where the holes are.
        rasterizer: any.
        instruments: what to measure with.
        truth: a folder of pictures without the object, named like the views, of their size.
        out: where the sheet goes.
        device: where everything happens.

    Raises:
        RunError: if a truth is missing or of another size.
    """
    views = capture.all_views if truth or not capture.held_out else capture.held_out
    truths = None if truth is None else {view.name: _truth_of(view.name, truth) for view in views}
    photos = Photos(views, device).as_taken()
    pairs, seen, drifts = [], [], []
    for done, (view, photo) in enumerate(zip(views, photos, strict=True), start=1):
        after = rasterizer(filled, photo.camera)
        color = view.exposure.apply(after.color).clamp(0, 1)
        if truths is not None:
            wanted = _read_truth(truths[photo.name], photo.camera.width, photo.camera.height).to(device)
        else:
            # What nobody knows is made to agree, so that it costs nothing.
            unknown = torch.maximum(photo.fill, 1 - photo.usable)
            wanted = torch.lerp(photo.image, color, unknown)
        pairs.append(Pair(photo.name, color[0], wanted[0], photo.fill[0]))
        if photo.fill.any():
            seen.append(Seen(photo.camera, color, after.depth, photo.fill))
        before = view.exposure.apply(rasterizer(reconstructed, photo.camera).color).clamp(0, 1)
        drifts.append(_far(photo, (color - before).abs()))
        yield Progressed(STAGE, done, 2 * len(photos))
    views_of_card = {}
    for done, pair in enumerate(pairs, start=1):
        views_of_card |= evaluate([pair], lpips=instruments.lpips, flip=instruments.flip).views
        yield Progressed(STAGE, len(photos) + done, 2 * len(photos))
    card = Scorecard(views_of_card if truth else {name: _only_known(scores) for name, scores in views_of_card.items()})
    whole = consistency(seen, lpips=instruments.lpips)
    whole |= {"splats": float(len(filled)), "splats/reconstructed": float(len(reconstructed))}
    whole["drift/far"] = 255 * float(torch.cat(drifts).mean()) if drifts else 0.0
    if truth and "vgg" in instruments.lpips:
        whole |= between_sets(pairs, instruments.lpips["vgg"])
    sheet = out / "eval.png"
    write_sheet(sheet, [_panels(pair, truth is not None) for pair in spread(pairs, SHEET_VIEWS)])
    yield Saved(STAGE, "truth, render and error", sheet)
    kind = "all" if truth or not capture.held_out else "held-out"
    against = "the truth" if truth else "the known pixels of the photos"
    return Report(f"{len(views)} {kind} views against {against}", card, whole)


def between_sets(pairs: Sequence[Pair], net: Lpips) -> dict[str, float]:
    """Fréchet and kernel distance between rendered and true crops of the holes, and how many there are; empty if too few."""
    crops: tuple[list[Tensor], list[Tensor]] = ([], [])
    for pair in pairs:
        box = bounding_box(pair.hole)
        if box is not None:
            box = widened(box, MIN_LPIPS_PX, width=pair.hole.shape[2], height=pair.hole.shape[1])
            for side, picture in zip(crops, (pair.render, pair.truth), strict=True):
                side.append(box.crop(picture)[None])
    if len(crops[0]) < MIN_PICTURES:
        return {}
    ours, true = (features(side, net) for side in crops)
    return {"frechet_vgg/bbox": frechet(ours, true), "kernel_vgg/bbox": kernel(ours, true), "n/bbox": float(len(ours))}


def _far(photo: Photo, change: Float[Tensor, "1 3 h w"]) -> Float[Tensor, " n"]:
    """The change at pixels far from the mask."""
    return change.mean(dim=1, keepdim=True)[dilate(photo.fill, FAR_PX) == 0]


def _only_known(scores: Mapping[str, float]) -> dict[str, float]:
    """Without a truth the hole's own scores mean nothing, and `full` is the known pixels alone."""
    return {
        name.replace("/full", "/known"): value
        for name, value in scores.items()
        if name.endswith(("/ring", "/known")) or (name.endswith("/full") and name.startswith("lpips"))
    }


def _truth_of(name: str, folder: Path) -> Path:
    for suffix in IMAGE_SUFFIXES:
        if (folder / f"{name}{suffix}").is_file():
            return folder / f"{name}{suffix}"
    raise RunError(f"{folder} has no truth for the view {name!r}: expected {name}.png there, one picture a view")


def _read_truth(path: Path, width: int, height: int) -> Float[Tensor, "1 3 h w"]:
    picture = read_image(path)[None]
    ours, theirs = width / height, picture.shape[3] / picture.shape[2]
    if abs(ours / theirs - 1) > 0.01:
        raise RunError(
            f"the truth {path} is {picture.shape[3]}x{picture.shape[2]} pixels and its view {width}x{height}, another shape: "
            "give pictures without lens distortion, taken by the capture's cameras"
        )
    return picture if picture.shape[2:] == (height, width) else resize_area(picture, width=width, height=height)


def _panels(pair: Pair, has_truth: bool) -> dict[str, Float[Tensor, "3 h w"]]:
    error = (3 * (pair.render - pair.truth).abs()).clamp(0, 1)
    panels = {"truth" if has_truth else "photo, hole as rendered": pair.truth, "render": pair.render, "error x 3": error}
    return {caption: _boxed(picture, pair.hole) for caption, picture in panels.items()}


def _boxed(picture: Float[Tensor, "3 h w"], hole: Float[Tensor, "1 h w"]) -> Float[Tensor, "3 h w"]:
    """The picture with the hole's box drawn in."""
    box = bounding_box(hole)
    if box is None:
        return picture
    frame = torch.zeros_like(hole)
    box.crop(frame).fill_(1)
    inner = torch.zeros_like(hole)
    inner[:, box.top + 1 : box.bottom - 1, box.left + 1 : box.right - 1] = 1
    yellow = torch.tensor([1.0, 0.85, 0.1]).to(picture)[:, None, None]
    return torch.where(frame - inner > 0, yellow, picture)
