"""Reading and writing of images and masks.

The EXIF orientation is applied only where that is asked for: camera poses usually refer to the pixels as they are stored.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Shaped, UInt8
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from splatpaint.atomic import replacing
from splatpaint.errors import CaptureError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")
"""Suffixes (in lower case) of the files that are images when a folder is searched."""
SIDEWAYS = (5, 6, 7, 8)
"""EXIF orientations that swap width and height."""
ALPHA_MODES = ("RGBA", "RGBa", "LA", "La", "PA")
GRAY = 32
"""Difference of channels, of 255, up to which a pixel may be gray: JPEG stores color less exactly than brightness."""


def read_image(path: Path, *, upright: bool = False) -> Float[Tensor, "3 h w"]:
    """The image as sRGB in [0, 1]. Gray is repeated to three channels, 16-bit gray is scaled, alpha is dropped.

    Args:
        path: the file.
        upright: whether it is turned as its EXIF orientation says.

    Raises:
        CaptureError: if the file is missing or cannot be decoded to its end.
    """
    with _open(path) as opened:
        image = ImageOps.exif_transpose(opened) if upright else opened
        if image.mode.startswith(("I", "F")):
            gray = np.asarray(image, dtype=np.float32)
            return torch.from_numpy(gray / _full_scale(gray)).clamp(0, 1).expand(3, -1, -1).contiguous()
        pixels = np.asarray(image.convert("RGB"), dtype=np.float32)
    return torch.from_numpy(pixels).permute(2, 0, 1).div(255.0).contiguous()


def read_mask(path: Path) -> Float[Tensor, "1 h w"]:
    """The binary mask: 1 where the brightest channel is above half of full scale, else 0.

    Full scale is the smallest of 1, 255 and 65535 that no pixel exceeds, so masks may be stored as 0/1, 0/255 or in 16 bits.
    Transparent pixels count as black.

    Raises:
        CaptureError: if the file is missing or cannot be decoded to its end.
    """
    with _open(path) as image:
        if image.mode.startswith(("I", "F")):
            values = np.asarray(image, dtype=np.float32)
        else:
            rgba = np.asarray(image.convert("RGBA"), dtype=np.float32)
            values = rgba[..., :3].max(axis=-1) * (rgba[..., 3] / 255.0)
    return torch.from_numpy(values > _full_scale(values) / 2)[None].float()


@dataclass(frozen=True, eq=False)
class Stored:
    """Pixels as a file stores them."""

    values: Shaped[np.ndarray, "h w"]
    """Gray, the brightest channel, or the index into the palette."""
    alpha: Float[np.ndarray, "h w"] | None = None
    """0 = transparent, 1 = opaque; None if the file has no such channel."""
    palette: UInt8[np.ndarray, "256 3"] | None = None
    """Colors of the indices."""
    colored: bool = False
    """Whether some pixel is not gray."""


def read_opaque(path: Path, *, upright: bool = False) -> Float[Tensor, "1 h w"] | None:
    """1 where the image is opaque, 0 where it is more than half transparent; None if it has no transparent pixel.

    Args:
        path: the file.
        upright: whether it is turned as its EXIF orientation says.

    Raises:
        CaptureError: if the file is missing or cannot be decoded to its end.
    """
    with _open(path, decode=False) as image:
        if not (image.mode in ALPHA_MODES or "transparency" in image.info):
            return None
    with _open(path) as opened:
        image = ImageOps.exif_transpose(opened) if upright else opened
        opaque = np.asarray(image.convert("RGBA").getchannel("A")) > 127
    return None if opaque.all() else torch.from_numpy(opaque)[None].float()


def read_stored(path: Path) -> Stored:
    """The pixels before any meaning is given to them.

    Raises:
        CaptureError: if the file is missing or cannot be decoded to its end.
    """
    with _open(path) as image:
        if image.mode == "P":
            palette = np.zeros((256, 3), dtype=np.uint8)
            colors = np.array(image.getpalette("RGB"), dtype=np.uint8).reshape(-1, 3)
            palette[: len(colors)] = colors
            return Stored(np.asarray(image), palette=palette)
        if image.mode.startswith(("I", "F")):
            return Stored(np.asarray(image))
        if image.mode in ("1", "L"):
            return Stored(np.asarray(image.convert("L")))
        rgba = np.asarray(image.convert("RGBA"))
        alpha = rgba[..., 3] / np.float32(255) if image.mode in ALPHA_MODES else None
        colored = bool((np.ptp(rgba[..., :3].astype(np.int16), axis=-1) > GRAY).any())
    return Stored(rgba[..., :3].max(axis=-1), alpha, colored=colored)


def orientation(path: Path) -> int:
    """The EXIF orientation: 1 = stored as it is seen, 3 = turned by 180 degrees, 6 and 8 = by 90; 2, 4, 5 and 7 are mirrored.

    Raises:
        CaptureError: if the file is missing or is not an image.
    """
    with _open(path, decode=False) as image:
        stored = image.getexif().get(ExifTags.Base.Orientation, 1)
    return stored if stored in range(1, 9) else 1


def upright_size(path: Path) -> tuple[int, int]:
    """Width and height in pixels once the image is turned as its EXIF orientation says.

    Raises:
        CaptureError: if the file is missing or is not an image.
    """
    width, height = image_size(path)
    return (height, width) if orientation(path) in SIDEWAYS else (width, height)


def image_size(path: Path) -> tuple[int, int]:
    """Width and height in pixels, read from the header alone.

    Raises:
        CaptureError: if the file is missing or is not an image.
    """
    with _open(path, decode=False) as image:
        return image.size


def write_image(path: Path, image: Float[Tensor, "3 h w"]) -> None:
    """Writes sRGB in [0, 1] (clamped, rounded to 8 bits) in the format of the suffix; the file is replaced atomically."""
    pixels = image.detach().cpu().clamp(0, 1).mul(255.0).round().byte().permute(1, 2, 0)
    _write(path, Image.fromarray(pixels.contiguous().numpy()))


def write_mask(path: Path, mask: Float[Tensor, "1 h w"]) -> None:
    """Writes 8-bit gray, 255 where `mask` is above 0.5 and 0 elsewhere; the file is replaced atomically."""
    pixels = (mask.detach().cpu()[0] > 0.5).byte().mul(255)
    _write(path, Image.fromarray(pixels.contiguous().numpy()))


@contextmanager
def _open(path: Path, *, decode: bool = True) -> Iterator[Image.Image]:
    try:
        with Image.open(path) as image:
            if decode:
                image.load()
            yield image
    except FileNotFoundError:
        raise CaptureError(f"the image {path} does not exist") from None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise CaptureError(f"the image {path} cannot be read ({error}): replace or delete the file") from error


def _full_scale(values: np.ndarray) -> float:
    peak = float(values.max(initial=0.0))
    return next((scale for scale in (1.0, 255.0, 65535.0) if peak <= scale), peak)


def _write(path: Path, picture: Image.Image) -> None:
    with replacing(path) as temporary:
        # PNG: level 2 takes a third of the time of the usual 6 and a tenth more space; quality concerns JPEG and WebP only
        picture.save(temporary, quality=95, compress_level=2)
