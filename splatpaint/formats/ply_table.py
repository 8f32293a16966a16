"""Tables of .ply files: elements of scalar properties, text or binary, as numpy arrays.

Comments may hold any bytes, lines may end in CR LF, and nothing is allocated before the file was seen to be as large as its
header says.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from splatpaint.errors import FormatError

TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2", "ushort": "u2", "uint16": "u2",
    "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4", "float": "f4", "float32": "f4", "double": "f8", "float64": "f8",
}  # fmt: skip
ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
HEADER_LINES = 10_000
"""A header with more lines is none."""
LINE_BYTES = 4096
"""A line of a header that is longer is none."""


@dataclass(frozen=True)
class Element:
    """One table of a file as its header describes it."""

    name: str
    count: int
    properties: tuple[tuple[str, str], ...]
    """Name and numpy type of every property; the type of a list is `list`."""

    @property
    def dtype(self) -> np.dtype:
        """One row, packed."""
        return np.dtype(list(self.properties))


@dataclass(frozen=True)
class Header:
    """What comes before the data."""

    text: bool
    elements: tuple[Element, ...]
    comments: tuple[str, ...]
    size: int
    """In bytes."""


def read_header(path: Path) -> Header:
    """The header of a .ply file.

    Raises:
        FormatError: if there is none, or it contradicts itself.
        OSError: if the file cannot be read.
    """
    with open(path, "rb") as file:
        return _parse(path, file)


def read_tables(path: Path, header: Header, names: set[str]) -> dict[str, np.ndarray]:
    """The tables of those names that the file has.

    Raises:
        FormatError: if one of them has lists, or the file ends before it does.
        OSError: if the file cannot be read.
    """
    with open(path, "rb") as file:
        file.seek(header.size)
        return _read_text(path, file, header, names) if header.text else _read_binary(path, file, header, names)


def _parse(path: Path, file: BinaryIO) -> Header:
    def wrong(what: str) -> FormatError:
        return FormatError(f"{path} cannot be read as .ply: {what}")

    if file.readline(LINE_BYTES).strip() != b"ply":
        raise wrong("it does not begin with `ply`")
    order: str | None = None
    elements: list[Element] = []
    comments: list[str] = []
    for _ in range(HEADER_LINES):
        line = file.readline(LINE_BYTES)
        words = line.decode("utf-8", errors="replace").split()
        match words:
            case ["end_header"]:
                if order is None:
                    raise wrong("its header names no format")
                return Header(order == "", tuple(elements), tuple(comments), file.tell())
            case ["format", name, _] if name in ORDERS:
                order = ORDERS[name]
            case ["comment" | "obj_info", *said]:
                comments.append(" ".join(said))
            case ["element", name, count] if count.isascii() and count.isdigit():
                elements.append(Element(name, int(count), ()))
            case ["property", *described] if elements and described and order is not None:
                *kind, name = described
                if name in dict(elements[-1].properties):
                    raise wrong(f"its {elements[-1].name} has the property {name} twice")
                one = _type_of(kind, order)
                if one is None:
                    raise wrong(f"its header has the line {' '.join(words)[:80]!r}")
                elements[-1] = Element(elements[-1].name, elements[-1].count, (*elements[-1].properties, (name, one)))
            case []:
                if not line:
                    raise wrong("its header has no end")
            case _:
                raise wrong(f"its header has the line {' '.join(words)[:80]!r}")
    raise wrong("its header has no end")


def _type_of(kind: list[str], order: str) -> str | None:
    match kind:
        case [scalar] if scalar in TYPES:
            return order + TYPES[scalar]
        case ["list", count, scalar] if count in TYPES and scalar in TYPES:
            return "list"
        case _:
            return None


def _refuse_lists(path: Path, element: Element) -> None:
    if not element.properties:
        raise FormatError(f"{path} cannot be read as .ply: its {element.name} has no properties")
    lists = [name for name, kind in element.properties if kind == "list"]
    if lists:
        raise FormatError(f"{path} holds no splats: the {lists[0]} of its {element.name} is a list, as in a mesh")


def _read_binary(path: Path, file: BinaryIO, header: Header, names: set[str]) -> dict[str, np.ndarray]:
    left = path.stat().st_size - header.size
    tables: dict[str, np.ndarray] = {}
    for element in header.elements:
        if names <= set(tables):
            break
        _refuse_lists(path, element)
        size = element.count * element.dtype.itemsize
        if size > left:
            held = left // element.dtype.itemsize
            raise FormatError(
                f"{path} is cut off or damaged: its header promises {element.count} rows of {element.name}, it holds {held}"
            )
        left -= size
        if element.name in names:
            tables[element.name] = np.fromfile(file, dtype=element.dtype, count=element.count)
        else:
            file.seek(size, 1)
    return tables


def _read_text(path: Path, file: BinaryIO, header: Header, names: set[str]) -> dict[str, np.ndarray]:
    tables: dict[str, np.ndarray] = {}
    for element in header.elements:
        if names <= set(tables):
            break
        _refuse_lists(path, element)
        rows = [row for row in (file.readline().split() for _ in range(_lines_at_most(path, element))) if row]
        if len(rows) < element.count:
            raise FormatError(
                f"{path} is cut off or damaged: its header promises {element.count} rows of {element.name},"
                f" it holds {len(rows)}"
            )
        try:
            columns = np.array(rows, dtype=np.float64).reshape(element.count, len(element.properties))
        except ValueError as error:
            raise FormatError(f"{path} is damaged: some row of its {element.name} is not as its header says") from error
        table = np.zeros(element.count, dtype=element.dtype)
        with np.errstate(invalid="ignore", over="ignore"):
            for index, (name, _) in enumerate(element.properties):
                table[name] = columns[:, index]
        if element.name in names:
            tables[element.name] = table
    return tables


def _lines_at_most(path: Path, element: Element) -> int:
    """As many lines as the element has, if the file can hold so many."""
    if element.count > path.stat().st_size:
        raise FormatError(f"{path} is cut off or damaged: its header promises {element.count} rows of {element.name}")
    return element.count
