"""Writing a file so that nobody ever sees half of it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from splatpaint.errors import FormatError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """The path of a new file beside `path`, which takes its place when the block ends well and vanishes when it does not.

    Missing folders are made.

    Raises:
        FormatError: if the file cannot be created, written or put in place.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.touch()
        yield part
        part.replace(path)
    except OSError as error:
        raise FormatError(
            f"{path} cannot be written ({error.strerror}): choose a file in an existing, writable folder"
        ) from error
    finally:
        if part.exists():
            part.unlink()
