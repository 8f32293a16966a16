"""Detection of the layout of a capture folder."""

from dataclasses import replace
from pathlib import Path

from splatpaint.capture import transforms
from splatpaint.capture.colmap import find_models, read_colmap
from splatpaint.capture.llff import read_llff
from splatpaint.capture.names import shown
from splatpaint.capture.posed import PosedPhotos
from splatpaint.errors import CaptureError


def read_layout(root: Path) -> PosedPhotos:
    """The posed photos of a capture. The order of detection is transforms.json, COLMAP, poses_bounds.npy.

    Raises:
        CaptureError: if the folder is missing, empty or of an unknown layout, or its content is invalid.
    """
    posed = _read(root)
    inside = root.resolve()
    outside = [path for photo in posed.photos if not (path := photo.path.resolve()).is_relative_to(inside)]
    if not outside:
        return posed
    note = f"{len(outside)} photos are links to files outside {root} (such as {shown(str(outside[0]))})"
    return replace(posed, notes=(*posed.notes, note))


def _read(root: Path) -> PosedPhotos:
    if not root.exists():
        raise CaptureError(f"the capture folder {root} does not exist")
    if not root.is_dir():
        raise CaptureError(f"{root} is a file, expected the folder of a capture")
    if not any(root.iterdir()):
        raise CaptureError(f"the capture folder {root} is empty")
    for name in transforms.NAMES:
        if (root / name).is_file():
            return transforms.read_transforms(root / name)
    if find_models(root):
        return read_colmap(root)
    if (root / "poses_bounds.npy").is_file():
        return read_llff(root)
    found = sorted(path.name + "/" * path.is_dir() for path in root.iterdir())
    more = f" and {len(found) - 8} more" if len(found) > 8 else ""
    raise CaptureError(
        f"{root} is of no known layout: looked for {', '.join(transforms.NAMES)}, a COLMAP model (cameras, images and points3D "
        f"in sparse/0, sparse or colmap/sparse/0) and poses_bounds.npy, found "
        f"{shown(', '.join(found[:8]), cut=False)}{more}"
    )
