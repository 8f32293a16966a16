"""The pictures in a folder, and which of its folders hold masks."""

import os
from collections.abc import Iterator
from pathlib import Path

from splatpaint.image.files import IMAGE_SUFFIXES

FILL_FOLDERS = ("masks", "mask", "object_masks", "object_mask", "label", "labels", "seg", "segmentation", "segmentations")
"""Names of folders with fill masks, in the order of search; case does not count, and a number may follow, as in masks_2."""
IGNORE_FOLDERS = ("ignore_masks", "ignore_mask")
"""Names of folders with ignore masks, likewise: white = ignore."""
MADE_HERE = "capture.json"
"""A file of run folders and of prepared captures, whose pictures are none of the capture's."""


def pictures_in(folder: Path, *, deep: bool = True) -> dict[str, Path]:
    """The pictures in a folder by relative name without suffix (`/` kept), except hidden files and folders of masks."""
    return {path.relative_to(folder).with_suffix("").as_posix(): path for path in picture_files(folder, deep=deep)}


def picture_files(folder: Path, *, deep: bool = True, masks: bool = False) -> list[Path]:
    """The pictures in a folder and, if deep, in its subfolders; see `files_in`."""
    return files_in(folder, IMAGE_SUFFIXES, deep=deep, masks=masks)


def files_in(folder: Path, suffixes: tuple[str, ...], *, deep: bool = True, masks: bool = False) -> list[Path]:
    """The files with one of the suffixes (in any case), sorted; hidden ones and those of runs do not count.

    Args:
        folder: where to look. Links to other folders are followed.
        suffixes: in lower case.
        deep: whether subfolders count.
        masks: whether folders of masks count.
    """
    found = _walk(folder, deep=deep, masks=masks, seen=set())
    return sorted(path for path in found if path.suffix.lower() in suffixes)


def is_mask_folder(name: str) -> bool:
    """Whether a folder of this name holds masks."""
    return mask_kind(name) in (*FILL_FOLDERS, *IGNORE_FOLDERS)


def mask_kind(name: str) -> str:
    """The name as in the lists above: "masks" for Masks and for masks_2."""
    kind, _, number = name.lower().rpartition("_")
    return kind if number.isdigit() else name.lower()


def _walk(folder: Path, *, deep: bool, masks: bool, seen: set[str]) -> Iterator[Path]:
    real = os.path.realpath(folder)
    if real in seen:  # links may form a loop
        return
    seen.add(real)
    if (folder / MADE_HERE).is_file():
        return
    for path in folder.iterdir():
        if path.name.startswith("."):
            continue
        if path.is_file():
            yield path
        elif deep and path.is_dir() and (masks or not is_mask_folder(path.name)):
            yield from _walk(path, deep=deep, masks=masks, seen=seen)
