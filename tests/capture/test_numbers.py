"""Numbers that no camera, pose or point can have, in every layout: one sentence, before any photo is developed."""

import json
import struct
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from plyfile import PlyData, PlyElement

from splatpaint.capture import CaptureConfig, inspect, prepare
from splatpaint.errors import CaptureError
from splatpaint.events import Noted, drain
from tests.support.captures import PINHOLE, Shots, shoot, write_colmap, write_llff, write_transforms

WRITERS = {
    "transforms": write_transforms,
    "text": write_colmap,
    "binary": partial(write_colmap, binary=True),
    "llff": write_llff,
}


def refused(root, config=CaptureConfig()) -> str:  # noqa: B008
    """What `prepare` says; nothing was developed."""
    with pytest.raises(CaptureError) as caught:
        drain(prepare(root, config, cache=root.parent / "cache"))
    assert not list((root.parent / "cache").rglob("*.png"))
    assert len(str(caught.value)) < 600
    return str(caught.value)


@pytest.mark.parametrize("layout", WRITERS)
@pytest.mark.parametrize("value", [1e308, -1e200, 1e13, float("nan"), float("inf")])
def test_a_pose_that_is_nowhere_is_refused(tmp_path, layout, value):
    shots = shoot()
    poses = shots.world_from_cam.copy()
    poses[2, :3, 3] = value
    spoiled = replace(shots, world_from_cam=poses)
    if layout in ("text", "binary"):  # a camera-to-world transform cannot be inverted to such numbers
        root = WRITERS[layout](tmp_path / "capture", shots)
        place = shots.cam_from_world[2, :3, 3].tolist()
        for file in (root / "sparse" / "0").iterdir():
            numbers = {"text": " ".join(map(repr, place)).encode(), "binary": struct.pack("<3d", *place)}[layout]
            spoiled_numbers = {"text": f"{value} {value} {value}".encode(), "binary": struct.pack("<3d", *[value] * 3)}[layout]
            file.write_bytes(file.read_bytes().replace(numbers, spoiled_numbers))
    else:
        root = WRITERS[layout](tmp_path / "capture", spoiled)
    assert "pose" in refused(root)


@pytest.mark.parametrize("layout", WRITERS)
@pytest.mark.parametrize("focal", [0.0, -50.0, 1e-300, 1e300, float("nan"), float("inf")])
def test_a_focal_length_that_no_camera_has_is_refused(tmp_path, layout, focal):
    shots = shoot()
    impossible = replace(PINHOLE, fx=focal, fy=focal)
    if layout in ("text", "binary"):
        root = write_colmap(tmp_path / "capture", shots, binary=layout == "binary")
        folder = root / "sparse" / "0"
        if layout == "text":
            cameras = folder / "cameras.txt"
            cameras.write_text(cameras.read_text().replace("50.0 50.0", f"{focal} {focal}"))
        else:
            cameras = folder / "cameras.bin"
            cameras.write_bytes(cameras.read_bytes().replace(struct.pack("<2d", 50, 50), struct.pack("<2d", focal, focal)))
    else:
        root = WRITERS[layout](tmp_path / "capture", replace(shots, lens=impossible))
    assert "focal" in refused(root) or "fl_x" in refused(root)


@pytest.mark.parametrize("center", [1e300, -1e7])
def test_a_principal_point_far_from_the_photo_is_refused(tmp_path, center):
    root = write_transforms(tmp_path / "capture", replace(shoot(), lens=replace(PINHOLE, cx=center)))
    assert "impossible" in refused(root)


@pytest.mark.parametrize("layout", ["ply", "binary"])
@pytest.mark.parametrize("value", [1e308, float("nan"), float("inf"), -1e15])
def test_points_that_are_nowhere_are_left_aside_and_counted(tmp_path, layout, value):
    shots = shoot()
    points = shots.points.copy()
    points[:3, 1] = value
    if layout == "binary":
        root = write_colmap(tmp_path / "capture", shots, binary=True)
        file = root / "sparse" / "0" / "points3D.bin"
        data = bytearray(file.read_bytes())
        size = struct.calcsize("<Q3d3BdQ") + 8 * 5
        for index in range(3):
            struct.pack_into("<d", data, 8 + index * size + 8, value)
        file.write_bytes(data)
    else:
        root = write_transforms(tmp_path / "capture", shots, ply_file_path="points.ply")
        rows = np.array([tuple(point) for point in points], dtype=[(axis, "f8") for axis in "xyz"])
        PlyData([PlyElement.describe(rows, "vertex")]).write(str(root / "points.ply"))
    said = []
    capture = drain(prepare(root, CaptureConfig(), cache=tmp_path / "cache"), said.append)
    assert capture.points is not None
    assert len(capture.points) == len(points) - 3
    assert torch.isfinite(capture.points.positions).all()
    notes = [event.message for event in said if isinstance(event, Noted)]
    if layout == "binary" or np.isfinite(value):  # the reader of a .ply drops what is not finite itself
        assert any(note.startswith("3 of") and "are NaN, infinite or absurdly far" in note for note in notes)
    assert inspect(root, CaptureConfig()).points == len(points) - 3


@pytest.mark.parametrize("distance", [1e-200, 1e-14])
def test_points_at_no_distance_are_refused(tmp_path, distance):
    shots = shoot()
    poses = shots.world_from_cam.copy()
    poses[:, :3, 3] *= distance
    tiny = Shots(shots.lens, poses, shots.images, shots.points * distance, shots.colors)
    assert "no distance" in refused(write_colmap(tmp_path / "capture", tiny))


@pytest.mark.parametrize(("size", "longest"), [((64, 1), None), ((1, 48), None), ((64, 12), None), ((400, 20), 64)])
def test_photos_too_narrow_to_be_compared_are_refused(tmp_path, size, longest):
    width, height = size
    lens = replace(PINHOLE, width=width, height=height, cx=width / 2, cy=height / 2)
    root = write_transforms(tmp_path / "capture", shoot(lens))
    assert "the shorter side needs 16 pixels" in refused(root, CaptureConfig(max_resolution=longest))


def test_an_image_size_beyond_all_measure_is_refused(tmp_path):
    root = write_transforms(tmp_path / "capture", shoot())
    tree = json.loads((root / "transforms.json").read_text())
    (root / "transforms.json").write_text(json.dumps({**tree, "w": 1e308, "h": 1e308}))
    refused(root)
