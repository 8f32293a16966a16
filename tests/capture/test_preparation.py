import os
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from splatpaint.capture import CaptureConfig, last_prepared, prepare
from splatpaint.capture.lens import Lens
from splatpaint.errors import CaptureError, ConfigError, MaskError
from splatpaint.events import Measured, Noted, Progressed, Skipped, drain
from splatpaint.image.files import image_size, read_image, read_mask, write_image, write_mask
from tests.support.captures import photograph, shoot, write_colmap, write_llff, write_masks, write_transforms

BARREL = Lens("OPENCV", 64, 48, 50.0, 50.0, 32.0, 24.0, (-0.1, 0.01), (0.002, -0.001))
SHOTS = shoot()
PLAIN = CaptureConfig()


def capture_of(root, config=PLAIN):
    return drain(prepare(root, config, cache=root / "cache"))


def messages(root, config=PLAIN, *, level="info"):
    events = list(prepare(root, config, cache=root / "cache"))
    return [event.message for event in events if isinstance(event, Noted) and event.level == level]


def test_views_keep_names_and_poses_up_to_the_similarity(tmp_path):
    capture = capture_of(write_colmap(tmp_path, SHOTS))
    assert [view.name for view in capture.views] == SHOTS.names
    for view, pose in zip(capture.views, SHOTS.world_from_cam, strict=True):
        in_input = capture.world_from_input.undo(view.camera.centers)
        np.testing.assert_allclose(in_input.numpy()[0], pose[:3, 3], atol=1e-5)


def test_points_project_onto_their_color_in_every_undistorted_view(tmp_path):
    capture = capture_of(write_colmap(tmp_path, shoot(BARREL)))
    for view in capture.views:
        pixels, depth = view.camera.project(capture.points.positions)
        x, y = pixels[0].unbind(dim=-1)
        shown = (depth[0] > 0) & (x > 1) & (x < 63) & (y > 1) & (y < 47)
        grid = torch.stack([x / 32 - 1, y / 24 - 1], dim=-1)[shown][None, None]
        seen = torch.nn.functional.grid_sample(read_image(view.image)[None], grid, align_corners=False)[0, :, 0].T
        error = (seen - capture.points.colors[shown] / 255).square().mean().sqrt()
        assert shown.sum() > 100
        assert error < 0.04


def test_an_undistorted_photo_is_what_its_camera_sees(tmp_path):
    shots = shoot(BARREL.rescaled(256, 192), views=3)
    capture = capture_of(write_colmap(tmp_path, shots))
    (fx, _, cx), (_, fy, cy), _ = capture.views[0].camera.K[0].tolist()
    seen = photograph(Lens("PINHOLE", 256, 192, fx, fy, cx, cy), shots.world_from_cam[0])
    assert (read_image(capture.views[0].image) - seen)[:, 2:-2, 2:-2].square().mean().sqrt() < 0.01


@pytest.mark.parametrize("longest", [None, 64, 40])
def test_every_file_has_the_size_of_its_camera(tmp_path, longest):
    write_colmap(tmp_path, shoot(BARREL, views=3))
    write_masks(tmp_path / "masks", SHOTS)
    write_masks(tmp_path / "ignore_masks", SHOTS)
    for view in capture_of(tmp_path, CaptureConfig(max_resolution=longest)).views:
        size = (view.camera.width, view.camera.height)
        assert size == ((40, 30) if longest == 40 else (64, 48))
        assert {image_size(file) for file in (view.image, view.fill_mask, view.ignore_mask)} == {size}


def test_reduced_intrinsics_see_the_same_field_of_view(tmp_path):
    write_colmap(tmp_path, SHOTS)
    full, small = capture_of(tmp_path), capture_of(tmp_path, CaptureConfig(max_resolution=32))
    torch.testing.assert_close(small.views[0].camera.K, full.views[0].camera.resized(32, 24).K)


@pytest.mark.parametrize("write", [write_colmap, write_transforms, write_llff])
def test_a_capture_in_map_coordinates_is_prepared_as_one_at_the_origin(tmp_path, write):
    far = np.array([412345.678, 5654321.987, 250.5])
    moved = SHOTS.world_from_cam.copy()
    moved[:, :3, 3] += far
    here = capture_of(write(tmp_path / "here", SHOTS))
    there = capture_of(write(tmp_path / "there", replace(SHOTS, world_from_cam=moved, points=SHOTS.points + far)))
    near = there.world_from_input.from_place(tuple(far))
    for one, other in zip(here.views, there.views, strict=True):
        expected = here.world_from_input.undo(one.camera.centers)
        torch.testing.assert_close(near.undo(other.camera.centers), expected, atol=1e-3, rtol=0)


def test_photos_that_need_nothing_are_used_where_they_are(tmp_path):
    assert capture_of(write_colmap(tmp_path, SHOTS)).views[0].image == tmp_path / "images" / "shot_00.png"


def test_reducing_averages_over_areas(tmp_path):
    write_colmap(tmp_path, SHOTS)
    shown = read_image(capture_of(tmp_path, CaptureConfig(max_resolution=32)).views[0].image)
    expected = torch.nn.functional.avg_pool2d(read_image(tmp_path / "images" / "shot_00.png"), 2)
    torch.testing.assert_close(shown, expected, atol=0.6 / 255, rtol=0)


@pytest.mark.parametrize("polarity", ["white", "black"])
def test_masks_come_out_with_white_to_be_filled(tmp_path, polarity):
    write_colmap(tmp_path, SHOTS)
    write_masks(tmp_path / "masks", SHOTS, share=0.25, black=polarity == "black")
    view = capture_of(tmp_path, CaptureConfig(mask_value=polarity)).views[0]
    assert read_mask(view.fill_mask)[0].mean(dim=0).tolist() == [1.0] * 16 + [0.0] * 48


def test_masks_are_undistorted_with_their_photos(tmp_path):
    shots = shoot(BARREL.rescaled(256, 192), views=3)
    write_colmap(tmp_path, shots)
    for name, image in zip(shots.names, shots.images, strict=True):
        write_mask(tmp_path / "masks" / f"{name}.png", (image[:1] > 0.5).float())
    view = capture_of(tmp_path).views[0]
    image = read_image(view.image)[:1]
    clear = (image - 0.5).abs() > 0.15
    assert clear.float().mean() > 0.3
    assert (read_mask(view.fill_mask) == (image > 0.5))[clear].float().mean() > 0.998


def test_borders_without_a_photo_are_ignored(tmp_path):
    pincushion = Lens("SIMPLE_RADIAL", 64, 48, 50.0, 50.0, 32.0, 24.0, (0.9,))
    write_colmap(tmp_path, shoot(pincushion, views=3))
    ignored = read_mask(capture_of(tmp_path).views[0].ignore_mask)[0]
    assert ignored[0, 0] == 1
    assert ignored[24, 32] == 0


def test_no_ignore_mask_is_written_where_nothing_is_ignored(tmp_path):
    assert capture_of(write_colmap(tmp_path, shoot(BARREL, views=3))).views[0].ignore_mask is None


def test_ignore_masks_of_all_kinds_add_up(tmp_path):
    left, top = torch.zeros(1, 48, 64), torch.ones(1, 48, 64)
    left[..., :16], top[:, :12] = 1, 0
    frames = [{"file_path": f"images/{name}.png", "mask_path": f"people/{name}.png"} for name in SHOTS.names]
    poses = [(pose @ np.diag([1, -1, -1, 1])).tolist() for pose in SHOTS.world_from_cam]
    for frame, pose in zip(frames, poses, strict=True):
        frame["transform_matrix"] = pose
    write_transforms(tmp_path, SHOTS, frames=frames)
    for name in SHOTS.names:
        write_mask(tmp_path / "ignore_masks" / f"{name}.png", left)
        write_mask(tmp_path / "people" / f"{name}.png", top)
    ignored = read_mask(capture_of(tmp_path).views[0].ignore_mask)
    assert torch.equal(ignored, torch.maximum(left, 1 - top))


def test_held_out_views_only_judge(tmp_path):
    write_colmap(tmp_path, shoot(views=6))
    capture = capture_of(tmp_path, CaptureConfig(test_every=3))
    assert [view.name for view in capture.held_out] == ["shot_00", "shot_03"]
    assert len(capture.views) == 4


def test_the_capture_that_was_used_last_is_known(tmp_path):
    with pytest.raises(CaptureError, match="cache holds no prepared capture"):
        last_prepared(tmp_path / "cache")
    write_colmap(tmp_path, SHOTS)
    for test_every in (0, 4, 0):
        capture = capture_of(tmp_path, CaptureConfig(test_every=test_every))
        last = last_prepared(tmp_path / "cache")
        assert [view.name for view in last.held_out] == [view.name for view in capture.held_out]
        assert last.world_from_input == capture.world_from_input


def test_a_second_time_the_cache_is_used(tmp_path):
    write_colmap(tmp_path, SHOTS)
    first = capture_of(tmp_path, CaptureConfig(max_resolution=32, test_every=4))
    *events, last = Tail(prepare(tmp_path, CaptureConfig(max_resolution=32, test_every=4), cache=tmp_path / "cache"))
    assert [type(event) for event in events] == [Skipped]
    assert [view.name for view in last.held_out] == [view.name for view in first.held_out]
    assert last.world_from_input == first.world_from_input
    assert torch.equal(last.points.positions, first.points.positions)
    assert torch.equal(last.points.colors, first.points.colors)
    for before, after in zip(first.views, last.views, strict=True):
        assert (before.name, before.image, before.fill_mask) == (after.name, after.image, after.fill_mask)
        assert torch.equal(before.camera.K, after.camera.K)
        assert torch.equal(before.camera.cam_from_world, after.camera.cam_from_world)


class Tail:
    """Iterates over events, and then over what they return."""

    def __init__(self, events):
        self.events = events

    def __iter__(self):
        yield (yield from self.events)


def test_an_edited_photo_is_prepared_again(tmp_path):
    write_colmap(tmp_path, SHOTS)
    config = CaptureConfig(max_resolution=32)
    before = read_image(capture_of(tmp_path, config).views[0].image)
    write_image(tmp_path / "images" / "shot_00.png", 1 - SHOTS.images[0])
    os.utime(tmp_path / "images" / "shot_00.png", ns=(1, 1))
    after = read_image(capture_of(tmp_path, config).views[0].image)
    torch.testing.assert_close(after, 1 - before, atol=1.1 / 255, rtol=0)


def test_an_interrupted_preparation_starts_over(tmp_path):
    write_colmap(tmp_path, SHOTS)
    events = prepare(tmp_path, CaptureConfig(max_resolution=32), cache=tmp_path / "cache")
    while not (isinstance(event := next(events), Progressed) and event.done == 2):
        pass
    events.close()
    assert list((tmp_path / "cache").iterdir())
    assert len(capture_of(tmp_path, CaptureConfig(max_resolution=32)).views) == 5
    assert {path.name for path in next((tmp_path / "cache").glob("*/")).iterdir()} == {
        "images",
        "capture.json",
        "points.safetensors",
    }


def test_the_layout_the_masks_and_their_share_are_said(tmp_path):
    write_colmap(tmp_path, shoot(BARREL, views=4))
    write_masks(tmp_path / "masks", shoot(views=3), share=0.5)
    layout, masks, share = messages(tmp_path)
    assert "COLMAP text model in sparse/0: 4 of 4 pictures in images have a pose, OPENCV 64x48, to be undistorted" in layout
    assert masks == "3 of 4 photos have a mask in masks"
    assert share.startswith("the masks mark 5")
    assert share.endswith("on average (filled: white)")


def test_pictures_without_a_pose_are_said_with_what_helps(tmp_path):
    write_colmap(tmp_path, SHOTS)
    for name in ("a", "b"):
        write_image(tmp_path / "images" / f"{name}.png", SHOTS.images[0])
    (warning,) = messages(tmp_path, level="warning")
    assert warning.startswith("2 of 7 pictures have no pose and are not used")


def test_photos_without_a_mask_are_said(tmp_path):
    write_colmap(tmp_path, SHOTS)
    write_masks(tmp_path / "masks", shoot(views=3))
    assert messages(tmp_path, level="warning") == ["2 of 5 photos have no mask: they are taken as showing nothing to remove"]


def test_a_mostly_marked_capture_raises_a_question(tmp_path):
    write_colmap(tmp_path, SHOTS)
    write_masks(tmp_path / "masks", SHOTS, share=0.75)
    assert messages(tmp_path, level="warning") == [
        "more than half is marked: if that is the rest of the scene, set mask polarity black"
    ]


def test_a_few_empty_masks_are_fine(tmp_path):
    write_colmap(tmp_path, SHOTS)
    write_masks(tmp_path / "masks", SHOTS)
    write_mask(tmp_path / "masks" / "shot_00.png", torch.zeros(1, 48, 64))
    assert "1 of 5 masks are empty: their photos are taken as showing nothing to remove" in messages(tmp_path)


@pytest.mark.parametrize(("share", "message"), [(0.0, "all 5 masks in .*masks are empty"), (1.0, "edge to edge")])
def test_masks_that_mark_nothing_or_everything_are_refused(tmp_path, share, message):
    write_colmap(tmp_path, SHOTS)
    write_masks(tmp_path / "masks", SHOTS, share=share)
    with pytest.raises(MaskError, match=message):
        capture_of(tmp_path)


def test_ignoring_everything_is_refused(tmp_path):
    write_colmap(tmp_path, SHOTS)
    write_masks(tmp_path / "ignore_masks", SHOTS, share=1.0)
    with pytest.raises(MaskError, match="nothing is left to learn from"):
        capture_of(tmp_path)


def test_a_mask_of_another_shape_is_refused(tmp_path):
    write_colmap(tmp_path, SHOTS)
    write_masks(tmp_path / "masks", SHOTS)
    write_mask(tmp_path / "masks" / "shot_03.png", torch.ones(1, 64, 48))
    with pytest.raises(MaskError, match=r"shot_03\.png is 48x64 but its photo is 64x48"):
        capture_of(tmp_path)


def test_a_corrupt_photo_is_named(tmp_path):
    write_colmap(tmp_path, SHOTS)
    file = tmp_path / "images" / "shot_02.png"
    file.write_bytes(file.read_bytes()[:-2000])
    with pytest.raises(CaptureError, match=r"shot_02\.png cannot be read"):
        capture_of(tmp_path)


def test_two_views_are_too_few(tmp_path):
    with pytest.raises(CaptureError, match=r"has 2 usable views .* at least 3 are needed"):
        capture_of(write_colmap(tmp_path, shoot(views=2)))


def test_holding_out_too_many_is_refused(tmp_path):
    with pytest.raises(CaptureError, match=r"has 4 usable views .* of which 2 are held out, at least 3 are needed"):
        capture_of(write_colmap(tmp_path, shoot(views=4)), CaptureConfig(test_every=2))


def test_without_points_or_texture_random_ones_are_taken_and_said(tmp_path):
    shots = shoot(views=3)
    write_llff(tmp_path, shots)
    for name in shots.names:
        write_image(tmp_path / "images_2" / f"{name}.png", torch.full((3, 48, 64), 0.5))
    events = list(prepare(tmp_path, PLAIN, cache=tmp_path / "cache"))
    warnings = [event.message for event in events if isinstance(event, Noted) and event.level == "warning"]
    assert warnings[0].startswith("only 0 points could be triangulated, so the fit starts from random ones")
    assert next(event for event in events if isinstance(event, Measured)).values["points"] == 5000


@pytest.mark.parametrize("wrong", [{"max_resolution": 8}, {"test_every": 1}, {"test_every": -1}], ids=str)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        CaptureConfig(**wrong)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["kermit", "spin_statue"])
def test_real_captures_show_their_points_in_their_color(tmp_path, real_capture, name):
    capture = drain(prepare(real_capture(name), CaptureConfig(max_resolution=480), cache=tmp_path))
    torch.manual_seed(0)
    for view in capture.views[::4]:
        pixels, depth = view.camera.project(capture.points.positions)
        size = torch.tensor([view.camera.width, view.camera.height])
        shown = (depth[0] > 0) & ((pixels[0] > 0) & (pixels[0] < size)).all(dim=-1)
        grid = (pixels[0][shown] / size * 2 - 1)[None, None]
        seen = torch.nn.functional.grid_sample(read_image(view.image)[None], grid, align_corners=False)[0, :, 0].T
        colors = capture.points.colors[shown] / 255
        right = (seen - colors).abs().mean(dim=1).median()
        wrong = (seen - colors[torch.randperm(len(colors))]).abs().mean(dim=1).median()
        assert right < wrong / 2


@pytest.mark.parametrize("name", ["{album}/shot_00.png", "../album/shot_00.png", "a/../../../album/shot_00.png"])
def test_photos_that_a_model_names_outside_the_capture_are_never_written(tmp_path, name):
    root = write_colmap(tmp_path / "capture", shoot())
    (tmp_path / "album").mkdir()
    mine = (root / "images" / "shot_00.png").rename(tmp_path / "album" / "shot_00.png")
    before = mine.read_bytes()
    listed = root / "sparse" / "0" / "images.txt"
    listed.write_text(listed.read_text().replace("shot_00.png", name.format(album=tmp_path / "album")))
    drain(prepare(root, CaptureConfig(max_resolution=32), cache=tmp_path / "run" / "cache"))
    assert mine.read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {"album", "capture", "run"}
    assert [path.name for path in (tmp_path / "album").iterdir()] == ["shot_00.png"]
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["cache"]


@pytest.mark.parametrize("white", [1.0, 255.0])
def test_photos_of_floating_point_numbers_become_usual_ones(tmp_path, white):
    root = write_transforms(tmp_path, shoot())
    for path in list((root / "images").iterdir()):
        gray = read_image(path)[0].numpy() * white
        gray[5, 7] = np.nan
        Image.fromarray(gray.astype(np.float32)).save(path.with_suffix(".tif"))
        path.unlink()
    description = root / "transforms.json"
    description.write_text(description.read_text().replace(".png", ".tif"))
    said = []
    capture = drain(prepare(root, PLAIN, cache=tmp_path / "cache"), said.append)
    for view in capture.views:
        assert view.image.suffix == ".png"
        assert 0.3 < read_image(view.image).mean() < 0.7
        assert view.ignore_mask is not None
        assert read_mask(view.ignore_mask).nonzero().tolist() == [[0, 5, 7]]
    assert "5 pixels of 5 photos are NaN or infinite, and are ignored" in [getattr(event, "message", "") for event in said]
