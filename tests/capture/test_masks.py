from pathlib import Path

import pytest
import torch

from splatpaint.capture.layout import read_layout
from splatpaint.capture.masks import find_masks
from splatpaint.errors import MaskError
from splatpaint.image.files import write_mask
from tests.support.captures import shoot, transforms_of, write_llff, write_masks, write_photos, write_transforms

SHOTS = shoot(views=3)


def find(root, *, folder=None, value="auto"):
    return find_masks(root, read_layout(root), folder=folder, value=value)


@pytest.mark.parametrize("place", ["masks", "object_masks", "label", "seg", "images/masks", "images/label"])
def test_masks_are_found_beside_and_below_the_images(tmp_path, place):
    write_transforms(tmp_path, SHOTS)
    write_masks(tmp_path / place, SHOTS)
    found = find(tmp_path)
    assert sorted(found.fill) == SHOTS.names
    assert found.folder == tmp_path / place
    assert found.notes == (f"3 of 3 photos have a mask in {place}",)


def test_masks_may_lie_in_a_folder_named_like_that_of_the_photos(tmp_path):
    write_transforms(tmp_path, SHOTS)
    write_masks(tmp_path / "masks" / "images", SHOTS)
    assert sorted(find(tmp_path).fill) == SHOTS.names


def test_photos_below_the_folder_of_the_masks_are_no_masks(tmp_path):
    write_transforms(tmp_path, SHOTS)
    write_masks(tmp_path, shoot(views=2))
    assert sorted(find(tmp_path, folder=str(tmp_path)).fill) == SHOTS.names[:2]


def test_labels_of_spin_nerf_are_found(tmp_path):
    write_llff(tmp_path, SHOTS)
    write_masks(tmp_path / "images_2" / "label", SHOTS)
    assert len(find(tmp_path).fill) == 3


@pytest.mark.parametrize("end", [".png.png", ".mask.png"])
def test_masks_may_lie_among_the_photos(tmp_path, end):
    write_transforms(tmp_path, SHOTS)
    write_masks(tmp_path / "images", SHOTS, end=end)
    found = find(tmp_path, value="black")
    assert found.fill == {name: tmp_path / "images" / f"{name}{end}" for name in SHOTS.names}


def test_photos_are_no_masks_whatever_way_their_folder_is_named(tmp_path, monkeypatch):
    write_transforms(tmp_path / "capture", SHOTS)
    write_masks(tmp_path / "capture" / "images", SHOTS, end=".png.png")
    monkeypatch.chdir(tmp_path)
    found = find(Path("capture"), folder=str(tmp_path / "capture" / "images"), value="white")
    assert {path.name for path in found.fill.values()} == {f"{name}.png.png" for name in SHOTS.names}


def test_a_second_version_of_a_photo_is_no_mask(tmp_path):
    write_transforms(tmp_path, SHOTS)
    write_photos(tmp_path / "images", SHOTS, suffix=".webp")
    assert find(tmp_path).fill == {}


def test_a_capture_without_masks_has_none(tmp_path):
    found = find(write_transforms(tmp_path, SHOTS))
    assert (found.fill, found.ignore, found.ignore_black, found.notes) == ({}, {}, {}, ())


@pytest.mark.parametrize("end", [".png.png", ".mask.png"])
@pytest.mark.parametrize("polarity", ["white", "black"])
def test_foreign_names_are_found_once_the_polarity_is_said(tmp_path, end, polarity):
    write_transforms(tmp_path, SHOTS)
    write_masks(tmp_path / "masks", SHOTS, end=end)
    found = find(tmp_path, value=polarity)
    assert len(found.fill) == 3


@pytest.mark.parametrize("end", [".png.png", ".mask.png"])
def test_the_polarity_of_foreign_names_is_not_guessed(tmp_path, end):
    write_transforms(tmp_path, SHOTS)
    write_masks(tmp_path / "masks", SHOTS, end=end)
    with pytest.raises(MaskError, match="'white' if white is to be filled, 'black' if black is"):
        find(tmp_path)


def test_masks_in_subfolders_follow_their_photos(tmp_path):
    write_photos(tmp_path / "images" / "left", SHOTS)
    write_photos(tmp_path / "images" / "right", SHOTS)
    frames = transforms_of(SHOTS)["frames"]
    both = [
        {**f, "file_path": f["file_path"].replace("images", f"images/{side}")} for side in ("left", "right") for f in frames
    ]
    write_transforms(tmp_path, SHOTS, frames=both)
    write_masks(tmp_path / "masks" / "left", SHOTS)
    assert sorted(find(tmp_path).fill) == [f"left/{name}" for name in SHOTS.names]


@pytest.mark.parametrize("absolute", [True, False])
def test_a_folder_can_be_given(tmp_path, absolute):
    write_transforms(tmp_path, SHOTS)
    write_masks(tmp_path / "masks", SHOTS)
    write_masks(tmp_path / "mine", SHOTS)
    assert find(tmp_path, folder=str(tmp_path / "mine") if absolute else "mine").folder == tmp_path / "mine"


def test_a_second_folder_of_masks_is_left_aside_and_said(tmp_path):
    write_transforms(tmp_path, SHOTS)
    write_masks(tmp_path / "masks", SHOTS)
    write_masks(tmp_path / "seg", SHOTS)
    assert find(tmp_path).notes[1:] == ("the masks in seg are left aside",)


def frames_with_mask_paths() -> list:
    frames = transforms_of(SHOTS)["frames"]
    return [{**frame, "mask_path": f"masks/{name}.png"} for frame, name in zip(frames, SHOTS.names, strict=True)]


def test_mask_paths_mean_black_is_ignored(tmp_path):
    frames = frames_with_mask_paths()
    write_masks(tmp_path / "masks", SHOTS, black=True)
    found = find(write_transforms(tmp_path, SHOTS, frames=frames))
    assert found.fill == {}
    assert sorted(found.ignore_black) == SHOTS.names


def test_mask_paths_that_are_to_be_filled_are_not_ignored(tmp_path):
    frames = frames_with_mask_paths()
    write_masks(tmp_path / "masks", SHOTS, black=True)
    found = find(write_transforms(tmp_path, SHOTS, frames=frames), folder="masks", value="black")
    assert sorted(found.fill) == SHOTS.names
    assert found.ignore_black == {}


def test_ignore_masks_stand_beside_fill_masks(tmp_path):
    write_transforms(tmp_path, SHOTS)
    write_masks(tmp_path / "masks", SHOTS)
    write_masks(tmp_path / "ignore_masks", SHOTS)
    found = find(tmp_path)
    assert sorted(found.ignore) == sorted(found.fill) == SHOTS.names
    assert found.ignore["shot_00"].parent.name == "ignore_masks"


@pytest.mark.parametrize("place", ["masks", "ignore_masks"])
def test_masks_that_match_no_photo_are_refused(tmp_path, place):
    write_transforms(tmp_path, SHOTS)
    write_mask(tmp_path / place / "other.png", torch.ones(1, 4, 4))
    with pytest.raises(MaskError, match=rf"no mask in .*{place} \(such as other\.png\) .* \(such as shot_00\.png\)"):
        find(tmp_path)


def test_a_given_folder_without_matches_is_refused(tmp_path):
    write_transforms(tmp_path, SHOTS)
    (tmp_path / "mine").mkdir()
    with pytest.raises(MaskError, match="mine holds no pictures"):
        find(tmp_path, folder="mine")


def test_a_given_folder_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(MaskError, match="the mask folder nowhere does not exist"):
        find(write_transforms(tmp_path, SHOTS), folder="nowhere")


def test_a_mask_path_is_no_fill_mask_but_its_neighbors_of_other_photos_are(tmp_path):
    frames = frames_with_mask_paths()
    del frames[1]["mask_path"]
    write_masks(tmp_path / "masks", SHOTS)
    found = find(write_transforms(tmp_path, SHOTS, frames=frames))
    assert sorted(found.fill) == [SHOTS.names[1]]
    assert sorted(found.ignore_black) == [SHOTS.names[0], SHOTS.names[2]]


def test_one_mask_path_may_serve_all_photos(tmp_path):
    frames = [{**frame, "mask_path": "masks/all.png"} for frame in transforms_of(SHOTS)["frames"]]
    write_mask(tmp_path / "masks" / "all.png", torch.ones(1, 48, 64))
    found = find(write_transforms(tmp_path, SHOTS, frames=frames))
    assert (found.fill, set(found.ignore_black.values())) == ({}, {tmp_path / "masks" / "all.png"})


@pytest.mark.parametrize("mask_paths", [True, False])
def test_masks_of_pictures_without_a_pose_harm_nothing(tmp_path, mask_paths):
    frames = frames_with_mask_paths() if mask_paths else transforms_of(SHOTS)["frames"]
    write_masks(tmp_path / "masks", SHOTS)
    write_transforms(tmp_path, SHOTS, frames=frames[:2])
    found = find(tmp_path)
    assert sorted(found.ignore_black if mask_paths else found.fill) == SHOTS.names[:2]
    assert not any("belong to no photo" in note for note in found.notes)


def test_pictures_among_the_masks_that_belong_to_no_photo_are_counted(tmp_path):
    write_transforms(tmp_path, SHOTS)
    write_masks(tmp_path / "masks", SHOTS)
    write_mask(tmp_path / "masks" / "all.png", torch.ones(1, 48, 64))
    assert find(tmp_path).notes[1] == "1 of the pictures in masks belong to no photo (such as all.png)"


@pytest.mark.parametrize("name", ["mask", "Masks", "MASK", "segmentation", "Labels", "masks_2", "object_mask"])
def test_folders_of_masks_have_many_names(tmp_path, name):
    write_transforms(tmp_path, SHOTS)
    write_masks(tmp_path / name, SHOTS)
    found = find(tmp_path)
    assert (found.folder, sorted(found.fill)) == (tmp_path / name, SHOTS.names)


def test_masks_of_full_size_go_before_reduced_ones(tmp_path):
    write_transforms(tmp_path, SHOTS)
    for name in ("masks_2", "masks", "masks_4"):
        write_masks(tmp_path / name, SHOTS)
    assert find(tmp_path).folder == tmp_path / "masks"


@pytest.mark.parametrize("name", ["dynamic_mask_0", "my_masks", "segmented", "labels-of-sam"])
def test_folders_that_may_hold_masks_are_named_where_there_are_no_others(tmp_path, name):
    write_transforms(tmp_path, SHOTS)
    write_masks(tmp_path / name, SHOTS)
    (warning,) = find(tmp_path).warnings
    assert warning == f"{name} may hold masks but is not searched for them: if so, give --masks {name}"
    assert find(tmp_path, folder=name).warnings == ()


def test_two_masks_of_a_photo_are_refused(tmp_path):
    write_transforms(tmp_path, SHOTS)
    write_masks(tmp_path / "masks", SHOTS, end=".webp")
    write_masks(tmp_path / "masks", SHOTS, end=".bmp")
    with pytest.raises(MaskError, match=r"shot_00\.png fits both shot_00\.bmp and shot_00\.webp: give each photo one mask"):
        find(tmp_path)
