import struct

import numpy as np
import pytest

from splatpaint.capture.colmap import read_colmap
from splatpaint.capture.sparse_model import PARTS, read_model, read_points
from splatpaint.errors import CaptureError
from tests.support.captures import shoot, write_colmap

SHOTS = shoot()


def model(root):
    return root / "sparse" / "0"


def edit(file, change):
    file.write_text(change(file.read_text()))


def without_observations(text: str, *, blank: bool) -> str:
    return ("\n\n" if blank else "\n").join(text.splitlines()[::2])


def test_text_and_binary_hold_the_same(tmp_path):
    text = read_model(model(write_colmap(tmp_path / "text", SHOTS)))
    binary = read_model(model(write_colmap(tmp_path / "binary", SHOTS, binary=True)))
    assert text.cameras == binary.cameras
    for one, other in zip(text.images, sorted(binary.images, key=lambda image: image.name), strict=True):
        assert (one.name, one.camera_id, one.point_ids.tolist()) == (other.name, other.camera_id, other.point_ids.tolist())
        np.testing.assert_allclose(one.keypoints, other.keypoints)
        np.testing.assert_allclose(np.append(one.quaternion, one.translation), np.append(other.quaternion, other.translation))
    order = np.argsort(binary.points.ids)
    for part in ("ids", "positions", "colors", "tracks"):
        np.testing.assert_array_equal(getattr(text.points, part), getattr(binary.points, part)[order])


@pytest.mark.parametrize("blank", [True, False])
@pytest.mark.parametrize("end", ["", "\n", "\n\n", "\n\n\n"])
def test_no_image_is_lost_where_lines_of_observations_are_missing(tmp_path, blank, end):
    write_colmap(tmp_path, SHOTS)
    edit(model(tmp_path) / "images.txt", lambda text: without_observations(text, blank=blank) + end)
    assert [image.name for image in read_model(model(tmp_path)).images] == [f"{name}.png" for name in SHOTS.names]


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_ends_of_lines_and_byte_order_marks_do_not_count(tmp_path, newline, mark):
    expected = read_model(model(write_colmap(tmp_path, SHOTS)))
    for file in model(tmp_path).iterdir():
        file.write_text(mark + "# a comment\n" + file.read_text(), encoding="utf-8", newline=newline)
    found = read_model(model(tmp_path))
    assert found.cameras == expected.cameras
    assert [(image.name, len(image.keypoints)) for image in found.images] == [(f"{name}.png", 200) for name in SHOTS.names]
    np.testing.assert_array_equal(found.points.positions, expected.points.positions)


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("pattern", ["shot {} (2).png", "({}).png", "a  {} .b [1].png", "Küche {}.png", "{} # 1.png"])
def test_names_are_whole(tmp_path, binary, pattern):
    write_colmap(tmp_path, SHOTS, binary=binary)
    names = [pattern.format(number) for number in range(5)]
    for old, new in zip(SHOTS.names, names, strict=True):
        (tmp_path / "images" / f"{old}.png").rename(tmp_path / "images" / new)
        file = next(model(tmp_path).glob("images.*"))
        file.write_bytes(file.read_bytes().replace(f"{old}.png".encode(), new.encode()))
    posed = read_colmap(tmp_path)
    assert sorted(photo.path.name for photo in posed.photos) == sorted(names)
    assert posed.notes == ()


def test_a_name_that_is_not_there_gives_its_pose_to_no_other_picture(tmp_path):
    write_colmap(tmp_path, SHOTS)
    edit(model(tmp_path) / "images.txt", lambda text: text.replace("shot_01.png", "shot_02.png copy.png"))
    posed = read_colmap(tmp_path)
    assert [photo.name for photo in posed.photos] == ["shot_00", "shot_02", "shot_03", "shot_04"]
    assert posed.notes == ("the model sparse/0 lists shot_02.png copy.png, which does not exist (1 of 5 photos are missing)",)


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("code_page", ["latin-1", "cp437", "gbk"])
def test_names_in_a_code_page_get_a_sentence(tmp_path, binary, code_page):
    write_colmap(tmp_path, SHOTS, binary=binary)
    file = next(model(tmp_path).glob("images.*"))
    file.write_bytes(file.read_bytes().replace(b"shot_01", "ü_hot01".encode(code_page)[:7]))
    with pytest.raises(CaptureError, match=r"\(images\.(txt|bin): it is not UTF-8 text near .*: save it as UTF-8"):
        read_model(model(tmp_path))


def test_poses_are_those_of_the_images_and_not_of_older_frames(tmp_path):
    write_colmap(tmp_path, SHOTS, binary=True)
    moved = shoot()
    moved.world_from_cam[:, :3, 3] += 1
    write_colmap(tmp_path / "moved", moved, binary=True)
    (model(tmp_path / "moved") / "images.bin").replace(model(tmp_path) / "images.bin")
    for photo, expected in zip(read_colmap(tmp_path).photos, moved.cam_from_world, strict=True):
        np.testing.assert_allclose(photo.cam_from_world, expected, atol=1e-9)


def test_an_image_with_a_quaternion_of_zeros_has_no_pose(tmp_path):
    write_colmap(tmp_path, SHOTS)
    rows = (model(tmp_path) / "images.txt").read_text().splitlines()
    rows[2] = " ".join(["2", "0 0 0 0", *rows[2].split()[5:]])
    (model(tmp_path) / "images.txt").write_text("\n".join(rows))
    posed = read_colmap(tmp_path)
    assert [photo.name for photo in posed.photos] == ["shot_00", "shot_02", "shot_03", "shot_04"]
    assert "1 of 5 images of sparse/0 have no pose but a quaternion of zeros (such as shot_01.png)" in posed.notes[0]


@pytest.mark.parametrize("broken", ["cameras", "images", "points3D"])
@pytest.mark.parametrize("binary", [True, False])
def test_a_broken_model_beside_good_ones_is_left_aside_and_said(tmp_path, broken, binary):
    write_colmap(tmp_path, SHOTS, model="sparse/0")
    write_colmap(tmp_path, SHOTS, model="sparse/1", binary=binary)
    file = next((tmp_path / "sparse" / "1").glob(f"{broken}.*"))
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2] + b"x" * (not binary))
    posed = read_colmap(tmp_path)
    assert posed.layout == "COLMAP text model in sparse/0"
    (note,) = posed.notes
    assert f"sparse/1 cannot be read ({broken}." in note
    assert note.endswith("it is left aside")


@pytest.mark.parametrize("count", [1, 10**6, 2**63])
def test_counts_that_a_file_cannot_hold_are_refused(tmp_path, count):
    write_colmap(tmp_path, SHOTS, binary=True)
    for name in ("cameras", "images", "points3D"):
        file = tmp_path / f"{name}.bin"
        file.write_bytes(struct.pack("<Q", count) + b"\1" * 60)
    with pytest.raises(CaptureError, match=r"cannot be read \(points3D\.bin"):
        read_points(tmp_path / "points3D.bin")
    with pytest.raises(CaptureError, match=r"cannot be read \(cameras\.bin"):
        read_model(tmp_path)
    (model(tmp_path) / "cameras.bin").replace(tmp_path / "cameras.bin")
    with pytest.raises(CaptureError, match=r"cannot be read \(images\.bin"):
        read_model(tmp_path)


@pytest.mark.parametrize("name", PARTS)
def test_every_file_is_noticed_wherever_it_is_cut_off(tmp_path, name):
    sparse = model(write_colmap(tmp_path / "capture", SHOTS, binary=True))
    file = sparse / f"{name}.bin"
    whole = file.read_bytes()
    for left in range(0, len(whole), max(1, len(whole) // 40)):
        file.write_bytes(whole[:left])
        with pytest.raises(CaptureError, match=rf"{name}\.bin: "):
            read_model(sparse)


@pytest.mark.parametrize("name", PARTS)
@pytest.mark.parametrize("count", [2**31, 2**40, 2**63, 2**64 - 1])
def test_a_count_that_lies_is_noticed(tmp_path, name, count):
    sparse = model(write_colmap(tmp_path / "capture", SHOTS, binary=True))
    file = sparse / f"{name}.bin"
    file.write_bytes(struct.pack("<Q", count) + file.read_bytes()[8:])
    with pytest.raises(CaptureError, match=rf"{name}\.bin: "):
        read_model(sparse)
