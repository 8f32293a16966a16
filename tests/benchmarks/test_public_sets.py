"""Tiny copies of every public layout: photos of a box, links to which are read back as captures."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.public_sets import SPIN_NERF_JUDGED, layout_of, read_scene, scenes_in, write_part
from splatpaint.capture import CaptureConfig
from splatpaint.capture.lens import Lens
from splatpaint.capture.preparation import read, read_masks
from splatpaint.errors import CaptureError, MaskError
from splatpaint.image.files import write_mask
from tests.support.captures import Shots, shoot, write_colmap, write_llff, write_masks, write_photos

SMALL = Lens("PINHOLE", 24, 18, 20.0, 20.0, 12.0, 9.0)
FITTED, JUDGED = 4, 3


def some(shots: Shots, first: int, last: int) -> Shots:
    """Some of the shots. Their names begin anew, but their pictures are their own."""
    return replace(shots, world_from_cam=shots.world_from_cam[first:last], images=shots.images[first:last])


def move_images(root: Path, places: dict[str, str]) -> None:
    """Moves photos of a written capture, and renames them in its COLMAP model."""
    model = root / "sparse" / "0" / "images.txt"
    text = model.read_text()
    for name, place in places.items():
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        (root / "images" / f"{name}.png").rename(root / place)
        text = text.replace(f"{name}.png", Path(place).name)
    model.write_text(text)


def shots_of(count: int) -> Shots:
    return shoot(SMALL, views=count)


def masks_for(folder: Path, names: list[str]) -> None:
    for name in names:
        mask = torch.zeros(1, SMALL.height, SMALL.width)
        mask[..., :6] = 1
        write_mask(folder / f"{name}.png", mask)


def spin_nerf(root: Path) -> Path:
    """40 photos that are judged, 4 that are fitted, in a quarter of the size that the poses were solved at."""
    shots = shots_of(SPIN_NERF_JUDGED + FITTED)
    write_llff(root, shots, images="images_4", solved_scale=4)
    (root / "images").mkdir()  # its photos of the full size need not be there
    masks_for(root / "images_4" / "label", shots.names[SPIN_NERF_JUDGED:])
    masks_for(root / "images_4" / "test_label", shots.names[:SPIN_NERF_JUDGED])
    return root


def usid(root: Path) -> Path:
    """Photos after the removal lie in a folder of their own; one more is a reference, which has a name of a fitted photo."""
    shots = shots_of(FITTED + JUDGED)
    write_colmap(root, shots)
    names = {name: f"test_images/{name}.png" for name in shots.names[FITTED:]}
    move_images(root, names)
    masks_for(root / "object_masks", shots.names[:FITTED])
    (root / "reference").mkdir()
    shutil.copy(root / "images" / "shot_00.png", root / "reference" / "shot_00.png")
    return root


def inpaint360gs(root: Path, masks: str = "masks") -> Path:
    """Photos after the removal have names that begin with test_."""
    shots = shots_of(FITTED + JUDGED)
    write_colmap(root, shots)
    move_images(root, {name: f"images/test_{name}.png" for name in shots.names[FITTED:]})
    masks_for(root / masks, shots.names[:FITTED])
    return root


def remove360(root: Path) -> Path:
    """Photos before and after have the same names, and are told apart by their folders in the model."""
    shots = shots_of(FITTED + JUDGED)
    write_colmap(root, shots)
    model = root / "sparse" / "0" / "images.txt"
    text = model.read_text()
    for number, name in enumerate(shots.names):
        part, other = ("train", number) if number < FITTED else ("test", number - FITTED)
        (root / part).mkdir(exist_ok=True)
        (root / "images" / f"{name}.png").rename(root / part / f"{other}.png")
        text = text.replace(f"{name}.png", f"{part}/{other}.png")
    model.write_text(text)
    (root / "images").rmdir()
    masks_for(root / "train" / "masks", [str(number) for number in range(FITTED)])
    return root


WRITERS = {"spin-nerf": spin_nerf, "360-usid": usid, "inpaint360gs": inpaint360gs, "remove360": remove360}


@pytest.mark.parametrize("layout", WRITERS)
def test_photos_with_the_object_are_a_capture_and_those_without_another(layout: str, tmp_path: Path):
    scene = read_scene(WRITERS[layout](tmp_path / "scene"), "scene")
    assert scene.layout == layout
    shots = shots_of(len(scene.fitted) + len(scene.judged))
    fitted_first = layout != "spin-nerf"
    fitted = slice(0, FITTED) if fitted_first else slice(SPIN_NERF_JUDGED, None)
    judged = slice(FITTED, None) if fitted_first else slice(0, SPIN_NERF_JUDGED)
    for photos, masks, chosen in ((scene.fitted, scene.masks, fitted), (scene.judged, scene.judged_masks, judged)):
        part = write_part(scene, photos, masks, tmp_path / f"part-{chosen.start}")
        posed, found = read(part, CaptureConfig())
        assert len(posed.photos) == len(photos) == len(shots.images[chosen])
        for photo, pose in zip(posed.photos, shots.cam_from_world[chosen], strict=True):
            np.testing.assert_allclose(photo.cam_from_world, pose, atol=1e-6)
            assert (photo.lens.width, photo.lens.height) == (SMALL.width, SMALL.height)
            assert photo.lens.fx == pytest.approx(SMALL.fx)
        assert len(found.fill) == len(masks)
        meaning = read_masks(found, CaptureConfig()).fill
        for mask in [meaning.of(photo) for photo in posed.photos if photo.name in found.fill]:
            assert mask is not None
            assert mask[0, :, :6].all()
            assert not mask[0, :, 6:].any()
    assert len(scene.masks) == FITTED
    assert len(scene.judged_masks) == (SPIN_NERF_JUDGED if layout == "spin-nerf" else 0)


def test_a_capture_is_made_again_of_the_same_links(tmp_path: Path):
    scene = read_scene(usid(tmp_path / "scene"), "scene")
    for _ in range(2):
        part = write_part(scene, scene.fitted, scene.masks, tmp_path / "part")
    posed, _ = read(part, CaptureConfig())
    assert [photo.name for photo in posed.photos] == [photo.stem for photo in scene.fitted]


def test_scenes_are_found_at_any_depth_and_named_by_where_they_are(tmp_path: Path):
    remove360(tmp_path / "backyard" / "chairs")
    usid(tmp_path / "cone")
    assert [(scene.name, scene.layout) for scene in scenes_in(tmp_path)] == [
        ("backyard-chairs", "remove360"),
        ("cone", "360-usid"),
    ]
    assert [scene.name for scene in scenes_in(tmp_path / "cone")] == ["cone"]


def test_a_folder_without_scenes_says_what_was_looked_for(tmp_path: Path):
    write_photos(tmp_path / "images", shots_of(3))
    assert layout_of(tmp_path) is None
    with pytest.raises(CaptureError, match=r"no scene of a known set: looked for poses_bounds\.npy"):
        scenes_in(tmp_path)


def test_a_set_that_has_no_masks_of_its_own_asks_for_them(tmp_path: Path):
    inpaint360gs(tmp_path, masks="elsewhere")
    with pytest.raises(MaskError, match="no mask of what is removed: put white ones, named like photos, in masks, object"):
        scenes_in(tmp_path)


def test_masks_may_have_the_suffix_of_their_photo_in_their_name(tmp_path: Path):
    inpaint360gs(tmp_path, masks="elsewhere")
    write_masks(tmp_path / "masks", some(shots_of(FITTED + JUDGED), 0, FITTED), end=".png.png")
    scene = read_scene(tmp_path, "scene")
    assert len(scene.masks) == FITTED
    _, found = read(write_part(scene, scene.fitted, scene.masks, tmp_path / "part"), CaptureConfig())
    assert len(found.fill) == FITTED


def test_too_few_photos_of_spin_nerf_leave_none_to_fit(tmp_path: Path):
    shots = shots_of(SPIN_NERF_JUDGED)
    write_llff(tmp_path, shots, images="images_4", solved_scale=4)
    with pytest.raises(CaptureError, match="has 0 photos to fit and 40 to judge"):
        scenes_in(tmp_path)
