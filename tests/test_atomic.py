"""Files are replaced whole or not at all."""

from pathlib import Path

import pytest
import torch

from splatpaint.atomic import is_leftover, remove_leftovers, replacing, write_bytes, write_tensors, write_text
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


def test_the_temporary_file_is_new_and_of_a_name_that_nobody_foresees(tmp_path: Path):
    names = set()
    for _ in range(5):
        with replacing(tmp_path / "a.png") as temporary:
            assert temporary.read_bytes() == b""
            assert not temporary.is_symlink()
            names.add(temporary.name)
    assert len(names) == 5


def test_a_link_in_the_place_of_the_file_is_replaced_and_not_written_through(tmp_path: Path):
    (tmp_path / "mine.txt").write_text("mine")
    (tmp_path / "a.txt").symlink_to(tmp_path / "mine.txt")
    write_text(tmp_path / "a.txt", "new")
    assert (tmp_path / "mine.txt").read_text() == "mine"
    assert (tmp_path / "a.txt").read_text() == "new"


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664])
def test_a_file_that_is_replaced_keeps_its_permissions(tmp_path: Path, mode: int):
    (tmp_path / "a.txt").write_text("old")
    (tmp_path / "a.txt").chmod(mode)
    write_text(tmp_path / "a.txt", "new")
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == mode


def test_a_new_file_has_the_permissions_of_any_new_file(tmp_path: Path):
    (tmp_path / "usual.txt").touch()
    write_text(tmp_path / "a.txt", "new")
    assert (tmp_path / "a.txt").stat().st_mode == (tmp_path / "usual.txt").stat().st_mode


@pytest.mark.parametrize("name", ["a" * 251 + ".txt", "é" * 125 + ".txt"])
def test_the_longest_names_can_be_written(tmp_path: Path, name: str):
    write_text(tmp_path / name, "new")
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_what_killed_processes_left_is_removed_and_nothing_else(tmp_path: Path):
    kept = {"a.pt", ".a.pt", ".notes.a.pt", "0123abcd.a.pt", ".0123abc.a.pt", ".gitignore"}
    for place in (tmp_path, tmp_path / "below" / "it"):
        place.mkdir(parents=True, exist_ok=True)
        for name in (*kept, ".0123abcd.a.pt", ".ffffffff.b.json"):
            (place / name).touch()
    remove_leftovers(tmp_path)
    for place in (tmp_path, tmp_path / "below" / "it"):
        assert {file.name for file in place.iterdir() if file.is_file()} == kept
    remove_leftovers(tmp_path / "no folder")


def test_a_temporary_file_is_known_as_a_leftover(tmp_path: Path):
    with replacing(tmp_path / "a.png") as temporary:
        assert is_leftover(temporary.name)
    assert not is_leftover("a.png")
