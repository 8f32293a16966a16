"""Files that call themselves pictures: decoded by what is meant to decode them, within bounds, or refused in a sentence."""

import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from splatpaint.errors import CaptureError
from splatpaint.image.files import (
    MAX_PIXELS,
    holds_floats,
    image_size,
    nonfinite_pixels,
    open_picture,
    read_image,
    read_mask,
    white_of,
)

POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n(touched) (w) file closefile\nshowpage\n%%EOF\n"
OTHERS = {
    "PostScript": POSTSCRIPT,
    "PDF": b"%PDF-1.4\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF\n",
    "portable": b"P6 2 2 255\n" + bytes(12),
    "icon": struct.pack("<3H4B2H2I", 0, 1, 1, 2, 2, 0, 0, 1, 32, 40, 22) + bytes(80),
    "nothing": b"",
}


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".bmp", ".webp"])
@pytest.mark.parametrize("kind", OTHERS)
def test_no_decoder_is_started_but_those_of_pictures(tmp_path, suffix, kind):
    path = tmp_path / f"picture{suffix}"
    path.write_bytes(OTHERS[kind])
    for read in (read_image, read_mask, image_size, holds_floats):
        with pytest.raises(CaptureError, match=rf"picture\{suffix} cannot be read"):
            read(path)


@pytest.mark.parametrize("content", ["PNG", "JPEG", "WEBP", "TIFF", "BMP"])
def test_a_picture_of_another_format_than_its_suffix_says_is_read(tmp_path, content):
    Image.new("RGB", (4, 3), (255, 255, 255)).save(tmp_path / "picture.png", format=content)
    assert read_image(tmp_path / "picture.png").min() > 0.98


def png_of(width: int, height: int) -> bytes:
    """A black gray picture, as small as it gets."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    press = zlib.compressobj(9)
    row = bytes(1 + width)
    data = b"".join(press.compress(row) for _ in range(height)) + press.flush()
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("width", "height"), [(13_000, 13_000), (MAX_PIXELS + 1, 1), (1, MAX_PIXELS + 1), (9434, 9434)])
def test_a_picture_of_too_many_pixels_is_refused_by_its_header(tmp_path, width, height):
    data = bytearray(png_of(8, 8))
    struct.pack_into(">II", data, 16, width, height)
    struct.pack_into(">I", data, 29, zlib.crc32(data[12:29]))
    path = tmp_path / "picture.png"
    path.write_bytes(data)
    for read in (read_image, read_mask, image_size):
        with pytest.raises(CaptureError, match=r"million are read: give smaller copies|decompression bomb"):
            read(path)


def save_floats(path, values) -> None:
    Image.fromarray(np.asarray(values, dtype=np.float32)).save(path)


def test_one_bright_pixel_does_not_darken_the_rest(tmp_path):
    values = np.full((20, 20), 0.5)
    values[3, 4] = 1.01
    save_floats(tmp_path / "a.tif", values)
    white = white_of([tmp_path / "a.tif"])
    image = read_image(tmp_path / "a.tif", white=white)
    assert image[:, 0, 0].tolist() == [0.5] * 3
    assert image[:, 3, 4].tolist() == [1.0] * 3


@pytest.mark.parametrize("white", [1.0, 255.0, 65535.0])
def test_white_is_that_of_the_whole_set_also_in_its_dark_pictures(tmp_path, white):
    rng = np.random.default_rng(0)
    paths = [tmp_path / f"{number}.tif" for number in range(5)]
    for number, path in enumerate(paths):
        save_floats(path, rng.uniform(0, (0.001 if number == 0 else 1) * white, size=(16, 16)))
    Image.new("RGB", (4, 4)).save(tmp_path / "eight.png")  # has a white of its own
    assert white_of([*paths, tmp_path / "eight.png"]) == white
    assert read_image(paths[0], white=white).max() <= 0.001


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_pixels_that_are_not_finite_are_black_and_told_apart(tmp_path, value):
    values = np.full((4, 5), 0.25)
    values[1, 2] = value
    save_floats(tmp_path / "a.tif", values)
    assert white_of([tmp_path / "a.tif"]) == 1.0
    broken = nonfinite_pixels(tmp_path / "a.tif")
    assert broken is not None
    assert broken.nonzero().tolist() == [[0, 1, 2]]
    image = read_image(tmp_path / "a.tif")
    assert image.isfinite().all()
    assert image[0, 1, 2] == 0
    assert image[0, 0, 0] == 0.25


def test_pictures_without_such_pixels_need_no_mask_for_them(tmp_path):
    save_floats(tmp_path / "a.tif", np.zeros((2, 2)))
    Image.new("L", (2, 2)).save(tmp_path / "b.png")
    assert nonfinite_pixels(tmp_path / "a.tif") is None
    assert nonfinite_pixels(tmp_path / "b.png") is None


@pytest.mark.parametrize("brightest", [300, 4095, 65535])
def test_sixteen_bits_are_scaled_by_their_type_and_not_by_a_pixel(tmp_path, brightest):
    for suffix in (".png", ".tif"):
        Image.fromarray(np.array([[0, 300, brightest]], dtype=np.uint16)).save(tmp_path / f"deep{suffix}")
        image = read_image(tmp_path / f"deep{suffix}")
        torch.testing.assert_close(image[0, 0], torch.tensor([0, 300, brightest]) / 65535)


def test_whole_numbers_of_which_none_is_white_are_refused(tmp_path):
    Image.fromarray(np.array([[0, 70_000]], dtype=np.int32)).save(tmp_path / "ids.tif")
    with pytest.raises(CaptureError, match=r"ids\.tif holds 32-bit whole numbers"):
        read_image(tmp_path / "ids.tif")


def test_an_error_in_the_block_is_not_taken_for_one_of_the_file(tmp_path):
    Image.new("L", (2, 2)).save(tmp_path / "a.png")
    with pytest.raises(ZeroDivisionError), open_picture(tmp_path / "a.png"):
        _ = 1 / 0
