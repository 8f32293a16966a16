"""Whatever a photo is called, its files lie in their folder."""

from pathlib import Path

import pytest

from splatpaint.errors import RunError
from splatpaint.scene.view_files import view_file

HOSTILE = [
    "/home/me/photo",
    "/",
    "//server/share/photo",
    "..",
    ".",
    "",
    "../photo",
    "a/../../photo",
    "a/./photo",
    "a//photo",
    "photo/",
    "nul\0photo",
    "x" * 300,
    f"{'x' * 300}/photo",
    "é" * 200,
    "photo/..",
]


@pytest.mark.parametrize("name", ["photo", "left/photo", "a b/c (1)", "IMG_1.2.3", "..photo", "été/photo", "x" * 251, "\udcff"])
def test_usual_names_keep_their_spelling_and_their_folders(tmp_path: Path, name: str):
    assert view_file(tmp_path, name) == tmp_path / f"{name}.png"


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_leaves_its_folder(tmp_path: Path, name: str):
    folder = tmp_path / "folder"
    file = view_file(folder, name)
    assert file.parent == folder
    folder.mkdir()
    file.write_text("can be written")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_names_that_are_spelled_anew_do_not_meet(tmp_path: Path):
    assert len({view_file(tmp_path, name) for name in HOSTILE}) == len(HOSTILE)
    assert view_file(tmp_path, "../photo") == view_file(tmp_path, "../photo")


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_the_suffix_is_kept(tmp_path: Path, suffix: str):
    assert view_file(tmp_path, "../photo", suffix).suffix == suffix


def test_a_link_that_leads_out_is_refused_and_one_that_does_not_is_followed(tmp_path: Path):
    folder = tmp_path / "folder"
    for place in (folder / "inside", tmp_path / "elsewhere"):
        place.mkdir(parents=True)
    (folder / "left").symlink_to(tmp_path / "elsewhere")
    (folder / "right").symlink_to(folder / "inside")
    with pytest.raises(RunError, match="leads out of"):
        view_file(folder, "left/photo")
    assert view_file(folder, "right/photo") == folder / "right" / "photo.png"


def test_the_folder_itself_may_be_a_link(tmp_path: Path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "folder").symlink_to(tmp_path / "disk")
    assert view_file(tmp_path / "folder", "a/photo") == tmp_path / "folder" / "a" / "photo.png"
