import math
import shutil
import struct
from dataclasses import replace

import numpy as np
import pytest

from splatpaint.capture.colmap import find_models, read_colmap
from splatpaint.errors import CaptureError
from splatpaint.image.files import write_image
from tests.capture.test_lens import LENSES
from tests.support.captures import shoot, write_colmap

SHOTS = shoot()


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("model", ["sparse/0", "sparse", "colmap/sparse/0"])
def test_poses_and_points_are_what_was_written(tmp_path, binary, model):
    posed = read_colmap(write_colmap(tmp_path, SHOTS, binary=binary, model=model))
    assert [photo.name for photo in posed.photos] == SHOTS.names
    for photo, expected in zip(posed.photos, SHOTS.cam_from_world, strict=True):
        np.testing.assert_allclose(photo.cam_from_world, expected, atol=1e-9)
    order = np.lexsort(posed.points.positions.T)
    np.testing.assert_allclose(posed.points.positions[order], SHOTS.points[np.lexsort(SHOTS.points.T)])
    assert model in posed.layout
    assert posed.notes == ()


@pytest.mark.parametrize("lens", LENSES, ids=lambda lens: lens.model)
def test_every_camera_model_is_understood(tmp_path, lens):
    read = read_colmap(write_colmap(tmp_path, replace(SHOTS, lens=lens))).photos[0].lens
    rays = np.random.default_rng(0).uniform(-0.5, 0.5, size=(20, 2))
    assert read.model == lens.model
    np.testing.assert_allclose(read.image(rays), lens.image(rays))


def test_the_largest_model_wins(tmp_path):
    write_colmap(tmp_path, shoot(views=3), model="sparse/0")
    write_colmap(tmp_path, SHOTS, model="sparse/1")
    posed = read_colmap(tmp_path)
    assert posed.listed == 5
    assert posed.notes == ("sparse/1 is used, the largest of 2 sparse models; the others are left aside",)


def test_a_model_is_counted_once_wherever_it_lies(tmp_path):
    write_colmap(tmp_path, SHOTS, model="colmap/sparse/0")
    assert find_models(tmp_path) == [tmp_path / "colmap" / "sparse" / "0"]
    write_colmap(tmp_path / "flat", SHOTS, model="colmap/sparse")
    assert find_models(tmp_path / "flat") == [tmp_path / "flat" / "colmap" / "sparse"]


@pytest.mark.parametrize("binary", [True, False])
def test_a_model_is_its_own_files_and_no_others(tmp_path, binary):
    write_colmap(tmp_path, SHOTS, binary=binary)
    (tmp_path / "sparse" / "0" / "fit.log").write_text("not of the model")
    suffix = "bin" if binary else "txt"
    sources = {path.name for path in read_colmap(tmp_path).sources}
    assert {f"{part}.{suffix}" for part in ("cameras", "images", "points3D")} <= sources
    assert "fit.log" not in sources


def test_intrinsics_follow_the_stored_size_of_the_photos(tmp_path):
    write_colmap(tmp_path, SHOTS)
    write_image(tmp_path / "images" / "shot_02.png", SHOTS.images[2][:, ::2, ::2])
    widths = [(photo.lens.width, photo.lens.fx) for photo in read_colmap(tmp_path).photos]
    assert widths == [(64, 50.0), (64, 50.0), (32, 25.0), (64, 50.0), (64, 50.0)]


def test_reduced_photos_serve_where_there_are_no_others(tmp_path):
    write_colmap(tmp_path, SHOTS)
    (tmp_path / "images").rename(tmp_path / "images_4")
    assert read_colmap(tmp_path).image_folder == tmp_path / "images_4"


def test_photos_stored_with_another_suffix_are_found(tmp_path):
    write_colmap(tmp_path, SHOTS)
    for file in (tmp_path / "images").iterdir():
        file.rename(file.with_suffix(".PNG"))
    assert len(read_colmap(tmp_path).photos) == 5


def test_photos_in_subfolders_keep_them_in_their_name(tmp_path):
    write_colmap(tmp_path, SHOTS)
    (tmp_path / "images" / "left").mkdir()
    (tmp_path / "images" / "shot_00.png").rename(tmp_path / "images" / "left" / "shot_00.png")
    listed = tmp_path / "sparse" / "0" / "images.txt"
    listed.write_text(listed.read_text().replace("shot_00.png", "left/shot_00.png"))
    assert read_colmap(tmp_path).photos[0].name == "left/shot_00"


def test_pictures_without_a_pose_are_counted(tmp_path):
    write_colmap(tmp_path, SHOTS)
    shutil.copy(tmp_path / "images" / "shot_00.png", tmp_path / "images" / "extra.png")
    posed = read_colmap(tmp_path)
    assert (len(posed.photos), len(posed.pictures)) == (5, 6)


def test_missing_photos_are_left_out_and_said(tmp_path):
    write_colmap(tmp_path, SHOTS)
    (tmp_path / "images" / "shot_01.png").unlink()
    posed = read_colmap(tmp_path)
    assert len(posed.photos) == 4
    assert posed.notes == ("the model sparse/0 lists shot_01.png, which does not exist (1 of 5 photos are missing)",)


def test_points_that_few_photos_agree_on_are_left_out(tmp_path):
    write_colmap(tmp_path, SHOTS)
    file = tmp_path / "sparse" / "0" / "points3D.txt"
    first, second, *others = file.read_text().splitlines()
    head = first.split()[:8]
    off = second.split()
    off[7] = "9.0"
    file.write_text("\n".join([" ".join([*head, "1", "0", "2", "0"]), " ".join(off), *others]))
    assert len(read_colmap(tmp_path).points) == len(SHOTS.points) - 2


def test_an_unsupported_camera_model_names_the_image_and_the_way_out(tmp_path):
    write_colmap(tmp_path, SHOTS)
    file = tmp_path / "sparse" / "0" / "cameras.txt"
    file.write_text("".join(f"{number} FOV 64 48 50 50 32 24 0.5\n" for number in range(1, 6)))
    with pytest.raises(CaptureError, match=r"image shot_0\d\.png of sparse/0 has the camera model FOV.*image_undistorter"):
        read_colmap(tmp_path)


def test_a_turned_photo_is_refused(tmp_path):
    write_colmap(tmp_path, SHOTS)
    write_image(tmp_path / "images" / "shot_02.png", SHOTS.images[2].transpose(1, 2))
    with pytest.raises(CaptureError, match=r"shot_02\.png is 48x64 but its camera was calibrated for 64x48"):
        read_colmap(tmp_path)


def test_a_model_without_its_photos_is_refused(tmp_path):
    write_colmap(tmp_path, SHOTS)
    shutil.rmtree(tmp_path / "images")
    with pytest.raises(CaptureError, match=r"none of the photos of the sparse .* it lists shot_00\.png, which does not exist"):
        read_colmap(tmp_path)


@pytest.mark.parametrize(("name", "left"), [("images.bin", 100), ("points3D.bin", 0)])
def test_a_broken_model_is_named(tmp_path, name, left):
    write_colmap(tmp_path, SHOTS, binary=True)
    file = tmp_path / "sparse" / "0" / name
    file.write_bytes(file.read_bytes()[:left])
    with pytest.raises(CaptureError, match="sparse/0 cannot be read"):
        read_colmap(tmp_path)


def test_nan_in_a_pose_is_named(tmp_path):
    write_colmap(tmp_path, SHOTS, binary=True)
    file = tmp_path / "sparse" / "0" / "images.bin"
    sideways = struct.pack("<d", SHOTS.cam_from_world[1][0, 3])
    assert sideways in file.read_bytes()
    file.write_bytes(file.read_bytes().replace(sideways, struct.pack("<d", math.nan)))
    with pytest.raises(CaptureError, match=r"image shot_01\.png of sparse/0 has a camera pose with NaN"):
        read_colmap(tmp_path)


@pytest.mark.parametrize("binary", [True, False])
def test_poses_without_points_are_a_model(tmp_path, binary):
    write_colmap(tmp_path, SHOTS, binary=binary)
    next((tmp_path / "sparse" / "0").glob("points3D.*")).unlink()
    posed = read_colmap(tmp_path)
    assert (len(posed.photos), posed.points, posed.notes) == (5, None, ())
