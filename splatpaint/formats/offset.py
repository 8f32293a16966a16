"""Offsets of splat files whose coordinates would be too large for single precision.

Captures in map coordinates lie millions of units from the origin, where single precision is off by half a unit. Their splats
are written relative to a place nearby, which stands in the header where the format has room for it, and in a file beside.
"""

import json
import math
import os
import struct
from pathlib import Path

from splatpaint.atomic import write_text
from splatpaint.errors import FormatError

Offset = tuple[float, float, float]
"""What is to be added to the coordinates in the file."""

NO_OFFSET: Offset = (0.0, 0.0, 0.0)
WORD = "offset"
"""What the header's comment begins with."""
HEADER_BYTES = 65536
"""A .ply header is looked for in as many bytes."""


def sidecar(path: Path) -> Path:
    """The file beside a splat file that holds its offset."""
    return path.with_name(f"{path.name}.offset.json")


def write_offset(path: Path, offset: Offset) -> None:
    """Writes the file beside a splat file, or removes that of an earlier one if there is no offset.

    Raises:
        OSError: if it cannot be written.
    """
    if offset == NO_OFFSET:
        if os.path.lexists(sidecar(path)):  # whose name may be too long for a file
            sidecar(path).unlink()
    else:
        write_text(sidecar(path), json.dumps({WORD: list(offset), "meaning": f"to be added to the coordinates in {path.name}"}))


def read_offset(path: Path) -> Offset:
    """The offset of a splat file: that of its header, else that of the file beside it, else zero.

    Raises:
        FormatError: if the file beside it holds no offset.
    """
    words = _from_ply(path) if path.suffix.lower() == ".ply" else _from_safetensors(path)
    beside = sidecar(path)
    try:
        if words is None and os.path.isfile(beside):
            words = json.loads(beside.read_text(encoding="utf-8"))[WORD]
        if words is None:
            return NO_OFFSET
        x, y, z = map(float, words)
        if not all(map(math.isfinite, (x, y, z))):
            raise ValueError("not finite")
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise FormatError(f"the offset of {path} cannot be read: expected three numbers, as in 500000 5600000 0") from error
    return x, y, z


def as_text(offset: Offset) -> str:
    """The offset as it stands in headers: every digit that a double has."""
    return " ".join(map(repr, offset))


def _from_ply(path: Path) -> list[str] | None:
    with path.open("rb") as file:
        header = file.read(HEADER_BYTES).partition(b"end_header")[0]
    comments = [line.split()[2:] for line in header.splitlines() if line.split()[:2] == [b"comment", WORD.encode()]]
    return [word.decode("ascii", "replace") for word in comments[0]] if comments else None


def _from_safetensors(path: Path) -> list[str] | None:
    if path.suffix.lower() != ".safetensors":
        return None
    try:
        with path.open("rb") as file:
            (size,) = struct.unpack("<Q", file.read(8))
            metadata = json.loads(file.read(min(size, HEADER_BYTES))).get("__metadata__", {})
    except (struct.error, ValueError, AttributeError):
        return None
    return metadata[WORD].split() if WORD in metadata else None
