"""PlayCanvas' packed .ply (`.compressed.ply`), 16 bytes a splat and a byte for every harmonic above DC.

Chunks of 256 splats have bounds of position, log scale and color as float32. A vertex places itself between them:
`packed_position` and `packed_scale` with 11, 10 and 11 bits of x, y and z; `packed_color` with a byte each of red, green, blue
and opacity; `packed_rotation` with two bits for the index of the largest component of the quaternion wxyz and ten for each of
the others. The element `sh` has the harmonics above DC as `f_rest` has them, a byte from -4 to 4.
"""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int64

from splatpaint.atomic import write_bytes
from splatpaint.errors import FormatError
from splatpaint.formats.found import Found
from splatpaint.formats.lossy import logits_of_bytes, plain_rgb
from splatpaint.formats.morton import morton_order
from splatpaint.formats.smallest_three import SMALL_MAX, with_largest, without_largest
from splatpaint.scene.splats import SH_C0, Splats

ELEMENTS = {"chunk", "vertex"}
CHUNK = 256
"""Splats that share bounds."""
BOUNDS = [("x", "y", "z"), ("scale_x", "scale_y", "scale_z"), ("r", "g", "b")]
PACKED = ["packed_position", "packed_rotation", "packed_scale", "packed_color"]
LONGEST_LOG_SCALE = 20.0
"""Log scales are stored within this, so that one splat without extent does not take the precision of its chunk."""
SH_RANGE = 4.0


def write_compressed_ply(path: Path, splats: Splats, *, antialiased: bool = False) -> None:
    """Writes rgb splats in an order of the format's own (see morton.py); the file is replaced atomically.

    Args:
        path: the file.
        splats: of any degree.
        antialiased: whether a comment says that they were trained for antialiased rendering.

    Raises:
        FormatError: if the splats are not rgb.
        OSError: if the file cannot be written.
    """
    splats = plain_rgb(path, splats)
    splats = splats[morton_order(splats.means)]
    colors = (0.5 + SH_C0 * splats.sh[:, 0]).numpy()
    log_scales = splats.log_scales.clamp(-LONGEST_LOG_SCALE, LONGEST_LOG_SCALE).numpy()
    columns, packed = [], np.zeros((len(splats), 4), dtype="<u4")
    placed = []
    for values in (splats.means.numpy(), log_scales, colors):
        low, high = _bounds(values)
        columns += [low, high]
        placed.append(_place(values, low, high))
    packed[:, 0] = _pack(placed[0], (11, 10, 11))
    packed[:, 1] = _pack_quats(splats.quats.numpy())
    packed[:, 2] = _pack(placed[1], (11, 10, 11))
    packed[:, 3] = _pack(np.concatenate([placed[2], splats.opacities.numpy()[:, None]], axis=1), (8, 8, 8, 8))
    rest = splats.sh[:, 1:].transpose(1, 2).flatten(1).numpy()
    rest = np.clip(np.floor((rest / (2 * SH_RANGE) + 0.5) * 256), 0, 255).astype("u1")
    chunks = np.concatenate(columns, axis=1).astype("<f4")
    parts = [("chunk", "float", _bound_names(), chunks), ("vertex", "uint", PACKED, packed)]
    if rest.shape[1]:
        parts.append(("sh", "uchar", [f"f_rest_{index}" for index in range(rest.shape[1])], rest))
    lines = ["ply", "format binary_little_endian 1.0", *(["comment SplatRenderMode: mip"] if antialiased else [])]
    for name, kind, names, table in parts:
        lines += [f"element {name} {len(table)}", *(f"property {kind} {one}" for one in names)]
    write_bytes(path, ("\n".join([*lines, "end_header"]) + "\n").encode() + b"".join(table.tobytes() for *_, table in parts))


def unpack(path: Path, tables: dict[str, np.ndarray]) -> Found:
    """The splats of the tables `chunk`, `vertex` and, for harmonics, `sh` of a packed .ply.

    Raises:
        FormatError: if properties or rows are missing.
    """
    chunks, vertices = tables["chunk"], tables["vertex"]
    has_colors = any(name in (chunks.dtype.names or ()) for name in _bound_names()[12:])  # not so in files of 2023
    bounds = _bound_names() if has_colors else _bound_names()[:12]
    missing = [name for name in bounds if name not in (chunks.dtype.names or ())]
    missing += [name for name in PACKED if name not in (vertices.dtype.names or ())]
    if missing:
        raise FormatError(f"{path} is packed as PlayCanvas does it, but lacks {', '.join(missing)}")
    if len(chunks) * CHUNK < len(vertices):
        needed = -(-len(vertices) // CHUNK)
        raise FormatError(f"{path} is damaged: {len(vertices)} splats need {needed} chunks, not {len(chunks)}")
    words = np.stack([vertices[name].astype(np.int64) & 0xFFFFFFFF for name in PACKED], axis=1)
    means = _between(chunks, BOUNDS[0], _unpack(words[:, 0], (11, 10, 11)))
    log_scales = _between(chunks, BOUNDS[1], _unpack(words[:, 2], (11, 10, 11)))
    rgba = _unpack(words[:, 3], (8, 8, 8, 8))
    colors = rgba[:, :3]
    if has_colors:
        colors = _between(chunks, BOUNDS[2], colors)
    splats = Splats(
        means=torch.from_numpy(means),
        quats=torch.from_numpy(_unpack_quats(words[:, 1])),
        log_scales=torch.from_numpy(log_scales),
        logit_opacities=logits_of_bytes(255 * rgba[:, 3]),
        sh=torch.cat([(torch.from_numpy(colors)[:, None] - 0.5) / SH_C0, _unpack_rest(path, tables, len(vertices))], dim=1),
    )
    return Found(splats)


def _bound_names() -> list[str]:
    return [f"{end}_{name}" for names in BOUNDS for end in ("min", "max") for name in names]


def _bounds(values: Float[np.ndarray, "n 3"]) -> tuple[Float[np.ndarray, "m 3"], Float[np.ndarray, "m 3"]]:
    """The smallest and largest values of every chunk."""
    starts = np.arange(0, len(values), CHUNK)
    if len(values) == 0:
        return np.zeros((0, 3), dtype=np.float32), np.zeros((0, 3), dtype=np.float32)
    return np.minimum.reduceat(values, starts, axis=0), np.maximum.reduceat(values, starts, axis=0)


def _place(
    values: Float[np.ndarray, "n 3"], low: Float[np.ndarray, "m 3"], high: Float[np.ndarray, "m 3"]
) -> Float[np.ndarray, "n 3"]:
    """Where each value lies between the bounds of its chunk, 0 to 1."""
    chunk = np.arange(len(values)) // CHUNK
    extent = (high - low)[chunk].astype(np.float64)
    return np.where(extent > 0, (values - low[chunk].astype(np.float64)) / np.where(extent > 0, extent, 1), 0)


def _between(chunks: np.ndarray, names: tuple[str, ...], placed: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
    """The values at those places between the bounds of their chunks."""
    chunk = np.arange(len(placed)) // CHUNK
    low, high = (np.stack([chunks[f"{end}_{name}"] for name in names], axis=1).astype(np.float64) for end in ("min", "max"))
    return (low[chunk] + (high - low)[chunk] * placed).astype(np.float32)


def _pack(placed: np.ndarray, bits: tuple[int, ...]) -> Int64[np.ndarray, " n"]:
    """Values from 0 to 1 as whole numbers of so many bits, the first one highest."""
    word = np.zeros(len(placed), dtype=np.int64)
    for column, count in enumerate(bits):
        top = 2**count - 1
        word = (word << count) | np.clip(np.rint(placed[:, column] * top), 0, top).astype(np.int64)
    return word


def _unpack(words: Int64[np.ndarray, " n"], bits: tuple[int, ...]) -> Float[np.ndarray, "n m"]:
    columns = np.empty((len(words), len(bits)), dtype=np.float32)
    for column in reversed(range(len(bits))):
        columns[:, column] = (words & (2 ** bits[column] - 1)) / (2 ** bits[column] - 1)
        words = words >> bits[column]
    return columns


def _pack_quats(quats: Float[np.ndarray, "n 4"]) -> Int64[np.ndarray, " n"]:
    largest, others = without_largest(quats)
    return (largest << 30) | _pack(others / (2 * SMALL_MAX) + 0.5, (10, 10, 10))


def _unpack_quats(words: Int64[np.ndarray, " n"]) -> Float[np.ndarray, "n 4"]:
    return with_largest(words >> 30, (_unpack(words & (2**30 - 1), (10, 10, 10)) - 0.5) * (2 * SMALL_MAX))


def _unpack_rest(path: Path, tables: dict[str, np.ndarray], count: int) -> Float[torch.Tensor, "n k 3"]:
    table = tables.get("sh")
    names = [] if table is None else [name for name in table.dtype.names or () if name.startswith("f_rest_")]
    if table is None or not names:
        return torch.zeros(count, 0, 3)
    expected = [f"f_rest_{index}" for index in range(len(names))]
    if len(names) not in (9, 24, 45) or set(names) != set(expected) or len(table) != count:
        raise FormatError(
            f"{path} is damaged: its `sh` has {len(names)} f_rest properties and {len(table)} rows, expected f_rest_0 to"
            f" f_rest_8, 23 or 44, and {count} rows"
        )
    rest = np.stack([table[name] for name in expected], axis=1).astype(np.float32)
    rest = torch.from_numpy((rest + 0.5) * (2 * SH_RANGE / 256) - SH_RANGE)
    return rest.reshape(count, 3, len(names) // 3).transpose(1, 2)
