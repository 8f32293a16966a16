"""Writing a file whole or not at all: a temporary file in the same folder is renamed once it is complete."""

import os
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

LONGEST_NAME_BYTES = 255
"""Of a file, on the usual file systems."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """The path of a temporary file, which replaces `path` when the block ends without an error.

    After an error the temporary file is deleted and `path` is unchanged. Missing folders are made. The temporary file is empty
    and new: nobody else's file, and no link, can be written through it. It has the suffix of `path`, by which some libraries
    choose the format, and, like the final file, the permissions of the file that it replaces.

    Raises:
        OSError: if the file cannot be created, written or renamed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _new_file_beside(path)
    try:
        yield temporary
        if path.is_file() and not path.is_symlink():
            temporary.chmod(path.stat().st_mode & 0o777)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes | memoryview) -> None:
    """Writes or replaces the file.

    Libraries that write files themselves report a full disk as an error of their own: give their bytes to this function.

    Raises:
        OSError: as `replacing`, also if the disk is full.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Writes or replaces the file, as UTF-8.

    Raises:
        OSError: as `write_bytes`.
    """
    write_bytes(path, text.encode())


def write_tensors(path: Path, state: Mapping[str, Any]) -> None:
    """Writes tensors and plain values in the format of `torch.save`.

    Raises:
        OSError: as `write_bytes`.
    """
    import torch

    buffer = BytesIO()
    torch.save(dict(state), buffer)
    write_bytes(path, buffer.getbuffer())


def is_leftover(name: str) -> bool:
    """Whether a file of that name was left by a process that was killed while it wrote."""
    return re.match(r"\.[0-9a-f]{8}\.", name) is not None


def remove_leftovers(folder: Path) -> None:
    """Removes what processes that were killed while they wrote left in a folder and below; none may be writing there now.

    Raises:
        OSError: if one cannot be removed.
    """
    for path, _, names in os.walk(folder):
        for name in filter(is_leftover, names):
            Path(path, name).unlink(missing_ok=True)


def _new_file_beside(path: Path) -> Path:
    """An empty file that did not exist, of a name that nobody can foresee."""
    while True:
        file = path.with_name(f".{secrets.token_hex(4)}.{_tail(path)}")
        try:
            os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        except FileExistsError:
            continue
        return file


def _tail(path: Path) -> str:
    """The file's name, or its end if a longer one beginning with a few random digits would be too long."""
    name = os.fsencode(path.name)[-(LONGEST_NAME_BYTES - 10) :]
    return os.fsdecode(name) if len(name) == len(os.fsencode(path.name)) else name.decode(errors="ignore")
