"""Whether the binary files of a COLMAP model are as long as they say, before COLMAP reads them.

COLMAP believes every count in them, and asks for memory by it until there is none left. The layouts are those of COLMAP's
`reconstruction_io_binary.cc`; versions before 3.12 write no rigs and frames.
"""

import struct
from collections.abc import Callable
from pathlib import Path

from splatpaint.errors import CaptureError

PARAMETERS = (3, 4, 4, 5, 8, 8, 12, 5, 4, 5, 12, 16, 4, 5, 3, 4, 6, 2)
"""Number of parameters by number of the camera model, as of COLMAP 4.2."""
COUNT = struct.Struct("<Q")
CAMERA = struct.Struct("<IiQQ")
IMAGE = struct.Struct("<I7dI")
POINT = struct.Struct("<Q3d3BdQ")
RIG = struct.Struct("<II")
FRAME = struct.Struct("<II7dI")


def check_sizes(folder: Path) -> None:
    """Refuses a model of which a binary file ends early.

    Raises:
        CaptureError: if one does.
    """
    for name, end_of in READERS.items():
        file = folder / f"{name}.bin"
        if not file.is_file():
            continue
        data = file.read_bytes()
        try:
            (count,) = COUNT.unpack_from(data)
            at = COUNT.size
            for _ in range(count):
                at = end_of(data, at)
        except (struct.error, ValueError) as error:
            raise CaptureError(
                f"the sparse model in {folder} cannot be read: {file.name} is cut off or damaged, since it ends before what it"
                " says it holds; copy it again, or solve the poses again"
            ) from error


def _camera(data: bytes, at: int) -> int:
    _, model, _, _ = CAMERA.unpack_from(data, at)
    if not 0 <= model < len(PARAMETERS):
        raise ValueError(f"camera model {model}")
    return _within(data, at + CAMERA.size + 8 * PARAMETERS[model])


def _image(data: bytes, at: int) -> int:
    IMAGE.unpack_from(data, at)
    at = data.index(b"\0", at + IMAGE.size) + 1
    (points,) = COUNT.unpack_from(data, at)
    return _within(data, at + COUNT.size + 24 * points)


def _point(data: bytes, at: int) -> int:
    track = POINT.unpack_from(data, at)[-1]
    return _within(data, at + POINT.size + 8 * track)


def _rig(data: bytes, at: int) -> int:
    _, sensors = RIG.unpack_from(data, at)
    at += RIG.size + (8 if sensors else 0)
    for _ in range(sensors - 1 if sensors else 0):
        (has_pose,) = struct.unpack_from("<B", data, at + 8)
        at = _within(data, at + 9 + (56 if has_pose else 0))
    return _within(data, at)


def _frame(data: bytes, at: int) -> int:
    sensors = FRAME.unpack_from(data, at)[-1]
    return _within(data, at + FRAME.size + 16 * sensors)


def _within(data: bytes, end: int) -> int:
    if end > len(data):
        raise ValueError("the file ends early")
    return end


READERS: dict[str, Callable[[bytes, int], int]] = {
    "rigs": _rig,
    "cameras": _camera,
    "frames": _frame,
    "images": _image,
    "points3D": _point,
}
"""By file: the end of the entry that begins at a place."""
