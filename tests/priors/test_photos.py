import json

import numpy as np
import pytest
import torch
from PIL import Image

from splatpaint.errors import PriorError
from splatpaint.priors.photos import random_crops, read_photos


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
    with pytest.raises(PriorError, match=r"99\.jpg cannot be read as a picture"):
        read_photos(folder)
