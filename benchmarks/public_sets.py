"""Public captures with a truth: which of their photos are fitted, which are judged, and where their masks are.

Every set has photos with the object, to be fitted, and others of the same place, in the same poses' frame, after the object was
taken away, to be judged. What was read of each, and where:

spin-nerf    SPIn-NeRF (Mirzaei et al., CVPR 2023; github.com/SamsungLabs/SPIn-NeRF, README.md, DS_NeRF/load_llff.py and
             configs/config.txt). `poses_bounds.npy`, `images` and `images_4` (factor 4, 1008x567), masks of 0 and 1, 1 =
             inpaint, in `images_4/label`. The first 40 photos by name (`N_gt = 40`) are without the object and judged, the last
             60 are fitted. Masks of judged photos, which others who score the set use, are in `images_4/test_label`; crops of a
             mask are its smallest box (github.com/chenhonghua/MVIP-NeRF, issue 11).
360-usid     360-USID (Wu et al., CVPR 2025, arXiv 2502.05176; github.com/kkennethwu/AuraFusion360_official,
             scene/dataset_readers.py and scripts/aura_eval.py; huggingface.co/datasets/kkennethwu/360-USID). `images`,
             `object_masks` (white = object) and `test_images`, 960 px wide, one COLMAP model of both in `sparse/0`. `reference`
             has a photo without the object for methods that want one; it is not used here.
inpaint360gs Inpaint360GS (Wang et al., WACV 2026, arXiv 2511.06457; github.com/dfki-av/Inpaint360GS, README.md). `images` with
             IMG_*.JPG, and test_IMG_*.JPG after the removal; one COLMAP model in `sparse/0`. It has no masks of what is removed
             (its authors choose segments by number): put white ones into SCENE/masks.
remove360    Remove360 (Kocour et al. 2025, arXiv 2508.11431; huggingface.co/datasets/simkoc/Remove360, which has folders as
             backyard/chairs/train). Photos before the removal are taken from `train`, those after it from `test`, each there or
             in `images` in there, masks from `masks` in `train` or beside it, and the COLMAP model of both from `sparse` in
             either place. But for `train` this is a guess: no description of the folders was found. Where a copy differs, link
             its files so.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from splatpaint.capture.colmap import find_models
from splatpaint.capture.listing import pictures_in
from splatpaint.capture.llff import POINT_FILES
from splatpaint.capture.sparse_model import read_model
from splatpaint.errors import CaptureError, MaskError

Layout = Literal["spin-nerf", "360-usid", "inpaint360gs", "remove360"]
PUBLISHED_PX: Mapping[Layout, int] = {"spin-nerf": 1008, "360-usid": 960}
"""Longest side of the photos that published figures are of, where one is known."""
SPIN_NERF_JUDGED = 40
"""So many photos of SPIn-NeRF, the first by name, are judged."""
JUDGED_PREFIX = "test_"
"""Begins the names of Inpaint360GS's photos without the object."""


@dataclass(frozen=True)
class PublicScene:
    """One scene of a public set, as it lies on disk."""

    name: str
    layout: Layout
    folder: Path
    """Where its poses are."""
    fitted: tuple[Path, ...]
    """Photos with the object, sorted."""
    masks: Mapping[Path, Path]
    """Masks of fitted photos; white, or 1, is what is removed."""
    judged: tuple[Path, ...]
    """Photos without the object, sorted."""
    judged_masks: Mapping[Path, Path]
    """Where the object was in judged photos; empty if the set does not say."""


def scenes_in(folder: Path) -> list[PublicScene]:
    """The scenes of a folder: itself, or else all that lie below it.

    Raises:
        CaptureError: if there are none, or one lacks photos.
        MaskError: if one has no masks of what is removed.
    """
    found = [read_scene(each, "-".join(each.relative_to(folder).parts) or each.name) for each in _scene_folders(folder)]
    if not found:
        raise CaptureError(
            f"{folder} holds no scene of a known set: looked for poses_bounds.npy (SPIn-NeRF), test_images (360-USID), "
            "images/test_* (Inpaint360GS), and train beside test (Remove360)"
        )
    return found


def layout_of(folder: Path) -> Layout | None:
    """The set that a folder is a scene of; None if it is none."""
    if (folder / "poses_bounds.npy").is_file():
        return "spin-nerf"
    if (folder / "test_images").is_dir() and (folder / "images").is_dir():
        return "360-usid"
    if (folder / "images").is_dir() and any((folder / "images").glob(f"{JUDGED_PREFIX}*")):
        return "inpaint360gs"
    if (folder / "train").is_dir() and (folder / "test").is_dir():
        return "remove360"
    return None


def read_scene(folder: Path, name: str) -> PublicScene:
    """The scene in a folder.

    Raises:
        CaptureError: if it is none, or lacks photos.
        MaskError: if it has no masks of what is removed.
    """
    layout = layout_of(folder)
    readers: dict[Layout | None, Callable[[Path], Split]] = {
        "spin-nerf": _spin_nerf,
        "360-usid": _usid,
        "inpaint360gs": _inpaint360gs,
        "remove360": _remove360,
    }
    if layout is None:
        raise CaptureError(f"{folder} is no scene of a known set")
    split = readers[layout](folder)
    if not split.fitted or not split.judged:
        raise CaptureError(f"{folder} ({layout}) has {len(split.fitted)} photos to fit and {len(split.judged)} to judge")
    masks = _masks_of(split.fitted, split.mask_folders)
    if not masks:
        looked = ", ".join(each.relative_to(folder).as_posix() for each in split.mask_folders)
        raise MaskError(f"{folder} ({layout}) has no mask of what is removed: put white ones, named like photos, in {looked}")
    return PublicScene(
        name, layout, folder, split.fitted, masks, split.judged, _masks_of(split.judged, split.judged_mask_folders)
    )


@dataclass(frozen=True)
class Split:
    """What a layout says: photos to fit and to judge, and the folders where masks may be, the best first."""

    fitted: tuple[Path, ...]
    judged: tuple[Path, ...]
    mask_folders: tuple[Path, ...]
    judged_mask_folders: tuple[Path, ...]


def _spin_nerf(root: Path) -> Split:
    poses = len(np.load(root / "poses_bounds.npy"))
    folders = (root / "images_4", root / "images", *sorted(root.glob("images_*")))
    folder = next((each for each in folders if each.is_dir() and len(_photos(each)) == poses), None)
    if folder is None:
        raise CaptureError(f"{root} has no images_4 or images with as many photos as poses_bounds.npy has poses, {poses}")
    photos = _photos(folder)
    return Split(photos[SPIN_NERF_JUDGED:], photos[:SPIN_NERF_JUDGED], (folder / "label",), (folder / "test_label",))


def _usid(root: Path) -> Split:
    masks = (root / "object_masks",)
    return Split(_photos(root / "images"), _photos(root / "test_images"), masks, masks)


def _inpaint360gs(root: Path) -> Split:
    photos = _photos(root / "images")
    judged = tuple(photo for photo in photos if photo.name.startswith(JUDGED_PREFIX))
    masks = (root / "masks", root / "object_masks")
    return Split(tuple(photo for photo in photos if photo not in judged), judged, masks, masks)


def _remove360(root: Path) -> Split:
    def photos(part: str) -> tuple[Path, ...]:
        return _photos(root / part / "images") or _photos(root / part)

    folders = tuple(root / part / name for part in ("train", ".") for name in ("masks", "object_masks"))
    return Split(photos("train"), photos("test"), folders, (root / "test" / "masks", root / "test" / "object_masks"))


def write_part(scene: PublicScene, photos: Sequence[Path], masks: Mapping[Path, Path], out: Path) -> Path:
    """Makes a capture of some photos of a scene, with their masks, all of them links; gives its folder.

    Points of the COLMAP model come along, also those that only judged photos see: every method on these sets starts from them.

    Raises:
        CaptureError: if none of the photos has a pose.
    """
    shutil.rmtree(out, ignore_errors=True)
    link = _llff_part if scene.layout == "spin-nerf" else _colmap_part
    names = link(scene, photos, out)
    for photo, mask in masks.items():
        if photo in names:
            _link(out / "masks" / names[photo].with_suffix(mask.suffix), mask)
    if not names:
        raise CaptureError(f"none of the photos of {scene.name} (such as {photos[0].name}) has a pose in {scene.folder}")
    return out


def _llff_part(scene: PublicScene, photos: Sequence[Path], out: Path) -> dict[Path, Path]:
    every = sorted((*scene.fitted, *scene.judged))
    rows = np.load(scene.folder / "poses_bounds.npy")
    names = {photo: Path(photo.name) for photo in photos}
    for photo, name in names.items():
        _link(out / "images" / name, photo)
    np.save(out / "poses_bounds.npy", rows[[every.index(photo) for photo in sorted(photos)]])
    if points := next((name for name in POINT_FILES if (scene.folder / name).is_file()), None):
        _link(out / points, scene.folder / points)
    return names


def _colmap_part(scene: PublicScene, photos: Sequence[Path], out: Path) -> dict[Path, Path]:
    models = [*find_models(scene.folder), *find_models(scene.folder / "train")]
    if not models:
        raise CaptureError(f"{scene.folder} has no COLMAP model in sparse/0")
    _link(out / "sparse" / "0", models[0])
    listed: dict[str, list[Path]] = {}
    for image in read_model(models[0]).images:
        listed.setdefault(Path(image.name).stem, []).append(Path(image.name))
    names = {}
    for photo in photos:
        known = listed.get(photo.stem, [])
        if len(known) > 1:  # train/1.jpg and test/1.jpg have one stem
            known = [name for name in known if set(name.parts[:-1]) <= set(photo.parts)]
        if chosen := next(iter(known), None):
            names[photo] = chosen.with_suffix(photo.suffix)
            _link(out / "images" / names[photo], photo)
    return names


def _link(place: Path, target: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(target.resolve())


def _photos(folder: Path) -> tuple[Path, ...]:
    return tuple(sorted(pictures_in(folder, deep=False).values())) if folder.is_dir() else ()


def _masks_of(photos: Sequence[Path], folders: Sequence[Path]) -> dict[Path, Path]:
    """Masks of photos from the first folder that has any, called like the photo with or without its suffix."""
    for folder in folders:
        masks = pictures_in(folder, deep=False) if folder.is_dir() else {}
        found = {photo: masks.get(photo.stem) or masks.get(photo.name) for photo in photos}
        if known := {photo: mask for photo, mask in found.items() if mask}:
            return known
    return {}


def _scene_folders(folder: Path) -> Iterator[Path]:
    if layout_of(folder):
        yield folder
        return
    for child in sorted(folder.iterdir()) if folder.is_dir() else ():
        if child.is_dir() and not child.name.startswith("."):
            yield from _scene_folders(child)
