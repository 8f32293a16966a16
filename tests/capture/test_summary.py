import shutil
from dataclasses import replace

import pytest

from splatpaint.capture import CaptureConfig, inspect
from splatpaint.image.files import write_image
from tests.support.captures import shoot, transforms_of, write_colmap, write_llff, write_masks, write_transforms

SHOTS = shoot()


def test_everything_found_is_counted(tmp_path):
    write_colmap(tmp_path, SHOTS)
    write_masks(tmp_path / "masks", shoot(views=3))
    write_masks(tmp_path / "ignore_masks", shoot(views=2))
    write_image(tmp_path / "images" / "unposed.png", SHOTS.images[0])
    summary = inspect(tmp_path, CaptureConfig())
    assert summary.layout == "COLMAP text model in sparse/0"
    assert summary.cameras == ("PINHOLE 64x48 (5)",)
    assert (summary.views, summary.listed, summary.pictures) == (5, 5, 6)
    assert summary.registered == pytest.approx(5 / 6)
    assert (summary.fill_masks, summary.ignore_masks, summary.points) == (3, 2, 200)


def test_masks_below_the_images_are_not_counted_as_pictures(tmp_path):
    write_colmap(tmp_path, SHOTS)
    write_masks(tmp_path / "images" / "masks", SHOTS)
    summary = inspect(tmp_path, CaptureConfig())
    assert (summary.pictures, summary.fill_masks) == (5, 5)


def test_masks_among_the_photos_are_not_counted_as_pictures(tmp_path):
    write_transforms(tmp_path, SHOTS)
    write_masks(tmp_path / "images", SHOTS, end=".mask.png")
    assert inspect(tmp_path, CaptureConfig(mask_value="white")).pictures == len(SHOTS.names)


def test_pictures_are_counted_beside_masks_of_any_place(tmp_path):
    listed = transforms_of(SHOTS)["frames"]
    for frame in listed:
        frame["file_path"], frame["mask_path"] = frame["file_path"].replace(".png", ".jpg"), frame["file_path"]
    write_transforms(tmp_path / "paired", SHOTS, frames=listed)
    for photo in (tmp_path / "paired" / "images").glob("*.png"):
        shutil.copy(photo, photo.with_suffix(".jpg"))
    assert inspect(tmp_path / "paired", CaptureConfig()).pictures == len(SHOTS.names)
    write_llff(tmp_path / "llff", SHOTS)
    write_masks(tmp_path / "llff" / "images_2" / "mine", SHOTS)
    assert inspect(tmp_path / "llff", CaptureConfig(masks="images_2/mine")).pictures == len(SHOTS.names)


def test_extents_are_in_input_units(tmp_path):
    small, large = tmp_path / "small", tmp_path / "large"
    world_from_cam = SHOTS.world_from_cam.copy()
    world_from_cam[:, :3, 3] *= 10
    one = inspect(write_colmap(small, SHOTS), CaptureConfig())
    ten = inspect(write_colmap(large, replace(SHOTS, world_from_cam=world_from_cam, points=SHOTS.points * 10)), CaptureConfig())
    assert ten.camera_extent == pytest.approx(10 * one.camera_extent)
    assert ten.scene_extent == pytest.approx(10 * one.scene_extent)


def test_a_capture_without_points_says_so(tmp_path):
    summary = inspect(write_llff(tmp_path, SHOTS), CaptureConfig())
    assert (summary.points, summary.scene_extent) == (None, None)


def test_nothing_is_written(tmp_path):
    write_colmap(tmp_path, SHOTS)
    before = sorted(tmp_path.rglob("*"))
    inspect(tmp_path, CaptureConfig())
    assert sorted(tmp_path.rglob("*")) == before


def test_the_missing_files_of_the_fox_are_said(real_capture):
    summary = inspect(real_capture("fox"), CaptureConfig())
    assert (summary.views, summary.listed, summary.fill_masks) == (50, 67, 50)
    assert any("(17 of 67 are missing)" in note for note in summary.notes)
