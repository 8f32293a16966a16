"""Points that belong to other poses are found in every reader."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from plyfile import PlyData, PlyElement

from splatpaint.capture import CaptureConfig, load_capture
from splatpaint.capture.agreement import MAX_CLOUD, GivenPoints, usable_points
from splatpaint.capture.layout import read_layout
from splatpaint.capture.posed import InputPoints, PosedPhotos
from splatpaint.errors import CaptureError
from splatpaint.events import Noted
from tests.support.captures import Shots, shoot, transforms_of, write_colmap, write_llff, write_transforms

SHOTS = shoot(points=400)


def write_ply(file: Path, shots: Shots, *, colors: bool = True) -> None:
    fields = [(axis, "f8") for axis in "xyz"] + [(color, "u1") for color in ("red", "green", "blue")] * colors
    rows = np.empty(len(shots.points), dtype=fields)
    for axis, values in zip("xyz", shots.points.T, strict=True):
        rows[axis] = values
    for color, values in zip(("red", "green", "blue"), shots.colors.T, strict=True):
        if colors:
            rows[color] = values
    PlyData([PlyElement.describe(rows, "vertex")]).write(str(file))


def point_lines(shots: Shots, *, track: str, error: str = "0.5") -> str:
    rows = zip(shots.points.tolist(), shots.colors.tolist(), strict=True)
    words = [(n, *map(repr, place), *color, error + track) for n, (place, color) in enumerate(rows, start=1)]
    return "".join(" ".join(map(str, row)) + "\n" for row in words)


def with_ply(root: Path, shots: Shots) -> None:
    write_transforms(root, shots, ply_file_path="points.ply")
    write_ply(root / "points.ply", shots)


def with_matches(root: Path, shots: Shots) -> None:
    """A COLMAP model whose observations are those of the right points."""
    write_colmap(root, SHOTS)
    model = root / "sparse" / "0"
    for number, pose in enumerate(shots.cam_from_world):
        respell(model, number, pose)
    tracks = " ".join(f"{image} 0" for image in range(1, 6))
    (model / "points3D.txt").write_text(point_lines(shots, track=f" {tracks}"))


def respell(model: Path, number: int, pose: np.ndarray) -> None:
    import pycolmap

    lines = (model / "images.txt").read_text().splitlines()
    x, y, z, w = pycolmap.Rotation3d(pose[:3, :3]).quat
    words = lines[2 * number].split()
    lines[2 * number] = " ".join(map(str, [words[0], w, x, y, z, *pose[:3, 3], *words[8:]]))
    (model / "images.txt").write_text("\n".join(lines) + "\n")


def without_matches(root: Path, shots: Shots) -> None:
    """A COLMAP model with an own point cloud: no observations, no tracks."""
    with_matches(root, shots)
    model = root / "sparse" / "0"
    (model / "images.txt").write_text("\n\n".join((model / "images.txt").read_text().splitlines()[::2]) + "\n")
    (model / "points3D.txt").write_text(point_lines(shots, track=""))


def with_points_ply(root: Path, shots: Shots) -> None:
    """A COLMAP model with points3D.ply in place of points3D.txt."""
    without_matches(root, shots)
    (root / "sparse" / "0" / "points3D.txt").unlink()
    write_ply(root / "sparse" / "0" / "points3D.ply", shots)


def with_empty_points(root: Path, shots: Shots) -> None:
    with_points_ply(root, shots)
    (root / "sparse" / "0" / "points3D.txt").write_text("# no points\n")


def llff(root: Path, shots: Shots) -> None:
    write_llff(root, shots)
    (root / "points3D.txt").write_text(point_lines(shots, track=" 1 0 2 0 3 0"))


WRITERS = [with_ply, with_matches, without_matches, with_points_ply, with_empty_points, llff]
Write = Callable[[Path, Shots], None]


def read(root: Path) -> PosedPhotos:
    return read_layout(root)


@pytest.mark.parametrize("write", WRITERS)
def test_points_that_fit_are_used_without_a_word(tmp_path, write: Write):
    write(tmp_path, SHOTS)
    posed = read(tmp_path)
    assert posed.notes == ()
    assert len(posed.points) > 390
    assert posed.given == 400


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize(
    "turn",
    [np.diag([1, -1, -1]), np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]]), np.eye(3)[[1, 2, 0]], -np.eye(3), np.eye(3) * 3],
    ids=["opengl", "z_up", "permuted", "mirrored", "scaled"],
)
def test_points_of_other_axes_are_left_aside_and_said(tmp_path, write: Write, turn):
    moved = replace(SHOTS, points=SHOTS.points @ turn.T)
    write(tmp_path, moved)
    posed = read(tmp_path)
    assert posed.points is None
    (note,) = posed.notes
    assert "do not fit the poses" in note
    assert "are left aside" in note


@pytest.mark.parametrize("write", WRITERS)
def test_poses_the_wrong_way_round_are_refused(tmp_path, write: Write):
    write(tmp_path, replace(SHOTS, world_from_cam=SHOTS.cam_from_world))
    with pytest.raises(CaptureError, match=r"do not fit the poses \(.*\), but fit their inverses: .*: export them again"):
        read(tmp_path)


def test_gray_points_that_are_out_of_sight_do_not_say_which_way_round_poses_are(tmp_path):
    write_transforms(tmp_path, replace(SHOTS, world_from_cam=SHOTS.cam_from_world), ply_file_path="points.ply")
    write_ply(tmp_path / "points.ply", SHOTS, colors=False)
    assert len(read(tmp_path).photos) == 5


def test_images_that_were_written_anew_beside_old_points_are_noticed(tmp_path):
    moved = SHOTS.world_from_cam.copy()
    moved[:, :3, 3] += (5, 0, 0)
    with_matches(tmp_path, replace(SHOTS, world_from_cam=moved))
    posed = read(tmp_path)
    assert posed.points is None
    assert "of the image side off" in posed.notes[0] or "behind the camera" in posed.notes[0]


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_points_that_are_no_numbers_are_left_out_and_counted(tmp_path, write: Write, value):
    points = SHOTS.points.copy()
    points[7], points[11, 2] = value, value
    write(tmp_path, replace(SHOTS, points=points))
    posed = read(tmp_path)
    assert np.isfinite(posed.points.positions).all()
    assert posed.notes[0].startswith("2 of 400 points of ")
    assert posed.notes[0].endswith("are NaN, infinite or absurdly far: they are left out")


def test_points_that_lie_elsewhere_than_their_observations_say_are_left_out(tmp_path):
    points = SHOTS.points.copy()
    points[::10] = 1e9
    with_matches(tmp_path, replace(SHOTS, points=points))
    posed = read(tmp_path)
    assert len(posed.points) == 360
    assert posed.notes == ("40 of 400 points of points3D.txt lie elsewhere than photos show them: they are left out",)


@pytest.mark.parametrize("track", ["", " 1 0", " 1 0 2 0"])
@pytest.mark.parametrize("error", ["-1", "0.5", "nan", "0"])
def test_points_of_short_tracks_are_used_where_there_are_no_others(tmp_path, track, error):
    with_matches(tmp_path, SHOTS)
    file = tmp_path / "sparse" / "0" / "points3D.txt"
    file.write_text(point_lines(SHOTS, track=track, error=error))
    assert len(read(tmp_path).points) == 400


def test_points_of_short_tracks_are_not_used_beside_enough_others(tmp_path):
    with_matches(tmp_path, SHOTS)
    file = tmp_path / "sparse" / "0" / "points3D.txt"
    long, short = point_lines(SHOTS, track=" 1 0 2 0 3 0").splitlines(), point_lines(SHOTS, track=" 1 0").splitlines()
    file.write_text("\n".join(long[:150] + short[150:]))
    assert len(read(tmp_path).points) == 150
    file.write_text("\n".join(long[:50] + short[50:]))
    assert len(read(tmp_path).points) == 400


def test_a_survey_may_be_larger_than_what_is_photographed(tmp_path):
    behind = SHOTS.points * (1, 1, -3)
    both = np.concatenate([SHOTS.points, behind])
    with_ply(tmp_path, replace(SHOTS, points=both, colors=np.concatenate([SHOTS.colors, SHOTS.colors])))
    assert 390 < len(read(tmp_path).points) <= 400


def test_a_dense_cloud_is_thinned_out():
    many = np.repeat(SHOTS.points, 200, axis=0)
    given = GivenPoints("cloud.ply", InputPoints(many, np.full((len(many), 3), 128, dtype=np.uint8)))
    points, notes = usable_points(given, SHOTS.photos)
    assert len(points) == MAX_CLOUD
    assert notes == [f"of the 80000 points of cloud.ply, {MAX_CLOUD} are used"]


def said(root: Path) -> list[str]:
    events: list = []
    load_capture(root, CaptureConfig(), cache=root / "cache", show=events.append)
    return [event.message for event in events if isinstance(event, Noted)]


def test_that_a_capture_brings_no_points_is_said_only_where_it_brings_none(tmp_path):
    moved = replace(SHOTS, points=-SHOTS.points)
    with_ply(tmp_path / "moved", moved)
    assert "the capture brings 400 points, 0 of them of use: they are triangulated" in " ".join(said(tmp_path / "moved"))
    write_transforms(tmp_path / "none", SHOTS)
    assert "the capture brings no points: they are triangulated" in " ".join(said(tmp_path / "none"))
    with_ply(tmp_path / "all", SHOTS)
    assert "triangulated" not in " ".join(said(tmp_path / "all"))


def test_a_capture_in_another_world_is_as_good(tmp_path):
    far = np.array([412345.678, 5654321.987, 250.5])
    moved = SHOTS.world_from_cam.copy()
    moved[:, :3, 3] += far
    with_ply(tmp_path, replace(SHOTS, world_from_cam=moved, points=SHOTS.points + far))
    frames = transforms_of(replace(SHOTS, world_from_cam=moved))["frames"]
    assert json.loads((tmp_path / "transforms.json").read_text())["frames"] == frames
    assert len(read(tmp_path).points) > 390
