"""Photos to splats: the background as if the object had never been there, and the object beside it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from splatpaint.errors import FormatError
from splatpaint.events import Events, Measured, Noted
from splatpaint.fit.exposures import exposures_of
from splatpaint.fit.photos import ReconstructConfig, fit_photos, without
from splatpaint.formats import read_found
from splatpaint.formats.offset import read_offset
from splatpaint.masks.object_layer import ObjectLayer
from splatpaint.masks.visibility import DepthView
from splatpaint.render.protocol import Rasterizer
from splatpaint.scene.exposure import Exposure
from splatpaint.scene.frames import in_world
from splatpaint.scene.photos import Photos
from splatpaint.scene.splats import Splats, concatenate
from splatpaint.scene.views import Capture, PointCloud, spread, with_exposures

__all__ = ["STAGE", "ReconstructConfig", "Reconstruction", "adopt", "held_out_psnr", "reconstruct"]

STAGE = "reconstruct"
ADOPTED_VIEWS = 8
"""Number of photos that adopted splats are compared with."""
FOREIGN_DB = 15.0
"""Adopted splats that are farther from the photos than this are hardly theirs."""
OBJECTS = 0.5
"""A sparse point is the object's if more than this share of the photos with it in their frame show the object there."""


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """The scene as the photos show it, and how each of them shows it."""

    splats: Splats
    """The background first, then the object if it was located."""
    exposures: Mapping[str, Exposure]
    """By name of a view that supervises; empty if all are taken to be exposed alike."""
    contradicting: tuple[str, ...] = ()
    """Names of the views whose poses contradict the others', once that is known (see fit/contradicting_views.py)."""


def reconstruct(
    capture: Capture,
    photos: Photos,
    rasterizer: Rasterizer,
    config: ReconstructConfig,
    *,
    seed: int,
    located: ObjectLayer | None = None,
    checkpoint: Path | None = None,
) -> Events[Reconstruction]:
    """Splats fitted to the capture's views, in the capture's world.

    Pixels under an ignore mask never count. Nor do those that show the located object: splats that are fitted together with an
    object carry its colors where they reach beyond its outline, and would stain the scene without it. Held-out views are
    measured, not learned.

    Args:
        capture: where splats may start, and what is held out.
        photos: of the capture's supervising views.
        rasterizer: any.
        config: see there.
        seed: same seed, same splats (on a CPU, bit for bit).
        located: the object, which is beside the background in the result; None: nothing is to be removed.
        checkpoint: where the state is kept every now and then; continued from if it exists.
    """
    assert capture.points is not None, "prepare() gives every capture points"
    points = capture.points if located is None else outside(capture.points, photos, located)
    occluded = {} if located is None else located.occluded
    background = yield from fit_photos(
        points, photos, rasterizer, config, stage=STAGE, seed=seed, occluded=occluded, checkpoint=checkpoint
    )
    splats = background if located is None else concatenate([background, located.splats])
    clean = (without(photo, occluded) for photo in photos)
    result = Reconstruction(splats, exposures_of(background, clean, rasterizer) if config.exposures else {})
    if capture.held_out:
        judged = photos.of(with_exposures(capture, result.exposures).held_out)
        yield Measured(STAGE, held_out_psnr(splats, judged, rasterizer))
    return result


def outside(points: PointCloud, photos: Photos, located: ObjectLayer) -> PointCloud:
    """The points that are not the object's."""
    inside = torch.zeros(len(points.positions))
    looked = torch.zeros_like(inside)
    for photo in photos:
        occluded = located.occluded[photo.name].cpu()
        sighting = DepthView(photo.camera.to("cpu"), occluded.float()).sight(points.positions)
        inside += sighting.in_frame * (sighting.surface > 0)
        looked += sighting.in_frame
    stays = inside <= OBJECTS * looked.clamp_min(1)
    return replace(points, positions=points.positions[stays], colors=points.colors[stays])


@torch.no_grad()
def adopt(
    file: Path, capture: Capture, photos: Photos, rasterizer: Rasterizer, config: ReconstructConfig
) -> Events[Reconstruction]:
    """Splats that another tool fitted, or an earlier run, brought into the capture's world; measured against its photos.

    Args:
        file: a splat file of any format, in the frame of the capture's poses or relative to an offset that it names.
        capture: gives the frame.
        photos: of its supervising views.
        rasterizer: any.
        config: says whether photos have exposures.

    Raises:
        FormatError: if the file holds no splats.
    """
    found = read_found(file)
    for note in found.notes:
        yield Noted(STAGE, f"{file}: {note}", "warning")
    if len(found.splats) == 0:
        raise FormatError(f"{file} holds no splats")
    world_from_file = capture.world_from_input.from_place(read_offset(file))
    splats = in_world(found.splats, world_from_file).to(photos.device)
    exposures = exposures_of(splats, photos, rasterizer) if config.exposures else {}
    shown = held_out_psnr(splats, photos.of(spread(capture.views, ADOPTED_VIEWS)), rasterizer).get("held_out_psnr")
    yield Noted(STAGE, f"{len(splats)} splats from {file}")
    if shown is not None:
        if shown < FOREIGN_DB:
            message = f"{file} shows the photos at only {shown:.1f} dB: are its splats in the frame of the poses?"
            yield Noted(STAGE, message, "warning")
        yield Measured(STAGE, {"adopted_psnr": shown})
    return Reconstruction(splats, exposures)


@torch.no_grad()
def held_out_psnr(splats: Splats, photos: Photos, rasterizer: Rasterizer) -> dict[str, float]:
    """Mean PSNR in dB over views: of all usable pixels, and of those that no fill mask covers; neither if no view has any.

    Photos are judged as they were taken: what is rendered gets the exposure that they are given.
    """
    whole, unmasked = [], []
    for view, photo in zip(photos.views, photos.as_taken(), strict=True):
        rendered = view.exposure.apply(rasterizer(splats, photo.camera).color).clamp(0, 1)
        squared = (rendered - photo.image).square().mean(dim=1, keepdim=True)
        for scores, weight in ((whole, photo.usable), (unmasked, photo.usable * (1 - photo.fill))):
            if weight.any():
                mse = (squared * weight).sum() / weight.sum()
                scores.append(float(-10 * torch.log10(mse.clamp_min(1e-10))))
    means = {"held_out_psnr": whole, "held_out_psnr_unmasked": unmasked}
    return {name: sum(scores) / len(scores) for name, scores in means.items() if scores}
