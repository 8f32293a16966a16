"""Assignment of mask files to photos, and the meaning of black and white."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from splatpaint.capture.posed import FILL_FOLDERS, IGNORE_FOLDER, PosedPhotos, pictures_in, same_aspect
from splatpaint.errors import MaskError
from splatpaint.image.files import read_mask

Polarity = Literal["auto", "white", "black"]


@dataclass(frozen=True)
class MaskFiles:
    """The masks found for a capture, by the name of the photo."""

    fill: dict[str, Path] = field(default_factory=dict)
    fill_is: Literal["white", "black"] = "white"
    ignore: dict[str, Path] = field(default_factory=dict)
    """White = ignore."""
    ignore_black: dict[str, Path] = field(default_factory=dict)
    """Black = ignore: `mask_path` of transforms.json."""
    folder: Path | None = None
    """Where the fill masks lie."""
    notes: tuple[str, ...] = ()

    @property
    def files(self) -> set[Path]:
        """All of them."""
        return {*self.fill.values(), *self.ignore.values(), *self.ignore_black.values()}


def find_masks(root: Path, posed: PosedPhotos, *, folder: str | None, polarity: Polarity) -> MaskFiles:
    """Finds the fill masks and ignore masks of a capture.

    Folders called masks, object_masks, label or seg are searched in the capture, in the image folder and beside it, then the
    image folder itself; the first one with a mask for some photo is used.

    The mask of `a/img.jpg` is called `a/img`, `a/img.jpg` or `a/img.mask`, with any picture suffix; the folder part may be left
    out, or begin with the name of the image folder. White = fill if masks are named by the stems of the photos, as in
    SPIn-NeRF, InFusion and diffusers. The names `img.jpg.png` and `img.mask.png` are used by tools with black = hide, so
    `polarity` is required for them.

    Args:
        root: folder of the capture.
        posed: its photos.
        folder: folder of the fill masks (a path, or a name inside the capture); None searches for it.
        polarity: color of the fill masks that is filled.

    Raises:
        MaskError: if a folder of masks has none for any photo, or the polarity has to be given.
    """
    places = list(dict.fromkeys([root, posed.image_folder, posed.image_folder.parent]))
    listed = {photo.name: photo.ignore_mask for photo in posed.photos if photo.ignore_mask}
    if folder is not None:
        chosen, others = _given_folder(root, folder), []
        fill = _match(chosen, posed)
        if not fill:
            raise MaskError(_no_match(chosen, posed))
    else:
        chosen, fill, others = _search(places, posed, taken=set(listed.values()))
    notes = []
    resolved: Literal["white", "black"] = "white"
    if chosen:
        resolved, how = _polarity(chosen, fill, posed, polarity)
        notes.append(f"{len(fill)} of {len(posed.photos)} photos have a mask in {_short(chosen, root)}; {how}")
    notes += [f"the masks in {_short(other, root)} are left aside" for other in others]
    used = set(fill.values())
    ignore_black = {name: path for name, path in listed.items() if path not in used}
    if ignore_black:
        notes.append(
            f"{len(ignore_black)} photos have a mask_path: its black is ignored, as nerfstudio has it (to fill it, give the "
            "folder of the masks and the polarity black)"
        )
    ignore_folder = next((place / IGNORE_FOLDER for place in places if (place / IGNORE_FOLDER).is_dir()), None)
    ignore = _match(ignore_folder, posed) if ignore_folder else {}
    if ignore_folder and not ignore:
        raise MaskError(_no_match(ignore_folder, posed))
    if ignore:
        notes.append(f"{len(ignore)} photos have a mask in {IGNORE_FOLDER}; white is ignored")
    return MaskFiles(fill, resolved, ignore, ignore_black, chosen, tuple(notes))


def read_mask_for(path: Path, size: tuple[int, int], *, marked: Literal["white", "black"]) -> Float[Tensor, "1 h w"]:
    """The mask (1 = marked color), resized to the photo's width and height by nearest neighbor.

    Raises:
        MaskError: if its aspect ratio differs from that of the photo.
        CaptureError: if it cannot be read.
    """
    mask = read_mask(path)
    height, width = mask.shape[1:]
    if not same_aspect((width, height), size):
        raise MaskError(
            f"the mask {path} is {width}x{height} but its photo is {size[0]}x{size[1]}: give masks of the photo's shape"
        )
    if (width, height) != size:
        mask = torch.nn.functional.interpolate(mask[None], size=(size[1], size[0]), mode="nearest-exact")[0]
    return mask if marked == "white" else 1.0 - mask


def _given_folder(root: Path, folder: str) -> Path:
    for candidate in (root / folder, Path(folder)):
        if candidate.is_dir():
            return candidate
    raise MaskError(f"the mask folder {folder} does not exist, neither in {root} nor as given")


def _search(places: list[Path], posed: PosedPhotos, *, taken: set[Path]) -> tuple[Path | None, dict[str, Path], list[Path]]:
    """The first folder with masks of photos (the image folder comes last), its masks, and the other such folders."""
    folders = [place / name for name in FILL_FOLDERS for place in places if (place / name).is_dir()]
    matches = {
        folder: fill
        for folder in (*folders, posed.image_folder)
        if (fill := _match(folder, posed)) and not taken >= set(fill.values())
    }
    if matches:
        chosen, *others = matches
        return chosen, matches[chosen], others
    stray = next((folder for folder in folders if any(path not in taken for path in pictures_in(folder).values())), None)
    if stray:
        raise MaskError(_no_match(stray, posed))
    return None, {}, []


def _match(folder: Path, posed: PosedPhotos) -> dict[str, Path]:
    """The masks in a folder by the name of their photo. In the image folder, masks have a suffix in their name."""
    photos = {photo.path.resolve() for photo in posed.photos}
    files = {name: path for name, path in pictures_in(folder).items() if path.resolve() not in photos}
    bare = ("",) if folder.resolve() != posed.image_folder.resolve() else ()
    matched = {}
    for photo in posed.photos:
        names = dict.fromkeys((photo.name, f"{posed.image_folder.name}/{photo.name}", photo.name.rsplit("/", 1)[-1]))
        keys = [name + end for name in names for end in (*bare, photo.path.suffix, ".mask")]
        found = [files[key] for key in keys if key in files]
        matched |= {photo.name: found[0]} if found else {}
    return matched


def _polarity(
    folder: Path, fill: dict[str, Path], posed: PosedPhotos, polarity: Polarity
) -> tuple[Literal["white", "black"], str]:
    if polarity != "auto":
        return polarity, f"{polarity} is filled"
    stems = {photo.name.rsplit("/", 1)[-1] for photo in posed.photos}
    foreign = next((path for path in fill.values() if path.stem not in stems), None)
    if foreign and folder.name not in ("label", "object_masks", "seg"):
        raise MaskError(
            f"masks named like {foreign.name} come with both meanings, so it is not clear what {folder} marks: "
            "say mask polarity 'white' if white is to be filled, 'black' if black is"
        )
    return "white", "white is taken as what is to be filled"


def _no_match(folder: Path, posed: PosedPhotos) -> str:
    masks = pictures_in(folder)
    if not masks:
        return f"the mask folder {folder} holds no pictures"
    return (
        f"none of the {len(masks)} masks in {folder} (such as {next(iter(masks.values())).name}) belongs to any of the "
        f"{len(posed.photos)} photos (such as {posed.photos[0].path.name}): a mask has the name of its photo, with any suffix"
    )


def _short(folder: Path, root: Path) -> str:
    return folder.relative_to(root).as_posix() if folder.is_relative_to(root) else str(folder)
