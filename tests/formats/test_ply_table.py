"""Headers and tables as files have them."""

from pathlib import Path

import numpy as np
import pytest

from splatpaint.errors import FormatError
from splatpaint.formats.ply_table import read_header, read_tables

HEADER = """ply
format {format} 1.0
comment {comment}
element camera 1
property float fx
element vertex 3
property double x
property uchar label
property short y
end_header
"""
DTYPE = [("x", "f8"), ("label", "u1"), ("y", "i2")]


def write(path: Path, order: str, *, comment: str = "none", newline: str = "\n") -> np.ndarray:
    table = np.array([(1.5, 7, -3), (2e40, 255, 4), (-0.1, 0, 32767)], dtype=DTYPE)
    camera = np.array([(40.0,)], dtype=[("fx", "f4")])
    name = {"<": "binary_little_endian", ">": "binary_big_endian", "": "ascii"}[order]
    header = HEADER.format(format=name, comment=comment).replace("\n", newline).encode()
    if order:
        body = b"".join(part.astype(part.dtype.newbyteorder(order)).tobytes() for part in (camera, table))
    else:
        body = newline.join(["40", *(" ".join(map(repr, row)) for row in table.tolist()), ""]).encode()
    path.write_bytes(header + body)
    return table


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("order", ["<", ">", ""])
@pytest.mark.parametrize("comment", ["plain", "für München", "", "element vertex 9", "花"])
def test_tables_of_every_type_order_and_line_end_are_read(tmp_path: Path, order: str, newline: str, comment: str):
    table = write(tmp_path / "a.ply", order, comment=comment, newline=newline)
    header = read_header(tmp_path / "a.ply")
    assert header.comments == (comment,)
    got = read_tables(tmp_path / "a.ply", header, {"vertex"})
    assert set(got) == {"vertex"}
    for name, _ in DTYPE:
        assert np.array_equal(got["vertex"][name], table[name]), name


def test_comments_need_not_be_text(tmp_path: Path):
    write(tmp_path / "a.ply", "<")
    content = (tmp_path / "a.ply").read_bytes().replace(b"comment none", b"comment \xff\xfe\x81")
    (tmp_path / "a.ply").write_bytes(content)
    assert len(read_tables(tmp_path / "a.ply", read_header(tmp_path / "a.ply"), {"vertex"})["vertex"]) == 3


@pytest.mark.parametrize("order", ["<", ""])
@pytest.mark.parametrize("count", [4, 10**6, 10**13, 10**30])
def test_more_rows_than_there_are_is_said_before_memory_is_taken(tmp_path: Path, order: str, count: int):
    write(tmp_path / "a.ply", order)
    content = (tmp_path / "a.ply").read_bytes().replace(b"vertex 3", f"vertex {count}".encode())
    (tmp_path / "a.ply").write_bytes(content)
    with pytest.raises(FormatError, match=rf"a\.ply is cut off or damaged: its header promises {count} rows of vertex"):
        read_tables(tmp_path / "a.ply", read_header(tmp_path / "a.ply"), {"vertex"})


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("property uchar label", "property uchar x", "its vertex has the property x twice"),
        ("property uchar label", "property byte label", "has the line 'property byte label'"),
        ("property uchar label", "property list uchar", "has the line 'property list uchar'"),
        ("element vertex 3", "element vertex -3", "has the line 'element vertex -3'"),
        ("element vertex 3", "element vertex 3.0", "has the line"),
        ("element vertex 3", "element vertex", "has the line 'element vertex'"),
        ("format binary_little_endian 1.0", "format zip 1.0", "has the line 'format zip 1.0'"),
        ("format binary_little_endian 1.0\n", "", "has the line 'property float fx'"),
        ("end_header", "end_of_header", "has the line 'end_of_header'"),
        ("ply\n", "pyl\n", "does not begin with `ply`"),
        ("comment none\n", "comment " + "a" * 5000 + "\n", "has the line"),
        ("element camera 1\nproperty float fx\n", "element camera 1\n", "its camera has no properties"),
    ],
)
def test_headers_that_contradict_themselves_are_refused_in_a_sentence(tmp_path: Path, old: str, new: str, said: str):
    write(tmp_path / "a.ply", "<")
    content = (tmp_path / "a.ply").read_bytes()
    assert old.encode() in content
    (tmp_path / "a.ply").write_bytes(content.replace(old.encode(), new.encode(), 1))
    with pytest.raises(FormatError) as refusal:
        read_tables(tmp_path / "a.ply", read_header(tmp_path / "a.ply"), {"vertex"})
    assert said in str(refusal.value)
    assert len(str(refusal.value)) < 400


def test_lists_are_refused_where_they_must_be_read_and_ignored_behind(tmp_path: Path):
    write(tmp_path / "a.ply", "<")
    content = (tmp_path / "a.ply").read_bytes()
    (tmp_path / "b.ply").write_bytes(content.replace(b"property uchar label", b"property list uchar int label"))
    with pytest.raises(FormatError, match="the label of its vertex is a list, as in a mesh"):
        read_tables(tmp_path / "b.ply", read_header(tmp_path / "b.ply"), {"vertex"})
    (tmp_path / "c.ply").write_bytes(
        content.replace(b"end_header", b"element face 2\nproperty list uchar int vertex_indices\nend_header")
    )
    assert len(read_tables(tmp_path / "c.ply", read_header(tmp_path / "c.ply"), {"vertex"})["vertex"]) == 3


@pytest.mark.parametrize("row", ["1.5 7", "1.5 7 -3 8", "1.5 seven -3"])
def test_text_that_is_not_as_the_header_says_is_refused(tmp_path: Path, row: str):
    write(tmp_path / "a.ply", "")
    content = (tmp_path / "a.ply").read_text()
    (tmp_path / "a.ply").write_text(content.replace("1.5 7 -3", row))
    with pytest.raises(FormatError, match="some row of its vertex is not as its header says"):
        read_tables(tmp_path / "a.ply", read_header(tmp_path / "a.ply"), {"vertex"})
