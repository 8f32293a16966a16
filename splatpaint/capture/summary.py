"""Summary of a capture, without preparing it."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from splatpaint.capture.develop import Masks
from splatpaint.capture.posed import Photo, inverted
from splatpaint.capture.preparation import CaptureConfig, check_masks, read, read_masks


@dataclass(frozen=True)
class CaptureSummary:
    """The result of `inspect`."""

    layout: str
    cameras: tuple[str, ...]
    """Each camera model and image size with its number of photos, as in "OPENCV 1080x1920, distorted (50)"."""
    views: int
    """Photos with a pose and a file."""
    listed: int
    """Photos that the layout lists."""
    pictures: int
    """Image files in the image folder."""
    fill_masks: int
    """Views with a fill mask."""
    ignore_masks: int
    """Views with an ignore mask."""
    points: int | None
    """Number of points in the capture; None if they will be triangulated."""
    camera_extent: float
    """Diagonal of the box around the cameras, in input units."""
    scene_extent: float | None
    """Diagonal of the box around the middle 90 percent of the points along each axis, in input units."""
    notes: tuple[str, ...]
    """Problems (missing files, unused masks) and the interpretation of masks, one sentence each."""

    @property
    def registered(self) -> float:
        """Share of the images with a pose."""
        return self.views / self.pictures if self.pictures else 0.0


def inspect(path: Path, config: CaptureConfig) -> CaptureSummary:
    """A summary of the capture. Masks are opened, most photos for their size only, and nothing is written.

    Raises:
        CaptureError: if the capture cannot be read.
        MaskError: if its masks cannot be used.
    """
    posed, masks = read(path, config)
    meaning = read_masks(masks, config)
    fill_shares = [float(mask.mean()) for photo in posed.photos if (mask := meaning.fill.of(photo)) is not None]
    ignore_shares = [_ignore_share(photo, meaning) for photo in posed.photos]
    marked = check_masks(fill_shares, ignore_shares, masks, meaning)
    lenses = Counter(
        f"{photo.lens.model} {photo.lens.width}x{photo.lens.height}{'' if photo.lens.is_pinhole else ', distorted'}"
        for photo in posed.photos
    )
    eyes = np.stack([inverted(photo.cam_from_world)[:3, 3] for photo in posed.photos])
    scene = None
    if posed.points is not None:
        scene = float(np.linalg.norm(np.diff(np.quantile(posed.points.positions, [0.05, 0.95], axis=0), axis=0)))
    return CaptureSummary(
        layout=posed.layout,
        cameras=tuple(f"{lens} ({count})" for lens, count in lenses.most_common()),
        views=len(posed.photos),
        listed=posed.listed,
        pictures=len(posed.pictures),
        fill_masks=len(masks.fill),
        ignore_masks=len(masks.ignore.keys() | masks.ignore_black.keys()),
        points=None if posed.points is None else len(posed.points),
        camera_extent=float(np.linalg.norm(np.ptp(eyes, axis=0))),
        scene_extent=scene,
        notes=(*posed.notes, *masks.notes, *masks.warnings, *meaning.said_of(posed.photos), *(note.message for note in marked)),
    )


def _ignore_share(photo: Photo, meaning: Masks) -> float:
    ignored = [mask for each in meaning.ignore if (mask := each.of(photo)) is not None]
    return float(torch.stack(ignored).amax(dim=0).mean()) if ignored else 0.0
