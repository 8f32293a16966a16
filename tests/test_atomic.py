"""Files are replaced whole or not at all."""

from pathlib import Path

import pytest
import torch

from splatpaint.atomic import replacing, write_bytes, write_tensors, write_text
from tests.support.disk import files_of_at_most


def test_missing_folders_are_made_and_nothing_else_is_left(tmp_path: Path):
    path = tmp_path / "new" / "folder" / "a.txt"
    write_text(path, "première")
    write_text(path, "zweite\n")
    assert path.read_text(encoding="utf-8") == "zweite\n"
    assert list(path.parent.iterdir()) == [path]


def test_the_temporary_file_is_in_the_same_folder_and_has_the_same_suffix(tmp_path: Path):
    with replacing(tmp_path / "a.png") as temporary:
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".png"
        temporary.touch()
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]


def test_an_error_while_writing_leaves_the_old_file(tmp_path: Path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def write_half() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half of the new")
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        write_half()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kind", ["bytes", "text", "tensors"])
def test_a_full_disk_is_an_os_error_and_leaves_the_old_file(tmp_path: Path, kind: str):
    path = tmp_path / "a"
    path.write_text("old")
    write = {
        "bytes": lambda: write_bytes(path, bytes(10_000)),
        "text": lambda: write_text(path, "a" * 10_000),
        "tensors": lambda: write_tensors(path, {"a": torch.zeros(10_000)}),
    }[kind]
    with files_of_at_most(4096), pytest.raises(OSError, match="File too large"):
        write()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_path_below_a_file_is_an_os_error(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"exists|Not a directory"):
        write_text(tmp_path / "file" / "a.txt", "new")


def test_tensors_come_back(tmp_path: Path):
    write_tensors(tmp_path / "a.pt", {"step": 3, "weights": {"a": torch.arange(4)}})
    state = torch.load(tmp_path / "a.pt", weights_only=True)
    assert state["step"] == 3
    assert torch.equal(state["weights"]["a"], torch.arange(4))
