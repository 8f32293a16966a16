"""PlayCanvas' .sog, version 2: a zip archive of lossless WebP pictures, a pixel a splat in each, and a meta.json.

`means_l` and `means_u` have the lower and upper bytes of the positions, after a logarithm, between bounds. `quats` has the
three smaller components of the quaternion wxyz, and 252 plus the index of the largest one as alpha. `scales` and `sh0` have
indices into codebooks of 256 log scales and DC harmonics, `sh0` also the opacity as alpha. `shN_labels` has 16-bit indices into
a palette of harmonics above DC, the picture `shN_centroids` with 64 entries a row; its values index a third codebook.
"""

import json
import math
import zipfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image, UnidentifiedImageError

from splatpaint.atomic import write_bytes
from splatpaint.errors import FormatError
from splatpaint.formats.codebooks import codebook, palette
from splatpaint.formats.found import ANTIALIASED, Found
from splatpaint.formats.lossy import logits_of_bytes, plain_rgb
from splatpaint.formats.morton import morton_order
from splatpaint.formats.smallest_three import SMALL_MAX, with_largest, without_largest
from splatpaint.scene.splats import Splats

QUAT_TAG = 252
"""Alpha of `quats` is this plus the index of the largest component."""
PALETTE_SIZE = 65536
"""Entries of harmonics: as many as 16 bits can tell apart. Up to so many splats keep their own."""
PALETTE_COLUMNS = 64
ROWS_MIN = 4
"""Of any picture."""
LARGEST_SIDE = 16383
"""Of a WebP picture."""
META_BYTES = 2**24
"""More is no meta.json: codebooks take tens of kilobytes."""


def write_sog(path: Path, splats: Splats, *, antialiased: bool = False) -> None:
    """Writes rgb splats in an order of the format's own (see morton.py); the file is replaced atomically.

    Args:
        path: the file.
        splats: of any degree.
        antialiased: whether the file says that they were trained for antialiased rendering.

    Raises:
        FormatError: if the splats are not rgb, or more than a picture has pixels.
        OSError: if the file cannot be written.
    """
    splats = plain_rgb(path, splats)
    splats = splats[morton_order(splats.means)]
    width = max(4, math.ceil(math.sqrt(len(splats)) / 4) * 4)
    if width > LARGEST_SIDE:
        raise FormatError(f"{path} cannot hold {len(splats)} splats, only {LARGEST_SIDE**2}: write a .ply or .spz")
    logs = _log(splats.means.double().numpy())
    low, high = (logs.min(axis=0), logs.max(axis=0)) if len(logs) else (np.zeros(3), np.zeros(3))
    fixed = np.rint((logs - low) / np.where(high > low, high - low, 1) * 65535).astype("<u2").view("u1").reshape(-1, 3, 2)
    largest, others = without_largest(splats.quats.numpy())
    scale_book, scale_index = codebook(splats.log_scales.numpy().ravel())
    color_book, color_index = codebook(splats.sh[:, 0].numpy().ravel())
    opacity = np.rint(255 * splats.opacities.numpy())
    pictures = {
        "means_l": _picture(width, fixed[:, :, 0]),
        "means_u": _picture(width, fixed[:, :, 1]),
        "quats": _picture(width, np.rint((others / (2 * SMALL_MAX) + 0.5) * 255), QUAT_TAG + largest),
        "scales": _picture(width, scale_index.reshape(-1, 3)),
        "sh0": _picture(width, color_index.reshape(-1, 3), opacity),
    }
    meta: dict[str, Any] = {
        "version": 2,
        "asset": {"generator": "splatpaint"},
        "count": len(splats),
        **({"model": "antialiased", "antialias": True} if antialiased else {}),
        "means": {"mins": low.tolist(), "maxs": high.tolist(), "files": ["means_l.webp", "means_u.webp"]},
        "scales": {"codebook": scale_book.tolist(), "files": ["scales.webp"]},
        "quats": {"files": ["quats.webp"]},
        "sh0": {"codebook": color_book.tolist(), "files": ["sh0.webp"]},
    }
    if splats.sh_degree and len(splats):
        entries, labels = palette(splats.sh[:, 1:].flatten(1), PALETTE_SIZE)
        book, index = codebook(entries.numpy().ravel())
        pictures["shN_centroids"] = _picture(PALETTE_COLUMNS * (splats.sh.shape[1] - 1), index.reshape(-1, 3))
        bytes_of_labels = labels.numpy().astype("<u2").view("u1").reshape(-1, 2)
        pictures["shN_labels"] = _picture(width, np.pad(bytes_of_labels, ((0, 0), (0, 1))))
        files = ["shN_centroids.webp", "shN_labels.webp"]
        meta["shN"] = {"count": len(entries), "bands": splats.sh_degree, "codebook": book.tolist(), "files": files}
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in pictures.items():
            archive.writestr(zipfile.ZipInfo(f"{name}.webp"), content)
        archive.writestr(zipfile.ZipInfo("meta.json"), json.dumps(meta))
    write_bytes(path, buffer.getbuffer())


def read_sog(path: Path) -> Found:
    """The splats of a .sog file of version 2, in file order.

    Raises:
        FormatError: if the file is damaged, or of another version.
        OSError: if it cannot be read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return _read(_Archive(path, archive))
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, EOFError, RuntimeError) as error:
        # zipfile raises NotImplementedError for compressions and versions that it lacks, RuntimeError for encrypted members
        raise FormatError(f"{path} cannot be read as .sog: its archive is damaged ({str(error)[:80]})") from error


def _read(archive: "_Archive") -> Found:
    meta = archive.meta
    if meta.get("version") != 2:
        said = str(meta.get("version", 1))[:20]
        raise archive.wrong(f"is of version {said} of .sog, expected 2: write it anew with another tool")
    count = archive.whole_number(meta, "count", LARGEST_SIDE**2)
    low, high = (archive.numbers(meta, "means", end, 3) for end in ("mins", "maxs"))
    lower, upper = (archive.pixels(meta, "means", index, count)[:, :3].astype(np.float64) for index in (0, 1))
    quats = archive.pixels(meta, "quats", 0, count)
    tags = quats[:, 3].astype(np.int64) - QUAT_TAG
    unit = with_largest(tags.clip(0, 3), (quats[:, :3].astype(np.float32) / 255 - 0.5) * (2 * SMALL_MAX))
    unit[tags < 0] = (1, 0, 0, 0)  # as other readers take pixels without a tag
    scales = archive.from_codebook(meta, "scales", archive.pixels(meta, "scales", 0, count)[:, :3])
    base = archive.pixels(meta, "sh0", 0, count)
    sh = archive.from_codebook(meta, "sh0", base[:, :3])[:, None]
    if meta.get("shN") is not None:
        sh = np.concatenate([sh, _harmonics(archive, count)], axis=1)
    splats = Splats(
        means=torch.from_numpy(_unlog(low + (high - low) * (lower + 256 * upper) / 65535).astype(np.float32)),
        quats=torch.from_numpy(unit),
        log_scales=torch.from_numpy(scales),
        logit_opacities=logits_of_bytes(base[:, 3]),
        sh=torch.from_numpy(sh),
    )
    antialiased = meta.get("model") == "antialiased" or meta.get("antialias") is True
    return Found(splats, (ANTIALIASED,) if antialiased else (), antialiased)


def _harmonics(archive: "_Archive", count: int) -> Float[np.ndarray, "n k 3"]:
    part = archive.part(archive.meta, "shN")
    terms = (archive.whole_number(part, "bands", 3) + 1) ** 2 - 1
    entries = archive.whole_number(part, "count", PALETTE_SIZE)
    labels = archive.pixels(archive.meta, "shN", 1, count).astype(np.int64)
    labels = labels[:, 0] + 256 * labels[:, 1]
    rows = -(-entries // PALETTE_COLUMNS)
    picture = archive.picture(archive.meta, "shN", 0, limit=PALETTE_COLUMNS * terms * (rows + ROWS_MIN))
    if picture.shape[1] != PALETTE_COLUMNS * terms or picture.shape[0] < rows:
        raise archive.wrong(f"is damaged: its palette is {picture.shape[1]} x {picture.shape[0]} pixels")
    values = archive.from_codebook(archive.meta, "shN", picture.reshape(-1, terms, 4)[:, :, :3])
    if entries == 0:
        return np.zeros((count, terms, 3), dtype=np.float32)
    outside = labels >= entries  # as other readers take them: without harmonics
    return np.where(outside[:, None, None], np.float32(0), values[np.where(outside, 0, labels)])


class _Archive:
    """What is in a .sog file, with everything checked that it says about itself."""

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self._path, self._archive = path, archive
        try:
            meta = json.loads(self._content("meta.json", META_BYTES))
        except (ValueError, RecursionError) as error:
            raise self.wrong("is damaged: its meta.json cannot be read") from error
        if not isinstance(meta, dict):
            raise self.wrong("is damaged: its meta.json is no object")
        self.meta: Mapping[str, Any] = meta

    def wrong(self, what: str) -> FormatError:
        """An error about this file."""
        return FormatError(f"{self._path} {what}")

    def part(self, tree: Mapping[str, Any], name: str) -> Mapping[str, Any]:
        """The object of that name."""
        if not isinstance(tree.get(name), dict):
            raise self.wrong(f"is damaged: its meta.json lacks {name}")
        return tree[name]

    def whole_number(self, tree: Mapping[str, Any], name: str, largest: int) -> int:
        """The number of that name, from 0 on."""
        value = tree.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= largest:
            raise self.wrong(f"is damaged: {name} in its meta.json is {str(value)[:20]!r}, expected 0 to {largest}")
        return value

    def numbers(self, tree: Mapping[str, Any], part: str, name: str, count: int) -> Float[np.ndarray, " n"]:
        """The list of so many numbers."""
        values = self.part(tree, part).get(name)
        if not isinstance(values, list) or len(values) != count or not all(type(one) in (int, float) for one in values):
            raise self.wrong(f"is damaged: {name} of {part} in its meta.json are not {count} numbers")
        try:
            return np.array(values, dtype=np.float64)
        except OverflowError as error:
            raise self.wrong(f"is damaged: {name} of {part} in its meta.json are too large") from error

    def from_codebook(self, tree: Mapping[str, Any], part: str, index: UInt8[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
        """The numbers that these indices stand for."""
        values = self.part(tree, part).get("codebook")
        book = self.numbers(tree, part, "codebook", len(values) if isinstance(values, list) else 0).astype(np.float32)
        if index.size and int(index.max()) >= len(book):
            raise self.wrong(
                f"is damaged: the codebook of {part} has {len(book)} numbers, its picture asks for {index.max() + 1}"
            )
        return book[index] if len(book) else np.zeros(index.shape, dtype=np.float32)

    def pixels(self, tree: Mapping[str, Any], part: str, file: int, count: int) -> UInt8[np.ndarray, "n 4"]:
        """The first `count` pixels of a picture."""
        picture = self.picture(tree, part, file, limit=2 * count + LARGEST_SIDE).reshape(-1, 4)
        if len(picture) < count:
            raise self.wrong(f"is damaged: a picture of {part} has {len(picture)} pixels for {count} splats")
        return picture[:count]

    def picture(self, tree: Mapping[str, Any], part: str, file: int, *, limit: int) -> UInt8[np.ndarray, "h w 4"]:
        """The picture of that number among the files of a part, of at most so many pixels."""
        files = self.part(tree, part).get("files")
        if not isinstance(files, list) or len(files) <= file or not isinstance(files[file], str):
            raise self.wrong(f"is damaged: {part} in its meta.json names no file {file}")
        try:
            with Image.open(BytesIO(self._content(files[file], 8 * limit + META_BYTES)), formats=["WEBP"]) as picture:
                if picture.width * picture.height > limit:
                    raise self.wrong(f"is damaged: {files[file][:40]} has {picture.width} x {picture.height} pixels")
                return np.asarray(picture.convert("RGBA"))
        except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
            raise self.wrong(f"is damaged: {files[file][:40]!r} is no WebP picture") from error

    def _content(self, name: str, limit: int) -> bytes:
        """The bytes of a file of the archive, at most so many."""
        try:
            with self._archive.open(name) as file:
                content = file.read(limit + 1)
        except KeyError as error:
            raise self.wrong(f"is no .sog file, or damaged: its archive has no {name[:40]!r}") from error
        if len(content) > limit:
            raise self.wrong(f"is damaged: {name[:40]} in its archive is larger than {limit} bytes")
        return content


def _picture(width: int, rgb: np.ndarray, alpha: np.ndarray | int = 255) -> bytes:
    """A lossless WebP picture of these pixels, row by row; what is left over is 0."""
    height = max(ROWS_MIN, -(-len(rgb) // width))
    pixels = np.zeros((width * height, 4), dtype=np.uint8)
    pixels[: len(rgb), :3] = rgb
    pixels[: len(rgb), 3] = alpha
    buffer = BytesIO()
    Image.fromarray(pixels.reshape(height, width, 4)).save(buffer, "WEBP", lossless=True, exact=True)
    return buffer.getvalue()


def _log(values: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
    return np.sign(values) * np.log1p(np.abs(values))


def _unlog(values: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
    with np.errstate(over="ignore", invalid="ignore"):
        return np.sign(values) * np.expm1(np.abs(values))
