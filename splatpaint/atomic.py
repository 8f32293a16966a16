"""Writing a file whole or not at all: a temporary file in the same folder is renamed once it is complete."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """The path of a temporary file, which replaces `path` when the block ends without an error.

    After an error the temporary file is deleted and `path` is unchanged. Missing folders are made. The temporary file has the
    suffix of `path`, by which some libraries choose the format, and the process id in its name, so that two processes do not
    write the same one.

    Raises:
        OSError: if the file cannot be created, written or renamed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        yield temporary
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
