"""Files of others are read within bounds, and whatever is wrong with them is one kind of error."""

import os
import pickle
import zipfile
from pathlib import Path

import pytest
import torch

from splatpaint.atomic import write_tensors
from splatpaint.reading import (
    LARGEST_JSON,
    UnreadableError,
    expanded,
    in_short,
    read_json,
    read_tensors,
    read_text,
    understanding,
)

CPU = torch.device("cpu")


def test_text_is_read_with_and_without_a_byte_order_mark(tmp_path: Path):
    for encoding in ("utf-8", "utf-8-sig"):
        (tmp_path / "a.txt").write_text("première\n", encoding=encoding)
        assert read_text(tmp_path / "a.txt", at_most=100) == "première\n"


@pytest.mark.parametrize("content", [b"\xff\xfe", b"\xe9t\xe9", bytes(101)])
def test_what_is_no_text_or_too_much_is_unreadable(tmp_path: Path, content: bytes):
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(UnreadableError):
        read_text(tmp_path / "a.txt", at_most=100)


def test_an_endless_file_is_not_read_to_its_end():
    with pytest.raises(UnreadableError, match="more than 1000 bytes"):
        read_text(Path("/dev/zero"), at_most=1000)


@pytest.mark.parametrize("path", ["missing", ".", "x" * 300, "loop"])
def test_what_is_no_file_is_unreadable(tmp_path: Path, path: str):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for read in (read_json, lambda file: read_tensors(file, CPU)):
        with pytest.raises(UnreadableError):
            read(tmp_path / path)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "1" * 10_000, '{"a": 1}}', "nonsense"])
def test_damaged_json_is_unreadable(tmp_path: Path, text: str):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(UnreadableError) as caught:
        read_json(tmp_path / "a.json")
    assert len(str(caught.value)) < 300


def test_json_has_a_greatest_size(tmp_path: Path):
    with open(tmp_path / "a.json", "wb") as file:
        file.truncate(LARGEST_JSON + 1)  # a hole on the disk
    with pytest.raises(UnreadableError, match="more than"):
        read_json(tmp_path / "a.json")


def test_tensors_come_back(tmp_path: Path):
    write_tensors(tmp_path / "a.pt", {"step": 3, "weights": {"a": torch.arange(4)}})
    state = read_tensors(tmp_path / "a.pt", CPU)
    assert state["step"] == 3
    assert torch.equal(state["weights"]["a"], torch.arange(4))


class Planted:
    """What a pickle runs when it is loaded."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple:
        return Path.touch, (self.file,)


def test_no_pickle_is_ever_run(tmp_path: Path):
    torch.save({"step": Planted(tmp_path / "touched")}, tmp_path / "zip.pt")
    (tmp_path / "bare.pt").write_bytes(pickle.dumps({"step": Planted(tmp_path / "touched")}))
    torch.save({"a": Planted(tmp_path / "touched")}, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    for name in ("zip.pt", "bare.pt", "old.pt"):
        with pytest.raises(UnreadableError):
            read_tensors(tmp_path / name, CPU)
    assert not (tmp_path / "touched").exists()


def test_tensors_that_would_be_larger_in_memory_are_refused(tmp_path: Path):
    write_tensors(tmp_path / "a.pt", {"zeros": torch.zeros(1_000_000)})
    with zipfile.ZipFile(tmp_path / "a.pt") as whole, zipfile.ZipFile(tmp_path / "b.pt", "w", zipfile.ZIP_DEFLATED) as pressed:
        for entry in whole.infolist():
            pressed.writestr(entry.filename, whole.read(entry))
    assert (tmp_path / "b.pt").stat().st_size < 20_000
    with pytest.raises(UnreadableError, match="larger than the file"):
        read_tensors(tmp_path / "b.pt", CPU)


@pytest.mark.parametrize("left", [0.0, 0.1, 0.5, 0.99])
def test_tensors_that_are_cut_off_are_unreadable(tmp_path: Path, left: float):
    write_tensors(tmp_path / "a.pt", {"a": torch.arange(1000)})
    whole = (tmp_path / "a.pt").read_bytes()
    (tmp_path / "a.pt").write_bytes(whole[: int(left * len(whole))])
    with pytest.raises(UnreadableError):
        read_tensors(tmp_path / "a.pt", CPU)


@pytest.mark.parametrize(
    "error", [KeyError("a"), TypeError(), ValueError("x\ny"), OSError(2, "No such"), RuntimeError("z" * 9999)]
)
def test_what_goes_wrong_with_content_is_said_in_a_few_words(error: Exception):
    with pytest.raises(UnreadableError) as caught, understanding():
        raise error
    assert 0 < len(str(caught.value)) < 300
    assert "\n" not in str(caught.value)
    assert in_short(error)


def test_a_home_folder_that_nobody_has_is_left_as_it_is():
    assert expanded("~") == Path(os.path.expanduser("~"))
    assert expanded("~nobody-at-all/a") == Path("~nobody-at-all/a")
    assert expanded("a/~b") == Path("a/~b")


def test_interruptions_are_no_errors_of_the_file():
    with pytest.raises(KeyboardInterrupt), understanding():
        raise KeyboardInterrupt
