"""Niantic's packed .spz, versions 2 to 4, 19 or 20 bytes a splat and a byte for every harmonic above DC, before compression.

The streams follow each other, one attribute of all splats at a time: positions (24-bit fixed point), opacities (a byte), colors
(a byte for each DC harmonic, from -10/3 to 10/3), log scales (a byte, steps of 1/16 from -10), quaternions xyzw, and harmonics
(a byte from -1 to 1, channels side by side). Quaternions have a byte each of x, y and z in version 2, and later 32 bits: the
index of the largest component, and sign and nine bits of each other. Versions 2 and 3 are one gzip stream with the header in
front, version 4 has a zstd stream an attribute behind a table of their sizes.
"""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, UInt8

from splatpaint.atomic import write_bytes
from splatpaint.errors import FormatError
from splatpaint.formats.found import ANTIALIASED, Found
from splatpaint.formats.lossy import logits_of_bytes, plain_rgb
from splatpaint.formats.smallest_three import SMALL_MAX, with_largest, without_largest
from splatpaint.scene.splats import Splats

MAGIC = b"NGSP"
HEADER = struct.Struct("<4sIIBBBB")
"""Magic, version, splats, degree, fractional bits, flags; in version 4 the number of streams."""
NGSP_HEADER = struct.Struct("<4sIIBBBBI12x")
"""The same in version 4, with the offset of the table of streams."""
SIZES = struct.Struct("<QQ")
"""Compressed and uncompressed bytes of a stream in version 4."""
ANTIALIASED_FLAG = 1
POSITION_BITS = 24
FRACTION_BITS_MAX = 20
"""More would help no scene: 1e-6 units."""
COLOR_SCALE = 0.15
"""A DC harmonic of 1 in shares of the byte's range."""
LOG_SCALE_MIN, LOG_SCALE_STEPS = -10.0, 16.0
EXPANSION_MAX = 1100
"""Uncompressed bytes for one compressed byte: gzip can do no more, and no scene comes near."""
HARMLESS_BYTES = 2**26
"""Uncompressed, from however few bytes."""
ZSTD_LEVEL = 12
"""As the format's authors do."""
RUB_FROM_PLY = (1.0, -1.0, -1.0)
"""Half a turn around x: what is right, down and front in a .ply is right, up and back."""
RUB_SIGNS = (-1, -1, 1, -1, 1, 1, -1, 1, -1, 1, -1, -1, 1, -1, 1)
"""Of the harmonics above DC under that turn: -1 for those that are odd in y and z together."""


@dataclass(frozen=True)
class Packed:
    """What is in a file: a header and the bytes of the streams."""

    version: int
    count: int
    degree: int
    fraction_bits: int
    antialiased: bool
    streams: tuple[bytes, ...]
    """Positions, opacities, colors, log scales, quaternions, harmonics."""


def write_spz(
    path: Path,
    splats: Splats,
    *,
    version: Literal[2, 3, 4] = 3,
    frame: Literal["ply", "rub"] = "ply",
    antialiased: bool = False,
) -> None:
    """Writes rgb splats; the file is replaced atomically.

    Args:
        path: the file.
        splats: of any degree. Positions are as exact as 24 bits for the largest coordinate allow.
        version: of the format.
        frame: axes of the file, see `FormatOptions`.
        antialiased: whether a flag says that they were trained for antialiased rendering.

    Raises:
        FormatError: if the splats are not rgb, or farther from the origin than the format holds.
        OSError: if the file cannot be written.
    """
    splats = plain_rgb(path, splats)
    splats = turned_half_around_x(splats) if frame == "rub" else splats
    farthest = float(splats.means.abs().max()) if len(splats) else 0.0
    fraction_bits = min(FRACTION_BITS_MAX, int(np.floor(np.log2((2 ** (POSITION_BITS - 1) - 1) / max(farthest, 1e-30)))))
    if fraction_bits < 0:
        raise FormatError(
            f"{path} cannot hold coordinates of {farthest:.3g}, only up to 8.3e6: write a .ply, or move the scene"
        )
    fixed = np.rint(splats.means.double().numpy() * 2.0**fraction_bits).astype("<i4")
    streams = (
        fixed.view("u1").reshape(-1, 3, 4)[:, :, :3].tobytes(),
        _bytes(255 * splats.opacities),
        _bytes(255 * (COLOR_SCALE * splats.sh[:, 0] + 0.5)),
        _bytes(LOG_SCALE_STEPS * (splats.log_scales - LOG_SCALE_MIN)),
        _pack_quats(splats.quats.numpy(), version),
        _bytes(128 * splats.sh[:, 1:] + 128),
    )
    flags = ANTIALIASED_FLAG * antialiased
    if version == 4:
        content = _ngsp(streams, len(splats), splats.sh_degree, fraction_bits, flags)
    else:
        header = HEADER.pack(MAGIC, version, len(splats), splats.sh_degree, fraction_bits, flags, 0)
        packer = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
        content = packer.compress(header + b"".join(streams)) + packer.flush()
    write_bytes(path, content)


def read_spz(path: Path, frame: Literal["ply", "rub"] = "ply") -> Found:
    """The splats of a .spz file of version 2 to 4, in file order.

    Args:
        path: the file.
        frame: axes of the file, see `FormatOptions`.

    Raises:
        FormatError: if the file is damaged, or of another version.
        OSError: if it cannot be read.
    """
    data = path.read_bytes()
    packed = _open_ngsp(path, data) if data.startswith(MAGIC) else _open_gzip(path, data)
    positions, opacities, colors, log_scales, quats, rest = (np.frombuffer(stream, "u1") for stream in packed.streams)
    fixed = np.zeros((packed.count * 3, 4), dtype="u1")
    fixed[:, 1:] = positions.reshape(-1, 3)  # in the upper bytes, so that the sign is extended
    splats = Splats(
        means=torch.from_numpy((fixed.view("<i4")[:, 0] / 2.0 ** (8 + packed.fraction_bits)).astype("f4").reshape(-1, 3)),
        quats=torch.from_numpy(_unpack_quats(quats, packed.version)),
        log_scales=_floats(log_scales).reshape(-1, 3) / LOG_SCALE_STEPS + LOG_SCALE_MIN,
        logit_opacities=logits_of_bytes(opacities),
        sh=torch.cat(
            [
                ((_floats(colors) / 255 - 0.5) / COLOR_SCALE).reshape(-1, 1, 3),
                ((_floats(rest) - 128) / 128).reshape(packed.count, _terms(packed.degree), 3),
            ],
            dim=1,
        ),
    )
    splats = turned_half_around_x(splats) if frame == "rub" else splats
    return Found(splats, (ANTIALIASED,) if packed.antialiased else (), packed.antialiased)


def turned_half_around_x(splats: Splats) -> Splats:
    """The same scene in axes of which y and z point the other way; its own inverse."""
    return replace(
        splats,
        means=splats.means * splats.means.new_tensor(RUB_FROM_PLY),
        quats=splats.quats * splats.quats.new_tensor((1.0, *RUB_FROM_PLY)),
        sh=splats.sh * splats.sh.new_tensor((1, *RUB_SIGNS))[: splats.sh.shape[1], None],
    )


def _terms(degree: int) -> int:
    return (degree + 1) ** 2 - 1


def _stream_sizes(count: int, degree: int, version: int) -> tuple[int, ...]:
    return (9 * count, count, 3 * count, 3 * count, (3 if version == 2 else 4) * count, 3 * _terms(degree) * count)


def _bytes(values: Float[torch.Tensor, "..."]) -> bytes:
    return values.round().clamp(0, 255).to(torch.uint8).numpy().tobytes()


def _floats(values: UInt8[np.ndarray, " n"]) -> Float[torch.Tensor, " n"]:
    return torch.from_numpy(values.astype(np.float32))


def _pack_quats(quats: Float[np.ndarray, "n 4"], version: int) -> bytes:
    xyzw = np.roll(quats, -1, axis=1)
    if version == 2:
        unit = xyzw / np.maximum(np.linalg.norm(xyzw, axis=1, keepdims=True), 1e-12) * np.where(xyzw[:, 3:] < 0, -1, 1)
        return np.clip(np.rint(127.5 * unit[:, :3] + 127.5), 0, 255).astype("u1").tobytes()
    largest, others = without_largest(xyzw)
    words = largest.astype(np.int64)
    for value in others.T:
        size = np.clip(np.rint(np.abs(value) / SMALL_MAX * 511), 0, 511).astype(np.int64)
        words = (words << 10) | ((value < 0).astype(np.int64) << 9) | size
    return words.astype("<u4").tobytes()


def _unpack_quats(stream: UInt8[np.ndarray, " n"], version: int) -> Float[np.ndarray, "m 4"]:
    if version == 2:
        xyz = stream.reshape(-1, 3).astype(np.float32) / 127.5 - 1
        w = np.sqrt(np.maximum(1 - np.square(xyz).sum(axis=1, keepdims=True), 0))
        return np.concatenate([w, xyz], axis=1)
    words = stream.view("<u4").astype(np.int64)
    others = np.stack([(words >> shift) & 1023 for shift in (20, 10, 0)], axis=1)
    others = np.where(others & 512, -1, 1) * (others & 511) * (SMALL_MAX / 511)
    return np.roll(with_largest(words >> 30, others.astype(np.float32)), 1, axis=1)


def _checked(path: Path, fields: tuple[int, ...], size: int, versions: Sequence[int]) -> None:
    """Refuses what cannot be, before anything is decompressed: `fields` are version, splats, degree and fractional bits."""
    version, count, degree, fraction_bits = fields
    if version not in versions:
        raise FormatError(f"{path} is of version {version} of .spz, expected 2 to 4: write it anew with another tool")
    if degree > 3:
        raise FormatError(f"{path} has harmonics of degree {degree}, expected 0 to 3: write it anew with fewer")
    most = max(EXPANSION_MAX * size, HARMLESS_BYTES)
    if fraction_bits >= POSITION_BITS or sum(_stream_sizes(count, degree, version)) > most:
        raise FormatError(f"{path} is damaged: {size} bytes cannot hold {count} splats with {fraction_bits} fractional bits")


def _open_gzip(path: Path, data: bytes) -> Packed:
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        head = unpacker.decompress(data, HEADER.size)
        if len(head) < HEADER.size or not head.startswith(MAGIC):
            raise FormatError(f"{path} is no .spz file, or its first bytes are damaged")
        _, version, count, degree, fraction_bits, flags, _ = HEADER.unpack(head)
        _checked(path, (version, count, degree, fraction_bits), len(data), (2, 3))
        sizes = _stream_sizes(count, degree, version)
        payload = unpacker.decompress(unpacker.unconsumed_tail, max(sum(sizes), 1))
        while len(payload) < sum(sizes) and unpacker.unconsumed_tail:
            payload += unpacker.decompress(unpacker.unconsumed_tail, sum(sizes) - len(payload))
    except zlib.error as error:
        raise FormatError(f"{path} is damaged or cut off: it cannot be decompressed ({error})") from error
    if len(payload) < sum(sizes):
        raise FormatError(f"{path} is damaged or cut off: {count} splats take {sum(sizes)} bytes, it holds {len(payload)}")
    ends = np.cumsum((0, *sizes)).tolist()
    streams = tuple(payload[start:end] for start, end in pairwise(ends))
    return Packed(version, count, degree, fraction_bits, bool(flags & ANTIALIASED_FLAG), streams)


def _open_ngsp(path: Path, data: bytes) -> Packed:
    from zstandard import ZstdDecompressor, ZstdError

    if len(data) < NGSP_HEADER.size:
        raise FormatError(f"{path} is cut off: it has {len(data)} bytes, fewer than its header")
    _, version, count, degree, fraction_bits, flags, streams, offset = NGSP_HEADER.unpack_from(data)
    _checked(path, (version, count, degree, fraction_bits), len(data), (4,))
    sizes = _stream_sizes(count, degree, version)
    expected = [size for size in sizes if size]
    if streams != len(expected) or offset + streams * SIZES.size > len(data):
        raise FormatError(
            f"{path} is damaged: it has {streams} streams from byte {offset} on, expected {len(expected)} within it"
        )
    start, unpacked = offset + streams * SIZES.size, []
    for index, size in enumerate(expected):
        packed_size, said_size = SIZES.unpack_from(data, offset + index * SIZES.size)
        if said_size != size or start + packed_size > len(data):
            raise FormatError(f"{path} is damaged or cut off: stream {index} of {streams} does not fit {count} splats")
        try:
            unpacked.append(ZstdDecompressor().decompress(data[start : start + packed_size], max_output_size=size))
        except ZstdError as error:
            raise FormatError(f"{path} is damaged: stream {index} of {streams} cannot be decompressed ({error})") from error
        if len(unpacked[-1]) != size:
            raise FormatError(f"{path} is damaged: stream {index} of {streams} has {len(unpacked[-1])} bytes, expected {size}")
        start += packed_size
    present = iter(unpacked)
    whole = tuple(next(present) if size else b"" for size in sizes)
    return Packed(version, count, degree, fraction_bits, bool(flags & ANTIALIASED_FLAG), whole)


def _ngsp(streams: Sequence[bytes], count: int, degree: int, fraction_bits: int, flags: int) -> bytes:
    """A file of version 4."""
    from zstandard import ZstdCompressor

    streams = [stream for stream in streams if stream]
    packed = [ZstdCompressor(level=ZSTD_LEVEL).compress(stream) for stream in streams]
    header = NGSP_HEADER.pack(MAGIC, 4, count, degree, fraction_bits, flags, len(streams), NGSP_HEADER.size)
    table = [SIZES.pack(len(small), len(stream)) for small, stream in zip(packed, streams, strict=True)]
    return b"".join([header, *table, *packed])
