import unicodedata
from pathlib import Path

import pytest

from splatpaint.capture.names import Named, find, leads_out, shown


def folder_with(root: Path, *files: str) -> Path:
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()
    return root


def meant(root: Path, *names: str, endings: tuple[str, ...] = ("",)) -> Named:
    return find(names, root, lambda: sorted(path for path in root.rglob("*") if path.is_file()), endings=endings)


def composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def decomposed(text: str) -> str:
    return unicodedata.normalize("NFD", text)


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("images/a.jpg", "images\\a.jpg"),
        ("images/a.jpg", ".\\images\\a.jpg"),
        ("images/a.JPG", "images/a.jpg"),
        ("images/A.jpg", "images/a.JPG"),
        ("Images/a.jpg", "images/a.jpg"),
        ("images/a.png", "images/a.jpg"),
        ("images/a.jpg", "images/a.HEIC"),
        ("images/a.jpg", "images/a"),
        ("images/a.jpg", "./images/a"),
        ("images/shot 1 (2).jpg", "images\\shot 1 (2).JPG"),
        (decomposed("Küche/Tür.jpg"), composed("Küche/Tür.jpg")),
        (composed("Küche/Tür.jpg"), decomposed("Küche/TÜR.jpg")),
        ("images\\a.jpg", "images/a.jpg"),
        ("left/images/a.jpg", "images/a.jpg"),
        ("images/a.jpg", "scan/images/a.jpg"),
        ("images/a.jpg", "/home/somebody/scan/images/a.jpg"),
        ("images/a.jpg", "C:\\Users\\somebody\\scan\\images\\a.jpg"),
        ("images/a.jpg", "\\\\server\\share\\frames\\a.jpg"),
        ("images/a.jpg", "../images/a.jpg"),
        ("images/a.jpg", "images/../../images/a.jpg"),
    ],
)
def test_the_one_file_that_a_name_can_mean_is_found_and_said(tmp_path, file, name):
    named = meant(folder_with(tmp_path, file, "other/b.jpg"), name)
    assert named.files == {name: tmp_path / file}
    if name in ("images/a", "./images/a"):  # names without a suffix are usual
        assert named.said("frames", tmp_path) == []
    else:
        (said,) = named.said("frames", tmp_path)
        assert said == f"{name} in frames is taken to mean {file}"


@pytest.mark.parametrize(
    ("files", "name"),
    [
        (["images/shot.jpg"], "images/shot 1.jpg"),
        (["images/shot 1.jpg"], "images/shot.jpg"),
        (["images/a (2).jpg"], "images/a.jpg"),
        (["right/a.jpg"], "left/a.jpg"),
        (["images/a.jpg.png"], "images/a.jpg"),
        (["images/a.b.jpg"], "images/a.jpg"),
        (["images/a.jpg"], ""),
        (["images/a.jpg"], "images"),
        (["images/a.jpg"], "images/" + "a" * 5000),
        (["images/a.jpg"], "images/a\0.jpg"),
        (["images/a.jpg"], "images/\udcfc.jpg"),
    ],
)
def test_another_file_is_never_meant(tmp_path, files, name):
    named = meant(folder_with(tmp_path, *files), name)
    assert (named.files, named.unclear) == ({}, {})
    shown(named.why_missing(name)).encode()


@pytest.mark.parametrize(
    ("files", "name"),
    [
        (["left/a.jpg", "right/a.jpg"], "a.jpg"),
        (["images/a.png", "images/a.webp"], "images/a.jpg"),
        (["images/A.jpg", "images/a.JPG"], "images/a.jpg"),
        (["images_2/a.jpg", "images_4/a.jpg"], "/somewhere/frames/a.jpg"),
    ],
)
def test_a_name_that_several_files_fit_means_none(tmp_path, files, name):
    named = meant(folder_with(tmp_path, *files), name)
    assert named.files == {}
    one, other = sorted(files)
    assert named.why_missing(name) == f"{name}, which fits both {one} and {other}"


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (["a.jpg"], ["left/a.jpg", "right/a.jpg"]),
        (["images/a.png"], ["images/a.jpg", "images/a.webp"]),
        (["a.jpg"], ["/scan/left/a.jpg", "/scan/right/a.jpg"]),
    ],
)
def test_a_file_that_several_names_fit_is_meant_by_none(tmp_path, files, names):
    named = meant(folder_with(tmp_path, *files), *names)
    assert named.files == {}
    assert set(named.unclear) == set(names)
    assert "no better than" in named.why_missing(names[0])


def test_a_file_of_exactly_the_name_is_meant_whatever_else_there_is(tmp_path):
    folder_with(tmp_path, "a.jpg", "a.JPG", "a.png", "left/a.jpg")
    named = meant(tmp_path, "a.jpg", "right/a.jpg")
    assert named.files == {"a.jpg": tmp_path / "a.jpg"}
    assert named.said("frames", tmp_path) == []


def test_the_more_folders_agree_the_better(tmp_path):
    folder_with(tmp_path, "images/left/a.jpg", "images_2/left/a.jpg", "images/right/a.jpg")
    named = meant(tmp_path, "/old/images/left/a.jpg", "/old/images/right/a.jpg")
    assert list(named.files.values()) == [tmp_path / "images/left/a.jpg", tmp_path / "images/right/a.jpg"]


def test_folders_that_tell_pictures_apart_are_never_left_out(tmp_path):
    folder_with(tmp_path, "frames/left/a.jpg")
    named = meant(tmp_path, "/old/images/left/a.jpg", "/old/images/right/a.jpg")
    assert list(named.files) == ["/old/images/left/a.jpg"]


@pytest.mark.parametrize("name", ["../secret.jpg", "/etc/secret.jpg", "images/../../secret.jpg", "..\\secret.jpg"])
def test_nothing_outside_the_folder_is_ever_meant(tmp_path, name):
    folder_with(tmp_path, "secret.jpg", "capture/images/a.jpg")
    named = meant(tmp_path / "capture", name, str(tmp_path / "secret.jpg"))
    assert named.files == {}
    assert leads_out(name)
    assert named.why_missing(name).endswith("and nothing outside it is read")


def test_an_ending_may_stand_before_the_suffix(tmp_path):
    folder_with(tmp_path, "left/a_mask.png", "left/b.jpg.png", "left/c.png", "left/c_mask.png")
    named = meant(tmp_path, "left/a.jpg", "left/b.jpg", "left/c.jpg", endings=("", ".jpg", "_mask"))
    assert [path.name for path in named.files.values()] == ["a_mask.png", "b.jpg.png", "c.png"]


def test_many_names_are_said_in_one_sentence(tmp_path):
    folder_with(tmp_path, "a.jpg", "b.jpg", "c.jpg")
    said = meant(tmp_path, "A.jpg", "B.jpg", "c.jpg").said("frames", tmp_path)
    assert said == ["A.jpg in frames is taken to mean a.jpg, and 1 more likewise"]


@pytest.mark.parametrize("other", ["depth/c.png", "images/depth/c.jpg", "old/images/c.jpg"])
def test_a_missing_file_is_not_taken_from_elsewhere_than_the_others(tmp_path, other):
    folder_with(tmp_path, "images/a.jpg", "images/b.jpg", other)
    named = meant(tmp_path, "images/a.jpg", "images/b.jpg", "images/c.jpg")
    assert list(named.files) == ["images/a.jpg", "images/b.jpg"]
    folder_with(tmp_path, "a.jpg", "b.jpg")
    flat = find(["a.jpg", "b.jpg", "c.jpg"], tmp_path, lambda: [tmp_path / "a.jpg", tmp_path / "b.jpg", tmp_path / other])
    assert list(flat.files) == ["a.jpg", "b.jpg"]
    assert flat.why_missing("c.jpg") == f"c.jpg, which might be {other}, but that lies elsewhere than the others"
