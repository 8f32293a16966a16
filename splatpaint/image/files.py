"""Reading and writing of images and masks.

The EXIF orientation is applied only where that is asked for: camera poses usually refer to the pixels as they are stored.
"""

import warnings
from collections.abc import Iterable, Iterator
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
FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP")
"""What the content of such a file may be, whatever its suffix; Pillow would also start programs, as for PostScript."""
MAX_PIXELS = 89_000_000
"""Of a picture; some kilobytes of PNG can be as many as one likes. Pillow itself warns of more, which is not needed then."""
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
WHITE_16_BIT = 65535.0
BRIGHTEST = 99.0
"""Percentile that tells how bright white is in pictures of floating-point numbers: a few highlights do not."""
SIDEWAYS = (5, 6, 7, 8)
"""EXIF orientations that swap width and height."""
ALPHA_MODES = ("RGBA", "RGBa", "LA", "La", "PA")
GRAY = 32
"""Difference of channels, of 255, up to which a pixel may be gray: JPEG stores color less exactly than brightness."""


def read_image(path: Path, *, upright: bool = False, white: float = 1.0) -> Float[Tensor, "3 h w"]:
    """The image as sRGB in [0, 1]. Gray is repeated to three channels, 16-bit gray is scaled, alpha is dropped.

    Args:
        path: the file.
        upright: whether it is turned as its EXIF orientation says.
        white: the value that is white if the image holds floating-point numbers, see `white_of`. Those that are not finite are
            black, see `nonfinite_pixels`.

    Raises:
        CaptureError: if the file is missing, is too large, cannot be decoded to its end, or holds 32-bit whole numbers.
    """
    with open_picture(path) as opened:
        image = ImageOps.exif_transpose(opened) if upright else opened
        if image.mode.startswith("F"):
            gray = np.nan_to_num(np.asarray(image, dtype=np.float32), posinf=0.0, neginf=0.0) / white
        elif image.mode.startswith("I"):
            if image.mode == "I" and opened.format != "PNG":  # a PNG has 16 bits at most
                raise CaptureError(f"{path} holds 32-bit whole numbers, whose white is unknown: save it with 8 or 16 bits")
            gray = np.asarray(image, dtype=np.float32) / WHITE_16_BIT
        else:
            pixels = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1).contiguous()
            return pixels.float().div_(255.0)
    return torch.from_numpy(gray).clamp(0, 1).expand(3, -1, -1).contiguous()


def white_of(paths: Iterable[Path]) -> float:
    """The value that is white in those images of a set that hold floating-point numbers: 1, 255 or 65535.

    It is the same for all of them: the smallest that the brightest percent of the typical image does not exceed by half.

    Raises:
        CaptureError: as `read_image`.
    """
    bright = []
    for path in paths:
        if holds_floats(path):
            with open_picture(path) as image:
                values = np.asarray(image, dtype=np.float32)
            finite = values[np.isfinite(values)]
            bright += [float(np.percentile(finite, BRIGHTEST))] if finite.size else []
    typical = float(np.median(bright)) if bright else 0.0
    return next((white for white in (1.0, 255.0) if typical <= 1.5 * white), WHITE_16_BIT)


def holds_floats(path: Path) -> bool:
    """Whether the image holds floating-point numbers, by its header alone.

    Raises:
        CaptureError: as `image_size`.
    """
    with open_picture(path, decode=False) as image:
        return image.mode.startswith("F")


def nonfinite_pixels(path: Path, *, upright: bool = False) -> Float[Tensor, "1 h w"] | None:
    """1 where the image is NaN or infinite; None if it is nowhere.

    Args:
        path: the file.
        upright: whether it is turned as its EXIF orientation says.

    Raises:
        CaptureError: as `read_image`.
    """
    if not holds_floats(path):
        return None
    with open_picture(path) as opened:
        image = ImageOps.exif_transpose(opened) if upright else opened
        broken = ~np.isfinite(np.asarray(image, dtype=np.float32))
    return torch.from_numpy(broken)[None].float() if broken.any() else None


def read_mask(path: Path) -> Float[Tensor, "1 h w"]:
    """The binary mask: 1 where the brightest channel is above half of full scale, else 0.

    Full scale is the smallest of 1, 255 and 65535 that no pixel exceeds, so masks may be stored as 0/1, 0/255 or in 16 bits.
    Transparent pixels count as black.

    Raises:
        CaptureError: if the file is missing or cannot be decoded to its end.
    """
    with open_picture(path) as image:
        if image.mode.startswith(("I", "F")):
            values = np.asarray(image, dtype=np.float32)
        else:
            rgba = np.asarray(image.convert("RGBA"), dtype=np.float32)
            values = rgba[..., :3].max(axis=-1) * (rgba[..., 3] / 255.0)
    return torch.from_numpy(values > full_scale(float(values.max(initial=0.0))) / 2)[None].float()


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
    with open_picture(path, decode=False) as image:
        if not (image.mode in ALPHA_MODES or "transparency" in image.info):
            return None
    with open_picture(path) as opened:
        image = ImageOps.exif_transpose(opened) if upright else opened
        opaque = np.asarray(image.convert("RGBA").getchannel("A")) > 127
    return None if opaque.all() else torch.from_numpy(opaque)[None].float()


def read_stored(path: Path) -> Stored:
    """The pixels before any meaning is given to them.

    Raises:
        CaptureError: if the file is missing or cannot be decoded to its end.
    """
    with open_picture(path) as image:
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
    with open_picture(path, decode=False) as image:
        if image.format == "PNG" and "exif" not in image.info:  # Pillow would decode all of it to look behind the pixels
            return 1
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
    with open_picture(path, decode=False) as image:
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
def open_picture(path: Path, *, decode: bool = True) -> Iterator[Image.Image]:
    """The picture, decoded to its end unless only its header is asked for; closed after the block.

    Raises:
        CaptureError: if there is no such file, it is none of `FORMATS`, has too many pixels, or is damaged.
    """
    try:
        image = Image.open(path, formats=FORMATS)
    except FileNotFoundError:
        raise CaptureError(f"the image {path} does not exist") from None
    except Exception as error:  # whatever a decoder makes of a damaged file
        raise _unreadable(path, error) from error
    with image:
        if image.width * image.height > MAX_PIXELS:
            raise CaptureError(
                f"the image {path} has {image.width}x{image.height} pixels, and at most {MAX_PIXELS // 10**6} million are read:"
                " give smaller copies"
            )
        if decode:
            try:
                image.load()
            except Exception as error:
                raise _unreadable(path, error) from error
        yield image


def _unreadable(path: Path, error: Exception) -> CaptureError:
    is_foreign = isinstance(error, UnidentifiedImageError)
    reason = f"it is none of {', '.join(FORMATS)}" if is_foreign else f"{type(error).__name__}: {error}"
    return CaptureError(f"the image {path} cannot be read ({reason}): replace or delete the file")


def full_scale(peak: float) -> float:
    """What is white in masks whose largest value is that: the smallest of 1, 255 and 65535 that it does not exceed."""
    return next((scale for scale in (1.0, 255.0, 65535.0) if peak <= scale), peak)


def _write(path: Path, picture: Image.Image) -> None:
    with replacing(path) as temporary:
        # PNG: level 2 takes a third of the time of the usual 6 and a tenth more space; quality concerns JPEG and WebP only
        picture.save(temporary, quality=95, compress_level=2)
