"""Evaluation of a finished run: metrics and a contact sheet.

With ground truth (images without the object, named like the views), all regions of all views are scored. Without it, the known
pixels are scored against the photos (the held-out ones, if any), and the fill by its multi-view consistency.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

import torch
from jaxtyping import Float
from torch import Tensor

from splatpaint.errors import RunError, WeightsError
from splatpaint.evaluation import Pair, Scorecard, evaluate
from splatpaint.evaluation.consistency import RenderedHole, consistency
from splatpaint.evaluation.distribution import MIN_IMAGES, features, frechet, kernel
from splatpaint.evaluation.flip import Flip
from splatpaint.evaluation.metrics import MIN_LPIPS_PX, enlarge
from splatpaint.events import Events, Progressed, Saved
from splatpaint.image.files import IMAGE_SUFFIXES, read_image
from splatpaint.image.perceptual import Lpips
from splatpaint.image.region import bounding_box, dilate
from splatpaint.image.resample import resize_area
from splatpaint.image.sheet import write_sheet
from splatpaint.masks.visibility import SAME_SURFACE
from splatpaint.render.protocol import Rasterizer
from splatpaint.scene.photos import Photo, Photos
from splatpaint.scene.splats import Splats
from splatpaint.scene.view_files import view_file
from splatpaint.scene.views import Capture, spread
from splatpaint.stages.folder import plain, write_whole

STAGE = "eval"
SHEET_VIEWS = 6
"""Rows of the sheet."""
FAR_PX = 16
"""Distance from the mask beyond which the scene should not change; pixels of a 480-px image."""


@dataclass(frozen=True)
class Metrics:
    """Metrics in addition to PSNR and SSIM, as far as their weights and packages are on this machine."""

    lpips: Mapping[str, Lpips] = field(default_factory=dict)
    flip: Flip | None = None


def find_metrics(weights: Path | None) -> tuple[Metrics, list[str]]:
    """The metrics available on this machine, and one sentence for each that is missing.

    Args:
        weights: a folder with the trunks of LPIPS. Default: torch's hub cache.
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
class EvaluationReport:
    """The result of an evaluation."""

    protocol: str
    """Which views were scored, and against what."""
    scorecard: Scorecard
    scene: Mapping[str, float]
    """Metrics of the scene as a whole: consistency, distances between sets of images, number of splats, and what the removal
    and its fill changed: away from the mask `drift/far`, the mean change of a color (of 255), and `depth_change/far`, the mean
    relative change of the rendered depth; in it `depth_residual/hole`, the share of its pixels whose depth is as before (mean
    over the views with a mask). All between the reconstruction, object included, and the finished scene."""

    def write(self, path: Path, costs: Mapping[str, Mapping[str, float | None]]) -> None:
        """Writes JSON with the keys judged (the protocol), means, whole (the scene), costs (the run's metrics.json) and
        views."""
        content = {"judged": self.protocol, "means": self.scorecard.means, "whole": dict(self.scene), "costs": costs}
        write_whole(path, json.dumps(plain(content | {"views": self.scorecard.views}), indent=1) + "\n")


@torch.no_grad()
def evaluate_run(
    reconstructed: Splats,
    filled: Splats,
    capture: Capture,
    rasterizer: Rasterizer,
    metrics: Metrics,
    *,
    truth: Path | None,
    out: Path,
    device: torch.device,
    left_out: Collection[str] = (),
) -> Events[EvaluationReport]:
    """Renders the views with the exposures of their photos, scores them, and writes a contact sheet to `out/eval.png`.

    Args:
        reconstructed: the splats with the object.
        filled: the finished scene.
        capture: the views; their fill masks are the holes.
        rasterizer: renders the views.
        metrics: metrics in addition to PSNR and SSIM.
        truth: a folder of images without the object, with the names and sizes of the views.
        out: the folder of the contact sheet.
        device: device of the computation.
        left_out: names of supervising views that are not scored: a view with a wrong pose says nothing about the fill.

    Raises:
        RunError: if a truth is missing or has another aspect ratio than its view.
    """
    everything = capture.all_views if truth or not capture.held_out else capture.held_out
    views = [view for view in everything if view.name not in left_out]
    truths = None if truth is None else {view.name: _truth_of(view.name, truth) for view in views}
    photos = Photos(views, device).as_taken()
    pairs, holes, drifts, depth_changes, residuals = [], [], [], [], []
    for done, (view, photo) in enumerate(zip(views, photos, strict=True), start=1):
        after = rasterizer(filled, photo.camera)
        color = view.exposure.apply(after.color).clamp(0, 1)
        if truths is not None:
            target = _read_truth(truths[photo.name], photo.camera.width, photo.camera.height).to(device)
        else:
            # Unknown pixels get the rendered color, so that their error is 0.
            unknown = torch.maximum(photo.fill, 1 - photo.usable)
            target = torch.lerp(photo.image, color, unknown)
        pairs.append(Pair(photo.name, color[0], target[0], photo.fill[0]))
        if photo.fill.any():
            holes.append(RenderedHole(photo.camera, color, after.depth, photo.fill))
        before = rasterizer(reconstructed, photo.camera)
        drifts.append(_away_from_mask((color - view.exposure.apply(before.color).clamp(0, 1)).abs(), photo))
        depth_changes.append(_away_from_mask(depth_change(before.depth, after.depth), photo))
        if photo.fill.any():
            residuals.append(depth_residual(before.depth, after.depth, photo.fill))
        yield Progressed(STAGE, done, 2 * len(photos))
    scores = {}
    for done, pair in enumerate(pairs, start=1):
        scores |= evaluate([pair], lpips=metrics.lpips, flip=metrics.flip).views
        yield Progressed(STAGE, len(photos) + done, 2 * len(photos))
    scorecard = Scorecard(scores if truth else {name: _known_only(of_view) for name, of_view in scores.items()})
    scene = consistency(holes, lpips=metrics.lpips)
    scene |= {"splats": float(len(filled)), "splats/reconstructed": float(len(reconstructed))}
    scene["drift/far"] = 255 * float(torch.cat(drifts).mean()) if drifts else 0.0
    scene["depth_change/far"] = float(torch.cat(depth_changes).mean()) if depth_changes else 0.0
    if residuals:
        scene["depth_residual/hole"] = fmean(residuals)
    if truth and "vgg" in metrics.lpips:
        scene |= between_sets(pairs, metrics.lpips["vgg"])
    sheet = out / "eval.png"
    write_sheet(sheet, [_panels(pair, truth is not None) for pair in spread(pairs, SHEET_VIEWS)])
    yield Saved(STAGE, "truth, render and error", sheet)
    kind = "all" if truth or not capture.held_out else "held-out"
    against = "the truth" if truth else "the known pixels of the photos"
    but = f", {len(everything) - len(views)} with contradicting poses left out" if len(views) < len(everything) else ""
    return EvaluationReport(f"{len(views)} {kind} views against {against}{but}", scorecard, scene)


def between_sets(pairs: Sequence[Pair], net: Lpips) -> dict[str, float]:
    """Fréchet and kernel distance between rendered and true crops of the holes, and their number; empty if there are too
    few."""
    crops: tuple[list[Tensor], list[Tensor]] = ([], [])
    for pair in pairs:
        box = bounding_box(pair.hole)
        if box is not None:
            box = enlarge(box, MIN_LPIPS_PX, width=pair.hole.shape[2], height=pair.hole.shape[1])
            for side, image in zip(crops, (pair.render, pair.truth), strict=True):
                side.append(box.crop(image)[None])
    if len(crops[0]) < MIN_IMAGES:
        return {}
    ours, true = (features(side, net) for side in crops)
    return {"frechet_vgg/bbox": frechet(ours, true), "kernel_vgg/bbox": kernel(ours, true), "n/bbox": float(len(ours))}


def depth_change(before: Float[Tensor, "1 1 h w"], after: Float[Tensor, "1 1 h w"]) -> Float[Tensor, "1 1 h w"]:
    """|after - before| / before of rendered z-depths, as a share; 1 where only one of them is known, 0 where neither is."""
    known = before > 0
    relative = (after - before).abs() / torch.where(known, before, 1.0)
    return torch.where(known, relative, (after > 0).to(relative))


def depth_residual(before: Float[Tensor, "1 1 h w"], after: Float[Tensor, "1 1 h w"], mask: Float[Tensor, "1 1 h w"]) -> float:
    """Share of the mask's pixels whose rendered z-depth is as it was with the object, up to `SAME_SURFACE`: what of it did not
    go. 0 = all went.

    This is 1 minus the depth accuracy of Remove360 (Kocour et al. 2025, arXiv 2508.11431, evaluation_depth.py), but for its
    threshold, which each picture has its own by its histogram: that finds a change where nothing was removed. A thing flatter
    than the tolerance, and what a loose mask covers beside it, count as residual in every method.
    """
    return float((depth_change(before, after)[mask > 0] <= SAME_SURFACE).float().mean())


def _away_from_mask(change: Float[Tensor, "1 c h w"], photo: Photo) -> Float[Tensor, " n"]:
    """The mean change over channels, at the pixels farther than `FAR_PX` from the mask."""
    return change.mean(dim=1, keepdim=True)[dilate(photo.fill, photo.camera.px(FAR_PX)) == 0]


def _known_only(scores: Mapping[str, float]) -> dict[str, float]:
    """The scores that are valid without ground truth: those of known pixels. LPIPS of the full image counts as one."""
    return {
        name.replace("/full", "/known"): value
        for name, value in scores.items()
        if name.endswith(("/ring", "/known")) or (name.endswith("/full") and name.startswith("lpips"))
    }


def _truth_of(name: str, folder: Path) -> Path:
    for suffix in IMAGE_SUFFIXES:
        if (file := view_file(folder, name, suffix)).is_file():
            return file
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
    """The image with the bounding box of the hole drawn in."""
    box = bounding_box(hole)
    if box is None:
        return picture
    frame = torch.zeros_like(hole)
    box.crop(frame).fill_(1)
    inner = torch.zeros_like(hole)
    inner[:, box.top + 1 : box.bottom - 1, box.left + 1 : box.right - 1] = 1
    yellow = torch.tensor([1.0, 0.85, 0.1]).to(picture)[:, None, None]
    return torch.where(frame - inner > 0, yellow, picture)
