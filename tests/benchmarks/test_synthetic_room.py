import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.synthetic_room import make_room
from splatpaint.capture.transforms import read_transforms
from splatpaint.image.files import read_image, read_mask


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("room")
    make_room(folder, views=3, size=(80, 60))
    return folder


NAMES = ("000", "001", "002")


def test_the_same_seed_makes_the_same_files(room: Path, tmp_path: Path):
    make_room(tmp_path, views=3, size=(80, 60))
    files = sorted(path.relative_to(room) for path in room.rglob("*") if path.is_file())
    assert len(files) == 4 * 3 + 2
    for file in files:
        assert (room / file).read_bytes() == (tmp_path / file).read_bytes()


def test_truth_is_the_same_outside_the_mask_and_another_inside(room: Path):
    for name in NAMES:
        image, truth = (read_image(room / kind / f"{name}.png") for kind in ("images", "truth"))
        inside = read_mask(room / "masks" / f"{name}.png")[0] > 0.5
        assert torch.equal(image[:, ~inside], truth[:, ~inside])
        assert (image - truth)[:, inside].abs().mean() > 0.1


def test_the_object_is_whole_in_every_view(room: Path):
    for name in NAMES:
        mask = read_mask(room / "masks" / f"{name}.png")
        assert 0.02 < mask.mean() < 0.2
        assert not mask[0, 0].any()
        assert not mask[0, -1].any()
        assert not mask[0, :, 0].any()
        assert not mask[0, :, -1].any()


def test_points_lie_on_what_the_pictures_show(room: Path):
    photos = read_transforms(room / "transforms.json")
    assert photos.points is not None
    photo = photos.photos[0]
    in_cam = photos.points.positions[:250] @ photo.cam_from_world[:3, :3].T + photo.cam_from_world[:3, 3]
    pixels = np.floor(photo.lens.image(in_cam[:, :2] / in_cam[:, 2:])).astype(int)
    image = np.asarray(Image.open(photo.path))
    assert (image[pixels[:, 1], pixels[:, 0]] == photos.points.colors[:250]).all()


def test_truth_depth_is_that_of_the_points_off_the_object(room: Path):
    photos = read_transforms(room / "transforms.json")
    assert photos.points is not None
    photo = photos.photos[0]
    in_cam = photos.points.positions[:250] @ photo.cam_from_world[:3, :3].T + photo.cam_from_world[:3, 3]
    x, y = np.floor(photo.lens.image(in_cam[:, :2] / in_cam[:, 2:])).astype(int).T
    depth = np.asarray(Image.open(room / "truth_depth" / "000.png"))[y, x] / 1000
    off = read_mask(room / "masks" / "000.png").numpy()[0, y, x] == 0
    assert off.sum() > 100
    np.testing.assert_allclose(depth[off], in_cam[off, 2], atol=1e-3)


def test_the_capture_does_not_mention_the_truth(room: Path):
    assert "truth" not in json.dumps(json.loads((room / "transforms.json").read_text()))


def test_another_seed_makes_another_room(room: Path, tmp_path: Path):
    make_room(tmp_path, views=3, size=(80, 60), seed=1)
    one, other = (read_image(folder / "truth" / "001.png") for folder in (room, tmp_path))
    assert (one - other).abs().mean() > 0.01


def test_a_shadow_darkens_the_images_around_the_object_and_not_the_truth(room: Path, tmp_path: Path):
    make_room(tmp_path, views=3, size=(80, 60), shadow=True)
    for name in NAMES:
        assert (tmp_path / "truth" / f"{name}.png").read_bytes() == (room / "truth" / f"{name}.png").read_bytes()
        image, truth = (read_image(tmp_path / kind / f"{name}.png") for kind in ("images", "truth"))
        outside = read_mask(tmp_path / "masks" / f"{name}.png")[0] == 0
        darker = (truth - image)[:, outside].amax(dim=0)
        assert darker.max() > 0.15
        assert (image - truth)[:, outside].max() == 0
        assert (darker > 0.02).float().mean() < 0.2
