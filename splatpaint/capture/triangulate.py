"""Sparse points for captures without points: SIFT matches of neighboring views, triangulated with the given poses."""

import signal
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from jaxtyping import Float

from splatpaint.capture.posed import InputPoints
from splatpaint.capture.sparse_model import MAX_ERROR_PX, MIN_TRACK
from splatpaint.events import Events, Progressed

LONGEST_SIDE_PX = 1200
"""Longest image side for feature extraction; larger images cost time and hardly improve the initial splats."""
UPSAMPLED_BELOW_PX = 800
"""Longest image side below which SIFT starts at twice the resolution."""
MAX_FEATURES = 4000
NEIGHBORS = 10
"""Number of views that each view is matched with; matching dominates the time, and more pairs give few new points."""
BATCH = 8
"""Views per progress event."""


@dataclass(frozen=True, eq=False)
class PinholeImage:
    """An undistorted image for feature extraction."""

    file: str
    """Path relative to the image folder."""
    width: int
    height: int
    K: Float[np.ndarray, "3 3"]
    cam_from_world: Float[np.ndarray, "4 4"]


def triangulate(folder: Path, pictures: Sequence[PinholeImage], *, workspace: Path) -> Events[InputPoints | None]:
    """Points in the frame of the poses that at least three views agree on; None if there are none.

    Intrinsics and poses are kept fixed (COLMAP's point triangulator, Schönberger and Frahm 2016, sec. 4.2 and 4.3).

    Args:
        folder: folder of the images.
        pictures: at least two images.
        workspace: an empty folder for COLMAP's database and model.
    """
    pycolmap = import_pycolmap()
    pycolmap.logging.minloglevel = pycolmap.logging.Level.FATAL.value
    pairs = neighboring_pairs(np.stack([picture.cam_from_world for picture in pictures]))
    total = len(pictures) + len(pairs) + 1
    database = workspace / "database.db"
    model = _posed_model(pictures, database)

    largest = max(max(picture.width, picture.height) for picture in pictures)
    extraction = pycolmap.FeatureExtractionOptions(use_gpu=False, max_image_size=LONGEST_SIDE_PX)
    extraction.sift.max_num_features = MAX_FEATURES
    # the octave above full size finds most features of small images, and costs four times as much as all others
    extraction.sift.first_octave = -1 if largest < UPSAMPLED_BELOW_PX else 0
    for start in range(0, len(pictures), BATCH):
        yield Progressed("triangulate", start, total)
        files = [picture.file for picture in pictures[start : start + BATCH]]
        pycolmap.extract_features(
            database, folder, image_names=files, extraction_options=extraction, device=pycolmap.Device.cpu
        )

    listed = workspace / "pairs.txt"
    matching = pycolmap.FeatureMatchingOptions(use_gpu=False)
    verification = pycolmap.TwoViewGeometryOptions()
    verification.ransac.random_seed = 0
    for start in range(0, len(pairs), 5 * BATCH):
        yield Progressed("triangulate", len(pictures) + start, total)
        batch = pairs[start : start + 5 * BATCH]
        listed.write_text("".join(f"{pictures[i].file} {pictures[j].file}\n" for i, j in batch))
        pycolmap.match_image_pairs(
            database,
            matching_options=matching,
            pairing_options=pycolmap.ImportedPairingOptions(match_list_path=listed),
            verification_options=verification,
            device=pycolmap.Device.cpu,
        )

    yield Progressed("triangulate", total - 1, total)
    output = workspace / "model"
    output.mkdir()
    options = pycolmap.IncrementalPipelineOptions(random_seed=0, fix_existing_frames=True)
    solved = pycolmap.triangulate_points(model, database, folder, output, options=options)
    yield Progressed("triangulate", total, total)
    return _good_points(solved)


def neighboring_pairs(cam_from_world: Float[np.ndarray, "v 4 4"]) -> list[tuple[int, int]]:
    """Pairs of views with similar poses.

    For every view, the `NEIGHBORS` nearest others, by the distance of the optical centers (in units of the median distance
    between any two) plus the angle between the optical axes (in radians).
    """
    rotation = cam_from_world[:, :3, :3]
    centers = -np.einsum("vji,vj->vi", rotation, cam_from_world[:, :3, 3])
    distances = np.linalg.norm(centers[:, None] - centers[None], axis=-1)
    axes = rotation[:, 2]
    cost = distances / max(float(np.median(distances)), 1e-12) + np.arccos(np.clip(axes @ axes.T, -1, 1))
    np.fill_diagonal(cost, np.inf)
    nearest = np.argsort(cost, axis=1)[:, : min(NEIGHBORS, len(cost) - 1)]
    return sorted({(min(i, int(j)), max(i, int(j))) for i, row in enumerate(nearest) for j in row})


def _posed_model(pictures: Sequence[PinholeImage], database: Path) -> Any:
    """A COLMAP model of the poses, with the same camera and image ids as in the new database."""
    pycolmap = import_pycolmap()
    model = pycolmap.Reconstruction()
    with pycolmap.Database.open(database) as opened:
        for number, picture in enumerate(pictures, start=1):
            (fx, _, cx), (_, fy, cy), _ = picture.K
            camera = pycolmap.Camera(
                camera_id=number,
                model="PINHOLE",
                width=picture.width,
                height=picture.height,
                params=[fx, fy, cx, cy],
                has_prior_focal_length=True,
            )
            model.add_camera_with_trivial_rig(camera)
            image = pycolmap.Image(name=picture.file, camera_id=number, image_id=number)
            model.add_image_with_trivial_frame(image, pycolmap.Rigid3d(picture.cam_from_world[:3]))
            opened.write_camera(camera, use_camera_id=True)
            opened.write_rig(model.rigs[number], use_rig_id=True)
            opened.write_image(image, use_image_id=True)
            opened.write_frame(model.frames[number], use_frame_id=True)
    return model


def _good_points(model: Any) -> InputPoints | None:
    good = [point for point in model.points3D.values() if point.track.length() >= MIN_TRACK and point.error <= MAX_ERROR_PX]
    if not good:
        return None
    places = np.array([point.xyz for point in good], dtype=np.float64)
    return InputPoints(places, np.array([point.color for point in good], dtype=np.uint8))


def import_pycolmap() -> ModuleType:
    """The pycolmap module.

    Its import installs a SIGTERM handler that prints a stack trace and ends the process; the previous handler is restored.
    """
    before = signal.getsignal(signal.SIGTERM)
    import pycolmap

    if threading.current_thread() is threading.main_thread():  # handlers can be set only in the main thread
        signal.signal(signal.SIGTERM, before)
    return pycolmap
