import numpy as np
import pytest
import torch
from PIL import Image

from splatpaint.errors import CaptureError
from splatpaint.image.files import image_size, read_image, read_mask, write_image, write_mask


def test_an_eight_bit_image_survives_a_round_trip(tmp_path):
    image = torch.randint(0, 256, (3, 5, 7)) / 255
    write_image(tmp_path / "deep" / "picture.png", image)
    torch.testing.assert_close(read_image(tmp_path / "deep" / "picture.png"), image)


def test_writing_clamps_and_rounds(tmp_path):
    write_image(tmp_path / "picture.png", torch.tensor([-1.0, 2.0, 100.4 / 255])[:, None, None])
    assert (read_image(tmp_path / "picture.png") * 255).flatten().tolist() == pytest.approx([0, 255, 100])


def test_only_the_finished_file_is_left_behind(tmp_path):
    write_image(tmp_path / "picture.jpg", torch.rand(3, 8, 8))
    assert [path.name for path in tmp_path.iterdir()] == ["picture.jpg"]


def test_a_failed_write_leaves_the_old_file_alone(tmp_path):
    write_image(tmp_path / "picture.png", torch.ones(3, 2, 2))
    with pytest.raises(ValueError, match="extension"):
        write_image(tmp_path / "picture.unheard", torch.zeros(3, 2, 2))
    assert [path.name for path in tmp_path.iterdir()] == ["picture.png"]


def test_exif_orientation_is_not_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (6, 4)).save(tmp_path / "turned.jpg", exif=exif)
    assert read_image(tmp_path / "turned.jpg").shape == (3, 4, 6)
    assert image_size(tmp_path / "turned.jpg") == (6, 4)


def test_alpha_is_dropped(tmp_path):
    Image.new("RGBA", (2, 2), (255, 0, 0, 10)).save(tmp_path / "clear.png")
    assert read_image(tmp_path / "clear.png")[:, 0, 0].tolist() == [1, 0, 0]


def test_sixteen_bit_gray_is_scaled_to_one(tmp_path):
    Image.fromarray(np.array([[0, 65535]], dtype=np.uint16)).save(tmp_path / "deep.png")
    assert read_image(tmp_path / "deep.png")[:, 0].tolist() == [[0, 1]] * 3


STORED = {
    "0/1": np.array([[0, 1]], dtype=np.uint8),
    "0/255": np.array([[0, 255]], dtype=np.uint8),
    "soft edge": np.array([[127, 128]], dtype=np.uint8),
    "16 bit": np.array([[0, 65535]], dtype=np.uint16),
    "rgb": np.array([[[0, 0, 0], [200, 0, 0]]], dtype=np.uint8),
    "rgba": np.array([[[0, 0, 0, 255], [255, 255, 255, 255]]], dtype=np.uint8),
    "white on transparent": np.array([[[255, 255, 255, 0], [255, 255, 255, 255]]], dtype=np.uint8),
}


@pytest.mark.parametrize("kind", STORED)
def test_masks_of_every_storage_read_as_zero_and_one(tmp_path, kind):
    Image.fromarray(STORED[kind]).save(tmp_path / "mask.png")
    assert read_mask(tmp_path / "mask.png").tolist() == [[[0, 1]]]


def test_a_black_mask_is_empty(tmp_path):
    Image.new("L", (3, 2)).save(tmp_path / "mask.png")
    assert read_mask(tmp_path / "mask.png").sum() == 0


def test_masks_are_stored_as_0_and_255(tmp_path):
    write_mask(tmp_path / "mask.png", torch.tensor([[[0.2, 0.8]]]))
    assert np.asarray(Image.open(tmp_path / "mask.png")).tolist() == [[0, 255]]


@pytest.mark.parametrize("read", [read_image, read_mask, image_size])
def test_a_file_that_is_no_picture_is_named(tmp_path, read):
    (tmp_path / "broken.png").write_bytes(b"not a picture")
    with pytest.raises(CaptureError, match=r"broken\.png"):
        read(tmp_path / "broken.png")


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_a_truncated_picture_is_named(tmp_path, suffix):
    whole, cut = tmp_path / f"whole.{suffix}", tmp_path / f"cut.{suffix}"
    write_image(whole, torch.rand(3, 64, 64))
    cut.write_bytes(whole.read_bytes()[:-2000])
    with pytest.raises(CaptureError, match=rf"cut\.{suffix}"):
        read_image(cut)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CaptureError, match=r"gone\.png does not exist"):
        read_image(tmp_path / "gone.png")
