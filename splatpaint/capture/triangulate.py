"""Sparse points for captures that come without: SIFT matches between neighboring views, triangulated with the known poses."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from splatpaint.capture.colmap import import_pycolmap, points_of
from splatpaint.capture.posed import InputPoints
from splatpaint.events import Events, Progressed

LONGEST_SIDE_PX = 1200
"""Larger photos add features that cost time and hardly help to place splats."""
UPSAMPLED_BELOW_PX = 800
MAX_FEATURES = 4000
NEIGHBORS = 10
"""Every view is matched with this many others; more pairs bring few new points, and matching is what takes the time."""
BATCH = 8
"""Views between two reports of progress."""


@dataclass(frozen=True, eq=False)
class PinholePicture:
    """A picture to look for features in."""

    file: str
    """Relative to the folder of all pictures."""
    width: int
    height: int
    K: Float[np.ndarray, "3 3"]
    cam_from_world: Float[np.ndarray, "4 4"]


def triangulate(folder: Path, pictures: Sequence[PinholePicture], *, workspace: Path) -> Events[InputPoints | None]:
    """Points in the frame of the poses, on which at least three views agree; None if there are no such points.

    Intrinsics and poses are taken as they are (COLMAP's point triangulator, Schönberger and Frahm 2016, sec. 4.2 and 4.3).

    Args:
        folder: where the pictures lie.
        pictures: at least two.
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
    # the octave above full size finds most of what small pictures have, and costs four times as much as all others
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
    return points_of(solved)


def neighboring_pairs(cam_from_world: Float[np.ndarray, "v 4 4"]) -> list[tuple[int, int]]:
    """Pairs of views that stand near each other and look the same way.

    For every view the `NEIGHBORS` nearest others, by the distance of the optical centers (in units of the median distance
    between any two) plus the angle between the optical axes (in radians).
    """
    rotation = cam_from_world[:, :3, :3]
    centers = -np.einsum("vji,vj->vi", rotation, cam_from_world[:, :3, 3])
    apart = np.linalg.norm(centers[:, None] - centers[None], axis=-1)
    axes = rotation[:, 2]
    cost = apart / max(float(np.median(apart)), 1e-12) + np.arccos(np.clip(axes @ axes.T, -1, 1))
    np.fill_diagonal(cost, np.inf)
    nearest = np.argsort(cost, axis=1)[:, : min(NEIGHBORS, len(cost) - 1)]
    return sorted({(min(i, int(j)), max(i, int(j))) for i, row in enumerate(nearest) for j in row})


def _posed_model(pictures: Sequence[PinholePicture], database: Path) -> Any:
    """COLMAP's model of the poses, whose cameras and images have the same ids in the (new) database."""
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
