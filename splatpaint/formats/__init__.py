"""Reading and writing of splat files, by suffix."""

from pathlib import Path

import torch

from splatpaint.errors import FormatError
from splatpaint.formats.checkpoint import read_checkpoint, write_checkpoint
from splatpaint.formats.offset import NO_OFFSET, Offset, write_offset
from splatpaint.formats.ply import read_ply, write_ply
from splatpaint.formats.splat import read_splat, write_splat
from splatpaint.scene.splats import Splats

SUFFIXES = (".ply", ".splat", ".safetensors")


def read_splats(path: Path) -> Splats:
    """The splats of a .ply, .splat or .safetensors file, in file order and unfiltered; see also `drop_nonfinite`.

    Raises:
        FormatError: if there is no such file, its suffix is unknown, or its content is invalid.
    """
    check_splats(path)
    match path.suffix.lower():
        case ".ply":
            return read_ply(path)
        case ".splat":
            return read_splat(path)
        case ".safetensors":
            return read_checkpoint(path)
    raise _unknown(path)


def check_splats(path: Path) -> None:
    """Checks existence and suffix of a splat file, without reading it.

    Raises:
        FormatError: if there is no such file, or its suffix is unknown.
    """
    if not path.is_file():
        raise FormatError(f"{path} does not exist or is no file")
    if path.suffix.lower() not in SUFFIXES:
        raise _unknown(path)


def write_splats(path: Path, splats: Splats, offset: Offset = NO_OFFSET) -> None:
    """Writes a .ply, .splat or .safetensors file; an existing file is replaced atomically.

    Args:
        path: the file.
        splats: what it is to hold.
        offset: what is to be added to the coordinates, for readers of the file (see offset.py).

    Raises:
        FormatError: if the suffix is unknown, the format cannot hold these splats, or the file cannot be written.
    """
    try:
        match path.suffix.lower():
            case ".ply":
                write_ply(path, splats, offset)
            case ".splat":
                write_splat(path, splats)
            case ".safetensors":
                write_checkpoint(path, splats, offset)
            case _:
                raise _unknown(path)
        write_offset(path, offset)
    except OSError as error:
        raise FormatError(
            f"{path} cannot be written ({error.strerror}): choose a file in an existing, writable folder"
        ) from error


def drop_nonfinite(splats: Splats) -> tuple[Splats, int]:
    """The splats with finite values only, and the number of dropped ones (diverged trainings have some)."""
    finite = torch.ones(len(splats), dtype=torch.bool, device=splats.means.device)
    for tensor in splats.tensors().values():
        finite &= tensor[:, None].flatten(1).isfinite().all(dim=1)
    return splats[finite], int((~finite).sum())


def _unknown(path: Path) -> FormatError:
    return FormatError(f"{path} has the unknown suffix {path.suffix!r}, expected one of {', '.join(SUFFIXES)}")
