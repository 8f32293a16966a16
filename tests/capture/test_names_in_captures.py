"""Every reader takes a name to mean the same file."""

import json
import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from splatpaint.capture import CaptureConfig, inspect
from splatpaint.capture.layout import read_layout
from splatpaint.capture.masks import find_masks
from splatpaint.capture.preparation import read
from splatpaint.errors import CaptureError, MaskError
from tests.support.captures import Shots, shoot, transforms_of, write_colmap, write_masks, write_transforms

SHOTS = shoot()
Respell = Callable[[str], str]


def list_in_json(root: Path, respell: Respell, shots: Shots = SHOTS) -> None:
    write_transforms(root, shots)
    frames = transforms_of(shots)["frames"]
    for frame in frames:
        frame["file_path"] = respell(frame["file_path"])
    (root / "transforms.json").write_text(json.dumps({**transforms_of(shots), "frames": frames}))


def list_in_text(root: Path, respell: Respell, *, binary: bool = False) -> None:
    write_colmap(root, SHOTS, binary=binary)
    file = next((root / "sparse" / "0").glob("images.*"))
    data = file.read_bytes()
    for name in SHOTS.names:
        data = data.replace(f"{name}.png".encode(), respell(f"images/{name}.png").encode())
    file.write_bytes(data)


def list_in_binary(root: Path, respell: Respell) -> None:
    list_in_text(root, respell, binary=True)


READERS = [list_in_json, list_in_text, list_in_binary]


def rename_photos(root: Path, respell: Respell) -> None:
    for file in list((root / "images").iterdir()):
        file.rename(file.with_name(respell(file.name)))


@pytest.mark.parametrize("write", READERS)
@pytest.mark.parametrize(
    "respell",
    [
        lambda name: name.replace("/", "\\"),
        lambda name: name.replace("png", "PNG"),
        lambda name: name.replace("png", "jpg"),
        lambda name: name.replace("shot", "SHOT"),
        lambda name: f"/home/somebody/scan/{name}",
        lambda name: "D:\\scan\\" + name.replace("/", "\\"),
        lambda name: f"../scan/{name}",
    ],
)
def test_spellings_of_other_machines_are_understood_and_said_once(tmp_path, write, respell):
    write(tmp_path, respell)
    posed = read_layout(tmp_path)
    assert [photo.path.name for photo in posed.photos] == [f"{name}.png" for name in SHOTS.names]
    assert [photo.name for photo in posed.photos] == SHOTS.names
    (note,) = posed.notes
    assert "is taken to mean images/shot_00.png, and 4 more likewise" in note


@pytest.mark.parametrize("write", READERS)
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_accents_may_be_composed_in_the_list_and_not_on_disk(tmp_path, write, form):
    other = "NFD" if form == "NFC" else "NFC"
    write(tmp_path, lambda name: unicodedata.normalize(form, name.replace("shot", "Küche")))
    rename_photos(tmp_path, lambda name: unicodedata.normalize(other, name.replace("shot", "Küche")))
    assert len(read_layout(tmp_path).photos) == 5


@pytest.mark.parametrize("write", READERS)
@pytest.mark.parametrize("climb", ["/", "../", "..\\..\\", "images/../../"])
def test_no_name_leads_out_of_the_capture(tmp_path, write, climb):
    capture, outside = tmp_path / "deep" / "capture", tmp_path / "deep"
    write(capture, lambda name: climb + name.removeprefix("images/").replace("shot", "mine"))
    for name in SHOTS.names:
        shutil.copy(capture / "images" / f"{name}.png", outside / f"{name.replace('shot', 'mine')}.png")
    with pytest.raises(CaptureError, match="and nothing outside it is read"):
        read_layout(capture)


@pytest.mark.parametrize("write", READERS)
def test_photos_that_are_links_to_elsewhere_are_said(tmp_path, write):
    write(tmp_path / "capture", lambda name: name)
    (tmp_path / "capture" / "images").rename(tmp_path / "elsewhere")
    (tmp_path / "capture" / "images").symlink_to(tmp_path / "elsewhere")
    posed, _ = read(tmp_path / "capture", CaptureConfig())
    assert [photo.name for photo in posed.photos] == SHOTS.names
    assert any("5 of 5 photos are read from outside" in note for note in posed.notes)


@pytest.mark.parametrize("write", READERS)
def test_pictures_of_an_earlier_run_inside_the_capture_are_none_of_it(tmp_path, write):
    write(tmp_path, lambda name: name)
    shutil.copytree(tmp_path / "images", tmp_path / "runs" / "mine" / "images")
    (tmp_path / "runs" / "mine" / "capture.json").write_text("{}")
    (tmp_path / "images" / "shot_01.png").unlink()
    assert len(read_layout(tmp_path).photos) == 4


@pytest.mark.parametrize("separator", ["/", "\\"])
def test_mask_paths_and_points_are_names_too(tmp_path, separator):
    write_masks(tmp_path / "people" / "all", SHOTS)
    frames = transforms_of(SHOTS)["frames"]
    for frame, name in zip(frames, SHOTS.names, strict=True):
        frame["mask_path"] = separator.join(("people", "all", f"{name}.PNG"))
    write_transforms(tmp_path, SHOTS, frames=frames, ply_file_path=f".{separator}Points.ply")
    (tmp_path / "points.ply").write_text("ply\nformat ascii 1.0\nelement vertex 0\nend_header\n")
    with pytest.raises(CaptureError, match=r"points\.ply is not a \.ply with points"):
        read_layout(tmp_path)
    (tmp_path / "points.ply").unlink()
    masks = [photo.ignore_mask for photo in read_layout(tmp_path).photos]
    assert masks == [tmp_path / "people" / "all" / f"{name}.png" for name in SHOTS.names]


@pytest.mark.parametrize(
    "respell",
    [
        lambda name: name.upper(),
        lambda name: f"images/{name}",
        lambda name: f"{name}.JPG",
        lambda name: f"{name}_mask",
        lambda name: f"{name}.mask",
    ],
)
def test_masks_are_found_by_the_same_rule(tmp_path, respell):
    write_transforms(tmp_path, SHOTS)
    write_masks(tmp_path / "masks", SHOTS)
    for file in list((tmp_path / "masks").iterdir()):
        new = tmp_path / "masks" / f"{respell(file.stem)}.png"
        new.parent.mkdir(exist_ok=True)
        file.rename(new)
    assert inspect(tmp_path, CaptureConfig(mask_value="white")).fill_masks == 5


def two_cameras(root: Path) -> None:
    write_transforms(root, SHOTS)
    frames = transforms_of(SHOTS)["frames"]
    for number, frame in enumerate(frames):
        side = "left" if number < 3 else "right"
        name = f"images/{side}/{number % 3}.png"
        (root / name).parent.mkdir(exist_ok=True)
        (root / frame["file_path"]).rename(root / name)
        frame["file_path"] = name
    (root / "transforms.json").write_text(json.dumps({**transforms_of(SHOTS), "frames": frames}))


def test_one_flat_mask_does_not_serve_two_cameras(tmp_path):
    two_cameras(tmp_path)
    (tmp_path / "masks").mkdir()
    for number in range(3):
        shutil.copy(tmp_path / "images" / "left" / f"{number}.png", tmp_path / "masks")
    posed = read_layout(tmp_path)
    with pytest.raises(MaskError, match=r"left/0\.png fits 0\.png no better than right/0\.png does: give each photo one mask"):
        find_masks(tmp_path, posed, folder=None, value="auto")
    (tmp_path / "masks" / "0.png").unlink()
    (tmp_path / "masks" / "1.png").unlink()
    assert list(find_masks(tmp_path, posed, folder=None, value="auto").fill) == ["left/2"]
