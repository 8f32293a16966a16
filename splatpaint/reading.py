"""Reading of files that others made, or that may be damaged: within bounds, and with one kind of error."""

import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

LARGEST_JSON = 32_000_000
"""Bytes. A capture of ten thousand frames has six million; in memory JSON takes ten times its size."""
SHOWN_CHARACTERS = 200
"""Of a library's own words about what it cannot read."""


class UnreadableError(ValueError):
    """A file is not what it shall be; the message says why in a few words, for the middle of a sentence."""


@contextmanager
def understanding() -> Iterator[None]:
    """Within it, what Python and the libraries raise on content that is not as expected becomes an `UnreadableError`.

    For the shortest possible blocks that take a file's content apart; they raise nothing else by mistake.
    """
    try:
        yield
    except UnreadableError:
        raise
    except KeyError as error:
        raise UnreadableError(f"it lacks {str(error)[:SHOWN_CHARACTERS]}") from error
    except OSError as error:
        raise UnreadableError(error.strerror or in_short(error)) from error
    except Exception as error:  # decoders of damaged files raise whatever they stumble over
        raise UnreadableError(in_short(error)) from error


def read_text(path: Path, *, at_most: int) -> str:
    """The file as UTF-8, with or without a byte order mark.

    Raises:
        UnreadableError: if it cannot be read, is no text, or has more than `at_most` bytes.
    """
    with understanding():
        with open(path, "rb") as file:
            content = file.read(at_most + 1)
        if len(content) > at_most:
            raise UnreadableError(f"it has more than {at_most} bytes")
        return content.decode("utf-8-sig")


def read_json(path: Path) -> Any:
    """What the JSON file says.

    Raises:
        UnreadableError: if it cannot be read, is no JSON, or is too large or too deep.
    """
    text = read_text(path, at_most=LARGEST_JSON)
    with understanding():
        return json.loads(text)


def read_tensors(path: Path, device: Any) -> dict[str, Any]:
    """What `atomic.write_tensors` wrote, on the device; no code in the file is run.

    Raises:
        UnreadableError: if it is something else, damaged, or larger in memory than on the disk.
    """
    import torch

    with understanding():
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries) or (
            sum(entry.file_size for entry in entries) > path.stat().st_size
        ):
            raise UnreadableError("its parts are larger than the file")
        state = torch.load(path, map_location=device, weights_only=True)
        if not isinstance(state, dict):
            raise UnreadableError("it holds no named tensors")
        return state


def expanded(path: str | Path) -> Path:
    """The path with `~` replaced by the home folder, or as it is if there is no such user."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def in_short(error: BaseException) -> str:
    """The kind of an error and the beginning of its message, in one line."""
    first = next(iter(str(error).split("\n")), "").strip()
    return f"{type(error).__name__}: {first[:SHOWN_CHARACTERS]}" if first else type(error).__name__
