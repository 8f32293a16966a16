import json
import math

import numpy as np
import pytest
from plyfile import PlyData, PlyElement

from splatpaint.capture.lens import Lens
from splatpaint.capture.transforms import read_transforms
from splatpaint.errors import CaptureError
from splatpaint.image.files import write_image, write_mask
from tests.support.captures import shoot, transforms_of, write_transforms

LENS = Lens("OPENCV", 64, 48, 50.0, 51.0, 31.0, 25.0, (0.05, -0.02), (0.001, -0.002))
SHOTS = shoot(LENS)


def read(root):
    return read_transforms(root / "transforms.json")


def frames(**first) -> list:
    listed = transforms_of(SHOTS)["frames"]
    listed[0].update(first)
    return listed


def test_poses_and_intrinsics_are_what_was_written(tmp_path):
    posed = read(write_transforms(tmp_path, SHOTS))
    assert [photo.name for photo in posed.photos] == SHOTS.names
    for photo, expected in zip(posed.photos, SHOTS.cam_from_world, strict=True):
        np.testing.assert_allclose(photo.cam_from_world, expected, atol=1e-9)
        rays = np.array([[0.3, -0.2]])
        np.testing.assert_allclose(photo.lens.image(rays), LENS.image(rays))


def test_suffixes_may_be_left_out(tmp_path):
    listed = frames(file_path="images/shot_00")
    assert len(read(write_transforms(tmp_path, SHOTS, frames=listed)).photos) == 5


def test_left_out_suffixes_may_be_in_capitals(tmp_path):
    write_transforms(tmp_path, SHOTS, frames=frames(file_path="images/shot_00"))
    (tmp_path / "images" / "shot_00.png").rename(tmp_path / "images" / "shot_00.PNG")
    assert len(read(tmp_path).photos) == 5


def test_a_frame_overrides_the_intrinsics_at_the_top(tmp_path):
    posed = read(write_transforms(tmp_path, SHOTS, frames=frames(fl_x=99.0)))
    assert [photo.lens.fx for photo in posed.photos] == [99.0, 50.0, 50.0, 50.0, 50.0]


def test_the_field_of_view_serves_where_there_is_no_focal_length(tmp_path):
    posed = read(write_transforms(tmp_path, SHOTS, fl_x=None, fl_y=None, camera_angle_x=2 * math.atan(32 / 40)))
    assert posed.photos[0].lens.fx == pytest.approx(40)
    assert posed.photos[0].lens.fy == pytest.approx(40)


def test_intrinsics_follow_photos_that_were_reduced(tmp_path):
    posed = read(write_transforms(tmp_path, SHOTS, w=128, h=96))
    assert (posed.photos[0].lens.fx, posed.photos[0].lens.cy) == (25.0, 12.5)


def test_frames_without_files_are_left_out_and_said(tmp_path):
    write_transforms(tmp_path, SHOTS)
    for name in ("shot_01", "shot_03"):
        (tmp_path / "images" / f"{name}.png").unlink()
    posed = read(tmp_path)
    assert [photo.name for photo in posed.photos] == ["shot_00", "shot_02", "shot_04"]
    assert posed.notes == (
        "frame 2 of transforms.json points to images/shot_01.png, which does not exist (2 of 5 are missing)",
    )


def test_mask_paths_are_kept(tmp_path):
    write_mask(tmp_path / "people" / "a.png", SHOTS.images[0][:1])
    posed = read(write_transforms(tmp_path, SHOTS, frames=frames(mask_path="people/a.png")))
    assert [photo.ignore_mask for photo in posed.photos] == [tmp_path / "people" / "a.png", None, None, None, None]


def test_a_photo_is_no_mask_of_its_own(tmp_path):
    write_transforms(tmp_path, SHOTS)
    listed = frames(mask_path="masks/shot_00.png")
    for frame in listed:
        frame["file_path"] = frame["file_path"].removeprefix("images/")
        (tmp_path / "images" / frame["file_path"]).rename(tmp_path / frame["file_path"])
    (tmp_path / "transforms.json").write_text(json.dumps({**transforms_of(SHOTS), "frames": listed}))
    with pytest.raises(CaptureError, match=r"names the mask masks/shot_00\.png, which does not exist"):
        read(tmp_path)


def test_points_of_a_ply_are_read(tmp_path):
    rows = np.array([(0.5, 0.25, 2.5, 10, 20, 30), (np.nan, 0, 0, 1, 1, 1)], dtype=[*[(c, "f4") for c in "xyz"], *COLORS])
    PlyData([PlyElement.describe(rows, "vertex")]).write(str(tmp_path / "sparse.ply"))
    points = read(write_transforms(tmp_path, SHOTS, ply_file_path="sparse.ply")).points
    assert (points.positions.tolist(), points.colors.tolist()) == ([[0.5, 0.25, 2.5]], [[10, 20, 30]])


COLORS = [("red", "u1"), ("green", "u1"), ("blue", "u1")]


def test_a_ply_with_no_vertex_brings_no_points(tmp_path):
    header = ["ply", "format ascii 1.0", "element vertex 0", *(f"property float {axis}" for axis in "xyz"), "end_header", ""]
    (tmp_path / "sparse.ply").write_text("\n".join(header))
    assert read(write_transforms(tmp_path, SHOTS, ply_file_path="sparse.ply")).points is None


def test_names_keep_the_folders_below_the_common_one(tmp_path):
    write_image(tmp_path / "images" / "left" / "shot_00.png", SHOTS.images[0])
    posed = read(write_transforms(tmp_path, SHOTS, frames=frames(file_path="images/left/shot_00.png")))
    assert posed.photos[0].name == "left/shot_00"


def broken_pose(*, value: float) -> list:
    pose = np.eye(4)
    pose[0, 0] = value
    return pose.tolist()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"frames": frames(transform_matrix=broken_pose(value=math.nan))},
            r"frame 1 of transforms\.json \(shot_00\.png\).* NaN",
        ),
        ({"frames": frames(transform_matrix=broken_pose(value=3.0))}, r"frame 1 of .* not a rotation"),
        ({"frames": frames(transform_matrix=broken_pose(value=-1.0))}, r"frame 1 of .* mirrored"),
        ({"frames": frames(transform_matrix=[[1, 0], [0, 1]])}, r"frame 1 of .* no 4x4 transform_matrix"),
        ({"frames": frames(transform_matrix=[[1, 0], [0]])}, r"frame 1 of .* no 4x4 transform_matrix"),
        ({"frames": frames(transform_matrix=[["a"] * 4] * 4)}, r"frame 1 of .* no 4x4 transform_matrix of numbers"),
        ({"frames": None}, r"transforms\.json has frames that are no list of objects"),
        ({"frames": ["images/shot_00.png"]}, r"transforms\.json has frames that are no list of objects"),
        ({"w": 0}, r"frame 1 of .* is 0x48 pixels by its w and h"),
        ({"fl_x": "50"}, r"frame 1 of .* has 50 for fl_x, expected a number"),
        ({"fl_x": 10**400}, r"frame 1 of .* has 10+ for fl_x, expected a number"),
        ({"frames": frames(transform_matrix=[[10**400] * 4] * 4)}, r"frame 1 of .* no 4x4 transform_matrix of numbers"),
        ({"fl_x": -50.0}, r"frame 1 of .* focal length is unknown"),
        ({"frames": frames(k1=math.inf)}, r"frame 1 of .* has inf for k1, expected a number"),
        ({"frames": frames(mask_path="gone.png")}, r"frame 1 of .* names the mask gone\.png, which does not exist"),
        ({"frames": frames(file_path="images/shot_01.png")}, r"two photos are called 'shot_01'"),
        ({"fl_x": None, "fl_y": None}, r"frame 1 of .* focal length is unknown"),
        ({"w": 48, "h": 64}, r"shot_00\.png is 64x48 but its camera was calibrated for 48x64"),
        ({"camera_model": "EQUIRECTANGULAR"}, r"frame 1 of .* camera model EQUIRECTANGULAR, known are OPENCV"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path, changed, message):
    with pytest.raises(CaptureError, match=message):
        read(write_transforms(tmp_path, SHOTS, **changed))


def test_a_capture_without_any_of_its_images_is_refused(tmp_path):
    (tmp_path / "transforms.json").write_text(json.dumps(transforms_of(SHOTS)))
    with pytest.raises(CaptureError, match="none of the 5 images"):
        read(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", "{}", "\xff"])
def test_a_file_that_is_something_else_is_refused(tmp_path, text):
    (tmp_path / "transforms.json").write_text(text, encoding="latin-1")
    with pytest.raises(CaptureError, match=r"transforms\.json is no JSON object with a list of frames"):
        read(tmp_path)


def test_a_ply_without_points_is_refused(tmp_path):
    (tmp_path / "sparse.ply").write_text("ply\nend")
    with pytest.raises(CaptureError, match=r"sparse\.ply is not a \.ply with points"):
        read(write_transforms(tmp_path, SHOTS, ply_file_path="sparse.ply"))
