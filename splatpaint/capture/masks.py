"""Assignment of mask files to photos."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from splatpaint.capture.listing import FILL_FOLDERS, IGNORE_FOLDERS, is_mask_folder, mask_kind, picture_files
from splatpaint.capture.mask_set import MaskValue
from splatpaint.capture.names import find, shown
from splatpaint.capture.posed import PosedPhotos
from splatpaint.errors import MaskError
from splatpaint.image.files import IMAGE_SUFFIXES

ENDINGS = (*IMAGE_SUFFIXES, ".mask", "_mask", "-mask")
"""What may stand between the name of a photo and the suffix of its mask."""
LIKE_MASKS = ("mask", "segment", "label")
"""Parts of the names of folders that may hold masks, but are not searched."""


@dataclass(frozen=True)
class MaskFiles:
    """The masks found for a capture, by the name of the photo."""

    fill: dict[str, Path] = field(default_factory=dict)
    ignore: dict[str, Path] = field(default_factory=dict)
    """White = ignore."""
    ignore_black: dict[str, Path] = field(default_factory=dict)
    """Black = ignore: `mask_path` of transforms.json."""
    folder: Path | None = None
    """Where the fill masks lie."""
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def files(self) -> set[Path]:
        """All of them."""
        return {*self.fill.values(), *self.ignore.values(), *self.ignore_black.values()}


def find_masks(root: Path, posed: PosedPhotos, *, folder: str | None, value: MaskValue) -> MaskFiles:
    """Finds the fill masks and ignore masks of a capture.

    Folders called masks, object_masks, label, seg or the like are searched in the capture, in the image folder and beside it,
    then the image folder itself; the first one with a mask for some photo is used. A file that is some photo's `mask_path` is
    no fill mask, unless its folder was asked for.

    The mask of `a/img.jpg` is called `a/img`, `a/img.jpg`, `a/img.mask` or `a/img_mask`, with any picture suffix; folders in
    front may be left out where that leaves no doubt (see names.py). White = fill if masks are named by the stems of the photos,
    as in SPIn-NeRF, InFusion and diffusers. The names `img.jpg.png` and `img.mask.png` are used by tools with black = hide, so
    `value` is required for them.

    Args:
        root: folder of the capture.
        posed: its photos.
        folder: folder of the fill masks (a path, or a name inside the capture); None searches for it.
        value: what of the fill masks is filled.

    Raises:
        MaskError: if a folder of masks has none for any photo, two photos share a mask, a photo has two, or the value has to be
            given.
    """
    places = [place for place in (root, posed.image_folder, posed.image_folder.parent) if place.is_relative_to(root)]
    listed = {photo.name: photo.ignore_mask for photo in posed.photos if photo.ignore_mask}
    chosen, others, extra = _given_folder(root, folder) if folder is not None else None, [], []
    if chosen:
        fill, extra = _match(chosen, posed, taken=set())
        if not fill:
            raise MaskError(_no_match(chosen, extra, posed))
    else:
        chosen, fill, extra, others = _search(places, posed, taken=set(listed.values()))
    notes, warnings = [], []
    if chosen:
        if value == "auto":
            _refuse_foreign_names(chosen, fill)
        notes.append(f"{len(fill)} of {len(posed.photos)} photos have a mask in {_short(chosen, root)}")
        if extra:
            example = shown(extra[0].name)
            notes.append(f"{len(extra)} of the pictures in {_short(chosen, root)} belong to no photo (such as {example})")
    notes += [f"the masks in {_short(other, root)} are left aside" for other in others]
    used = set(fill.values())
    ignore_black = {name: path for name, path in listed.items() if path not in used}
    if ignore_black:
        notes.append(
            f"{len(ignore_black)} photos have a mask_path: its black is ignored, as nerfstudio has it (to fill it, give the "
            "folder of the masks and the polarity black)"
        )
    ignore_folder = next(_mask_folders(places, IGNORE_FOLDERS), None)
    ignore, strange = _match(ignore_folder, posed, taken=set()) if ignore_folder else ({}, [])
    if ignore_folder and not ignore:
        raise MaskError(_no_match(ignore_folder, strange, posed))
    if ignore_folder:
        notes.append(f"{len(ignore)} photos have a mask in {_short(ignore_folder, root)}; white is ignored")
    if not fill and (unused := _like_masks(places)):
        named = ", ".join(_short(path, root) for path in unused)
        warnings.append(f"{named} may hold masks but is not searched for them: if so, give --masks {_short(unused[0], root)}")
    return MaskFiles(fill, ignore, ignore_black, chosen, tuple(notes), tuple(warnings))


def _given_folder(root: Path, folder: str) -> Path:
    for candidate in (root / folder, Path(folder)):
        if candidate.is_dir():
            return candidate
    raise MaskError(f"the mask folder {folder} does not exist, neither in {root} nor as given")


def _search(
    places: list[Path], posed: PosedPhotos, *, taken: set[Path]
) -> tuple[Path | None, dict[str, Path], list[Path], list[Path]]:
    """The first folder with masks of photos (the image folder comes last), its masks, its other pictures, and the other such
    folders."""
    folders = list(_mask_folders(places, FILL_FOLDERS))
    matches = {folder: _match(folder, posed, taken=taken) for folder in (*folders, posed.image_folder)}
    matching = [folder for folder, (fill, _) in matches.items() if fill]
    if matching:
        return matching[0], *matches[matching[0]], matching[1:]
    for folder in folders:
        _, extra = matches[folder]
        if extra and not any(path.is_relative_to(folder) for path in taken):
            raise MaskError(_no_match(folder, extra, posed))
    return None, {}, [], []


def _mask_folders(places: list[Path], kinds: tuple[str, ...]) -> Iterator[Path]:
    """The folders of masks in some places, in the order of the kinds; masks comes before masks_2."""
    inside = dict.fromkeys(path for place in places for path in sorted(place.iterdir()) if path.is_dir())
    for kind in kinds:
        yield from sorted((path for path in inside if mask_kind(path.name) == kind), key=lambda path: path.name.lower() != kind)


def _like_masks(places: list[Path]) -> list[Path]:
    inside = dict.fromkeys(path for place in places for path in sorted(place.iterdir()) if path.is_dir())
    return [
        path
        for path in inside
        if not is_mask_folder(path.name) and any(part in path.name.lower() for part in LIKE_MASKS) and picture_files(path)
    ]


def _match(folder: Path, posed: PosedPhotos, *, taken: set[Path]) -> tuple[dict[str, Path], list[Path]]:
    """The masks in a folder by the name of their photo, and its other pictures. In the image folder, masks have a suffix in
    their name.

    Raises:
        MaskError: if several files may be the mask of a photo, or a file the mask of several photos.
    """
    photos = {photo.path.resolve() for photo in posed.photos}
    files = [path for path in picture_files(folder) if path not in taken and path.resolve() not in photos]
    among_photos = folder.resolve() == posed.image_folder.resolve()
    endings = ENDINGS if among_photos else ("", *ENDINGS)
    by_file = {photo.name + photo.path.suffix: photo.name for photo in posed.photos}
    named = find(by_file, folder, partial(list, files), endings=endings, exactly=False)
    if named.unclear:
        name, reason = next(iter(named.unclear.items()))
        raise MaskError(
            f"in {folder}, the mask of the photo {shown(name)} {reason}: give each photo one mask, in folders like those of "
            "the photos"
        )
    if among_photos:
        extra = []
    else:
        unposed = find(posed.pictures - set(by_file.values()), folder, partial(list, files), endings=endings, exactly=False)
        extra = [path for path in files if path not in {*named.files.values(), *unposed.files.values()}]
    return {by_file[name]: path for name, path in named.files.items()}, extra


def _refuse_foreign_names(folder: Path, fill: dict[str, Path]) -> None:
    foreign = next((path for path in fill.values() if path.stem.lower().endswith((*IMAGE_SUFFIXES, ".mask"))), None)
    if foreign and mask_kind(folder.name) not in ("label", "object_masks", "seg"):
        raise MaskError(
            f"masks named like {foreign.name} come with both meanings, so it is not clear what {folder} marks: "
            "say mask polarity 'white' if white is to be filled, 'black' if black is"
        )


def _no_match(folder: Path, extra: list[Path], posed: PosedPhotos) -> str:
    if not extra:
        return f"the mask folder {folder} holds no pictures"
    return (
        f"no mask in {folder} (such as {shown(extra[0].name)}) belongs to any of the {len(posed.photos)} photos with a pose "
        f"(such as {shown(posed.photos[0].path.name)}): a mask has the name of its photo, with any suffix"
    )


def _short(folder: Path, root: Path) -> str:
    return folder.relative_to(root).as_posix() if folder.is_relative_to(root) else str(folder)
