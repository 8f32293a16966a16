"""Detection of the layout of a capture folder."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from splatpaint.capture import transforms
from splatpaint.capture.colmap import find_models, read_colmap
from splatpaint.capture.listing import files_in, picture_files
from splatpaint.capture.llff import read_llff
from splatpaint.capture.names import UNREAD_SUFFIXES, shown
from splatpaint.capture.posed import PosedPhotos
from splatpaint.errors import CaptureError
from splatpaint.image.files import orientation


def read_layout(root: Path) -> PosedPhotos:
    """The posed photos of a capture. The order of detection is transforms.json, COLMAP, poses_bounds.npy.

    Raises:
        CaptureError: if the folder is missing, empty or of an unknown layout, or its content is invalid.
    """
    if not root.exists():
        raise CaptureError(f"the capture folder {root} does not exist")
    if not root.is_dir():
        raise CaptureError(f"{root} is a file, expected the folder of a capture")
    if not any(root.iterdir()):
        raise CaptureError(f"the capture folder {root} is empty")
    try:
        posed = _read(root)
    except CaptureError:
        unread = files_in(root, UNREAD_SUFFIXES)
        if not unread or picture_files(root):
            raise
        raise CaptureError(
            f"the {len(unread)} pictures of {root} (such as {shown(unread[0].name)}) are of a format that is not read: convert "
            "them to JPEG or PNG and keep their names"
        ) from None
    return replace(posed, notes=(*posed.notes, *_notes(posed)))


def _notes(posed: PosedPhotos) -> Iterator[str]:
    """What is said of the photos of any layout."""
    if posed.listed > len(posed.photos) and (unread := files_in(posed.image_folder, UNREAD_SUFFIXES)):
        yield f"{len(unread)} pictures are of a format that is not read (such as {shown(unread[0].name)}): convert them to JPEG"
    if turned := sum(photo.upright for photo in posed.photos):
        yield f"{turned} photos are turned as their EXIF orientation says, as only then they have the shape of their camera"
    tagged = [stored for photo in posed.photos if not photo.upright and (stored := orientation(photo.path)) != 1]
    if tagged:
        yield (
            f"{len(tagged)} photos have an EXIF orientation ({tagged[0]}) but are used as they are stored, as their camera has "
            "that shape"
        )


def _read(root: Path) -> PosedPhotos:
    for name in transforms.NAMES:
        if (root / name).is_file():
            return transforms.read_transforms(root / name)
    has_bounds = (root / "poses_bounds.npy").is_file()
    if find_models(root):
        try:
            return read_colmap(root)
        except CaptureError as error:
            if not has_bounds:
                raise
            posed = read_llff(root)
            return replace(posed, notes=(*posed.notes, f"{error}; the poses are those of poses_bounds.npy"))
    if has_bounds:
        return read_llff(root)
    found = sorted(path.name + "/" * path.is_dir() for path in root.iterdir())
    more = f" and {len(found) - 8} more" if len(found) > 8 else ""
    raise CaptureError(
        f"{root} is of no known layout: looked for {', '.join(transforms.NAMES)}, a COLMAP model (cameras, images and points3D "
        f"in sparse/0, sparse or colmap/sparse/0) and poses_bounds.npy, found "
        f"{shown(', '.join(found[:8]), cut=False)}{more}"
    )
