"""A capture names its photos; a run and its renderings stay in their own folders all the same."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Cli


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def climb(listed: str, photo: Path) -> str:
    """Out of the folder of the images and the capture, by a path from there."""
    return f"{Path(listed).parent}/../../../album/{photo.name}"


def absolute(_: str, photo: Path) -> str:
    return str(photo)


@pytest.mark.parametrize("spelled", [climb, absolute])
def test_a_photo_that_a_capture_names_outside_is_neither_read_nor_written(
    cli: Cli, capture: Path, settings: list[str], tmp_path: Path, spelled: Callable[[str, Path], str]
):
    album = tmp_path / "album"
    album.mkdir()
    description = json.loads((capture / "transforms.json").read_text())
    for frame in description["frames"][:2]:
        photo = album / Path(frame["file_path"]).name
        shutil.copy(capture / frame["file_path"], photo)
        frame["file_path"] = spelled(frame["file_path"], photo)
    (capture / "transforms.json").write_text(json.dumps(description))
    for mask in (capture / "masks").rglob("*.png"):  # found whatever the folders of the photos are
        mask.rename(capture / "masks" / mask.name)
    before = digests(tmp_path)
    small = ["--max-resolution", "32"]  # so that every photo is written anew
    result = cli("fit", capture, "-o", tmp_path / "run", *settings, *small)
    assert result.exit_code == 0, result.output
    assert "nothing outside it is read (2 of 5 are missing)" in result.output.replace("\n", " ")
    assert cli("render", tmp_path / "run", "-o", tmp_path / "renders").exit_code == 0
    after = digests(tmp_path)
    new = after.keys() - before.keys()
    assert {name: after.get(name) for name in before} == before
    assert all(name.startswith(("run/", "renders/")) for name in new), new
    assert len([name for name in new if name.startswith("renders/")]) == 3


@pytest.mark.parametrize("name", ["/{}/album/photo", "../../album/photo", "..", "left/../../album/photo"])
def test_a_run_folder_of_somebody_else_is_rendered_into_the_folder_that_was_asked_for(
    cli: Cli, finished: Path, tmp_path: Path, name: str
):
    run = Path(shutil.copytree(finished, tmp_path / "place" / "run"))
    (prepared,) = run.glob("capture/*/capture.json")
    described = json.loads(prepared.read_text())
    for view in described["views"]:  # as if the run had been taken elsewhere together with its capture
        view["image"] = str(finished / "capture" / prepared.parent.name / view["image"])
    described["views"][0]["name"] = name.format(tmp_path)
    prepared.write_text(json.dumps(described))
    (tmp_path / "album").mkdir()
    (tmp_path / "album" / "photo.png").write_text("mine")
    before = digests(tmp_path)
    result = cli("render", run, "-o", tmp_path / "place" / "renders")
    assert result.exit_code == 0, result.output
    new = digests(tmp_path).keys() - before.keys()
    assert len(new) == 5
    assert all(path.startswith("place/renders/") for path in new), new
    assert (tmp_path / "album" / "photo.png").read_text() == "mine"
