import json

import numpy as np
import pytest
import torch
from PIL import Image

from splatpaint.errors import PriorError
from splatpaint.priors.photos import by_area, random_crops, random_views, read_photos


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(41):
        path = tmp_path / ("tiles" if number % 2 else "photos") / f"{number:02}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (40, 60, 3), dtype=np.uint8)).save(path)
    return tmp_path


def test_one_in_twenty_pictures_is_held_out_without_an_index(folder):
    photos = read_photos(folder)
    assert (len(photos.train), len(photos.test)) == (38, 3)
    assert len(photos.names) == 41
    assert "tiles/01.png" in photos.names


def test_an_index_says_which_pictures_are_held_out(folder):
    listed = [{"file": f"{number:02}.png", "split": "test" if number < 7 else "train"} for number in range(41)]
    (folder / "index.json").write_text(json.dumps(listed))
    assert len(read_photos(folder).test) == 7


def test_crops_are_squares_of_the_asked_size_in_the_unit_range(folder):
    crops = random_crops(read_photos(folder).train, 8, 24, np.random.default_rng(0))
    assert crops.shape == (8, 3, 24, 24)
    assert crops.min() >= 0
    assert crops.max() <= 1
    assert crops.std() > 0.05


def test_the_same_stream_draws_the_same_crops(folder):
    photos = read_photos(folder).train
    first, second = (random_crops(photos, 4, 24, np.random.default_rng(5)) for _ in range(2))
    assert torch.equal(first, second)


def test_pictures_smaller_than_the_crop_are_enlarged(folder):
    assert random_crops(read_photos(folder).train, 2, 128, np.random.default_rng(0)).shape == (2, 3, 128, 128)


def test_a_folder_without_pictures_is_refused(tmp_path):
    with pytest.raises(PriorError, match="holds 0 pictures"):
        read_photos(tmp_path)


def test_a_broken_picture_is_named(folder):
    (folder / "photos" / "99.jpg").write_bytes(b"not a picture")
    with pytest.raises(PriorError, match=r"99\.jpg cannot be read"):
        read_photos(folder)


def test_large_photos_are_drawn_as_much_more_often_as_they_are_larger():
    photos = [Image.new("RGB", size) for size in ((60, 40), (30, 40), (200, 10))]
    large, shares = by_area(photos, 30)
    assert large == photos[:2]
    assert shares.tolist() == pytest.approx([2 / 3, 1 / 3])
    assert by_area(photos, 500)[0] == photos


def test_views_of_one_place_resemble_each_other_and_are_not_the_same():
    rng, ramp = np.random.default_rng(0), np.linspace(0, 255, 96, dtype=np.uint8)
    photo = Image.fromarray(np.stack(np.broadcast_arrays(ramp[:, None], ramp[None], np.uint8(128)), axis=-1))
    views = random_views([photo], 6, 2, 32, rng)
    assert [view.shape for view in views] == [(6, 3, 32, 32)] * 2
    apart = (views[0] - views[1]).abs().mean(dim=(1, 2, 3))
    strangers = (views[0] - views[1].roll(1, dims=0)).abs().mean(dim=(1, 2, 3))
    assert (apart > 0.002).all()
    assert apart.mean() < strangers.mean()
    assert torch.equal(views[0], random_views([photo], 6, 2, 32, np.random.default_rng(0))[0])
