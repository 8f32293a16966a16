"""Reading and writing of splat files, by suffix."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from splatpaint.errors import FormatError
from splatpaint.formats.checkpoint import read_checkpoint, write_checkpoint
from splatpaint.formats.compressed_ply import write_compressed_ply
from splatpaint.formats.found import Found, finite_rows, usable
from splatpaint.formats.ksplat import read_ksplat
from splatpaint.formats.offset import write_offset
from splatpaint.formats.options import FormatOptions
from splatpaint.formats.ply import read_ply, write_ply
from splatpaint.formats.signatures import kind_of
from splatpaint.formats.sog import read_sog, write_sog
from splatpaint.formats.splat import read_splat, write_splat
from splatpaint.formats.spz import read_spz, write_spz
from splatpaint.scene.splats import Splats

__all__ = [
    "FORMATS",
    "Format",
    "FormatOptions",
    "Found",
    "check_splats",
    "check_writable",
    "link_target",
    "read_found",
    "read_splats",
    "write_splats",
]


@dataclass(frozen=True)
class Format:
    """One format of splat files."""

    suffix: str
    """What the names of its files end with, in lower case; any case is read."""
    kinds: tuple[str, ...]
    """What its files may be by their first bytes, see `kind_of`; others are something else under this name."""
    read: Callable[[Path, FormatOptions], Found]
    write: Callable[[Path, Splats, FormatOptions], None] | None


FORMATS = (
    Format(
        ".compressed.ply",
        (".ply",),
        lambda path, _: read_ply(path),
        lambda path, splats, options: write_compressed_ply(path, splats, antialiased=options.antialiased),
    ),
    Format(
        ".ply",
        (".ply",),
        lambda path, _: read_ply(path),
        lambda path, splats, options: write_ply(
            path, splats, compact=options.compact, antialiased=options.antialiased, offset=options.offset
        ),
    ),
    Format(
        ".spz",
        (".spz",),
        lambda path, options: read_spz(path, options.spz_frame),
        lambda path, splats, options: write_spz(
            path, splats, version=options.spz_version, frame=options.spz_frame, antialiased=options.antialiased
        ),
    ),
    Format(
        ".sog",
        (".sog",),
        lambda path, _: read_sog(path),
        lambda path, splats, options: write_sog(path, splats, antialiased=options.antialiased),
    ),
    Format(".ksplat", (), lambda path, _: read_ksplat(path), None),
    Format(".splat", (), lambda path, _: read_splat(path), lambda path, splats, _: write_splat(path, splats)),
    Format(
        ".safetensors",
        (".safetensors",),
        lambda path, _: Found(read_checkpoint(path)),
        lambda path, splats, options: write_checkpoint(path, splats, options.offset),
    ),
)
"""All formats; of two suffixes that fit, the first counts."""
SUFFIXES = tuple(one.suffix for one in FORMATS)
WRITABLE = tuple(one.suffix for one in FORMATS if one.write)


def read_found(path: Path, options: FormatOptions | None = None) -> Found:
    """The usable splats of a file in file order, and what there is to say about them (see `usable`).

    Raises:
        FormatError: if there is no such file, its suffix is unknown, or its content is invalid or that of another format.
    """
    one = check_splats(path)
    try:
        kind = kind_of(path)
        if kind is not None and kind not in one.kinds:
            raise FormatError(f"{path} is no {one.suffix} file but a {kind} by its first bytes: give it the name of what it is")
        found = one.read(path, options or FormatOptions())
    except OSError as error:
        raise FormatError(f"{path} cannot be read ({error.strerror or error})") from error
    return usable(found)


def read_splats(path: Path, options: FormatOptions | None = None) -> Splats:
    """The usable splats of a file in file order; `read_found` also tells what there is to say about them.

    Raises:
        FormatError: as `read_found`.
    """
    return read_found(path, options).splats


def check_splats(path: Path) -> Format:
    """The format of a splat file that exists, without reading it.

    Raises:
        FormatError: if there is no such file, or its suffix is unknown.
    """
    if not path.is_file():
        raise FormatError(f"{path} does not exist or is no file")
    return _format_of(path)


def check_writable(path: Path) -> None:
    """Checks that splats can be written under that name, without writing anything.

    Args:
        path: the file.
        splats: what it is to hold.
        offset: what is to be added to the coordinates, for readers of the file (see offset.py).

    Raises:
        FormatError: if the suffix is unknown, or its format can only be read.
    """
    if _format_of(path).write is None:
        raise FormatError(f"{_format_of(path).suffix} files can be read but not written: use one of {', '.join(WRITABLE)}")


def write_splats(path: Path, splats: Splats, options: FormatOptions | None = None) -> None:
    """Writes a splat file of the format of its suffix; an existing file is replaced atomically.

    Raises:
        FormatError: if the suffix is unknown, the format cannot hold these splats or is only read, some are not finite, or the
            file cannot be written.
    """
    check_writable(path)
    broken = len(splats) - int(finite_rows(splats).sum())
    if broken:
        raise FormatError(
            f"{path} is not written: {broken} of {len(splats)} splats have numbers that are not finite, so the training that"
            " made them diverged"
        )
    write = _format_of(path).write
    assert write is not None
    try:
        write(path, splats, options or FormatOptions())
        write_offset(path, (options or FormatOptions()).offset)
    except OSError as error:
        raise FormatError(
            f"{path} cannot be written ({error.strerror}): choose a file in an existing, writable folder"
        ) from error


def link_target(path: Path) -> Path:
    """What a user means by the path of a file to be written: where it points to if it is a link, else the path itself.

    `write_splats` by itself replaces a link.

    Raises:
        FormatError: if links point to each other in a circle.
    """
    if not path.is_symlink():
        return path
    try:
        return path.resolve()
    except (OSError, RuntimeError) as error:  # RuntimeError until Python 3.12
        raise FormatError(f"{path} is a link that leads back to itself: give another name") from error


def _format_of(path: Path) -> Format:
    name = path.name.lower()
    for one in FORMATS:
        if name.endswith(one.suffix):
            return one
    raise FormatError(f"{path} has the unknown suffix {path.suffix!r}, expected one of {', '.join(SUFFIXES)}")
