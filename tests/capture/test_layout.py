import pytest

from splatpaint.capture.layout import read_layout
from splatpaint.errors import CaptureError
from tests.support.captures import shoot, write_colmap, write_llff, write_transforms

SHOTS = shoot(views=3)


@pytest.mark.parametrize(
    ("write", "layout"),
    [(write_transforms, r"transforms.json"), (write_colmap, "COLMAP text model in sparse/0"), (write_llff, "LLFF / SPIn-NeRF")],
)
def test_every_layout_is_recognized(tmp_path, write, layout):
    assert read_layout(write(tmp_path, SHOTS)).layout.startswith(layout)


def test_colmap_knows_more_than_poses_bounds(tmp_path):
    write_llff(tmp_path, SHOTS)
    assert read_layout(write_colmap(tmp_path, SHOTS)).layout.startswith("COLMAP")


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(CaptureError, match=r"capture folder .*nowhere does not exist"):
        read_layout(tmp_path / "nowhere")


def test_an_empty_folder_is_named(tmp_path):
    with pytest.raises(CaptureError, match="is empty"):
        read_layout(tmp_path)


def test_a_file_is_not_a_capture(tmp_path):
    (tmp_path / "scene.ply").touch()
    with pytest.raises(CaptureError, match=r"scene\.ply is a file, expected the folder"):
        read_layout(tmp_path / "scene.ply")


def test_an_unknown_layout_says_what_was_looked_for_and_found(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "notes.txt").touch()
    with pytest.raises(CaptureError, match=r"looked for transforms\.json.*poses_bounds\.npy, found notes\.txt, photos/$"):
        read_layout(tmp_path)
