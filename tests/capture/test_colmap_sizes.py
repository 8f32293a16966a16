"""A binary model that ends early is refused at once; COLMAP alone would read on until memory ends."""

import struct

import pytest

from splatpaint.capture.colmap import read_colmap
from splatpaint.capture.colmap_sizes import READERS, check_sizes
from splatpaint.errors import CaptureError
from tests.support.captures import shoot, write_colmap


@pytest.fixture
def model(tmp_path):
    return write_colmap(tmp_path / "capture", shoot(), binary=True) / "sparse" / "0"


def test_a_whole_model_is_as_long_as_it_says(model):
    check_sizes(model)
    assert len(read_colmap(model.parents[1]).photos) == 5


@pytest.mark.parametrize("name", READERS)
def test_every_file_is_noticed_wherever_it_is_cut_off(model, name):
    file = model / f"{name}.bin"
    whole = file.read_bytes()
    for left in range(0, len(whole), max(1, len(whole) // 40)):
        file.write_bytes(whole[:left])
        with pytest.raises(CaptureError, match=rf"{name}\.bin is cut off"):
            read_colmap(model.parents[1])


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("count", [2**31, 2**40, 2**63, 2**64 - 1])
def test_a_count_that_lies_is_noticed(model, name, count):
    file = model / f"{name}.bin"
    file.write_bytes(struct.pack("<Q", count) + file.read_bytes()[8:])
    with pytest.raises(CaptureError, match=rf"{name}\.bin is cut off"):
        read_colmap(model.parents[1])
