"""Locates the object that the masks mark: a quick fit of everything, in which its splats are found."""

from dataclasses import replace
from pathlib import Path

from splatpaint.events import Events, Measured
from splatpaint.fit.photos import ReconstructConfig, fit_photos
from splatpaint.masks.object_layer import ObjectLayer, object_layer
from splatpaint.masks.selection import RemoveConfig, masked_views
from splatpaint.render.protocol import Rasterizer
from splatpaint.scene.photos import Photos
from splatpaint.scene.views import Capture

STAGE = "locate"
FEWER_SPLATS = 2
"""There may be so many times fewer splats than in the reconstruction: photos are seen at half their size."""


def locate(
    capture: Capture,
    photos: Photos,
    rasterizer: Rasterizer,
    config: ReconstructConfig,
    masks: RemoveConfig,
    *,
    seed: int,
    checkpoint: Path | None = None,
) -> Events[ObjectLayer]:
    """The object's splats, and where every photo shows it.

    Args:
        capture: where splats may start.
        photos: of the capture's supervising views, with their masks.
        rasterizer: any.
        config: of the reconstruction that follows.
        masks: how masks select splats.
        seed: same seed, same splats (on a CPU, bit for bit).
        checkpoint: where the state is kept every now and then; continued from if it exists.

    Raises:
        MaskError: if the masks select no splats, or all of them.
    """
    assert capture.points is not None, "prepare() gives every capture points"
    quick = replace(
        config,
        steps=max(1, round(config.locate_share * config.steps)),
        density=replace(config.density, max_splats=max(1, config.density.max_splats // FEWER_SPLATS)),
    )
    everything = yield from fit_photos(
        capture.points, photos, rasterizer, quick, stage=STAGE, seed=seed, coarse=True, checkpoint=checkpoint
    )
    names = [photo.name for photo in photos.views]
    found = object_layer(everything, names, masked_views(photos, masks), rasterizer, masks)
    grown = [float(found.occluded[photo.name].sum() / photo.fill.sum()) for photo in photos if photo.fill.any()]
    yield Measured(STAGE, {"object": float(len(found.splats)), "occluded_over_mask": sum(grown) / len(grown)})
    return found
