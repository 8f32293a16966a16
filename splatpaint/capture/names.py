"""Which file is meant by a name in a model, in a JSON file, or of a mask.

There is one rule for all of them. A name means the file that is written so below the folder. If there is none, it means the
one file that is called so but for the spelling: backslashes, another case, composed or decomposed accents, another picture
suffix or none, folders in front that the file does not have, or folders that only the file has. A name that several files fit,
and a file that several names fit, mean nothing; nor does a file that lies elsewhere than the other names say. What is found
lies below the folder in any case; a name that leads elsewhere (absolute, or with `..`) is looked for by its last parts.
"""

import os
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path, PurePosixPath, PureWindowsPath

from splatpaint.image.files import IMAGE_SUFFIXES

UNREAD_SUFFIXES = (".heic", ".heif", ".avif", ".jxl", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".gif", ".exr")
"""Suffixes of pictures that are not read; a photo may have been converted since it got its name."""
SHOWN = 80
"""Characters of a name that are shown in a message."""

Parts = tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Named:
    """The files that names mean."""

    files: dict[str, Path]
    """By name, as given; without those that mean no file."""
    loosely: dict[str, Path]
    """Those of them whose file is called otherwise."""
    unclear: dict[str, str]
    """Why a name that some file fits means none, as in "fits both a.png and b.png"."""

    def said(self, listed: str, folder: Path) -> list[str]:
        """A sentence on the names whose files are called otherwise, if there are any.

        Args:
            listed: what holds the names.
            folder: the capture's.
        """
        if not self.loosely:
            return []
        name, path = next(iter(self.loosely.items()))
        others = f", and {len(self.loosely) - 1} more likewise" if len(self.loosely) > 1 else ""
        return [f"{shown(name)} in {listed} is taken to mean {shown(path.relative_to(folder).as_posix())}{others}"]

    def why_missing(self, name: str) -> str:
        """What a message says of a name without a file, as in "a.png, which does not exist"."""
        if name in self.unclear:
            return f"{shown(name)}, which {self.unclear[name]}"
        outside = " in the folder of the capture, and nothing outside it is read" if leads_out(name) else ""
        return f"{shown(name)}, which does not exist{outside}"


def find(
    names: Iterable[str],
    folder: Path,
    candidates: Callable[[], Iterable[Path]],
    *,
    endings: Sequence[str] = ("",),
    exactly: bool = True,
) -> Named:
    """The files below a folder that names mean.

    Args:
        names: paths as they are written, of pictures that lie or lay in one folder and its subfolders.
        folder: what the names are relative to.
        candidates: lists the files that may be meant; called only if some name is not exactly that of a file.
        endings: what may stand between the name of a file (without suffix) and its suffix, best first: with "_mask",
            `left/a.jpg` can mean `left/a_mask.png`.
        exactly: whether a file of exactly the name is meant in any case, be it among the candidates or not; and whether all
            files have to lie where most do, seen from their names.
    """
    names = list(dict.fromkeys(names))
    exact = {name: folder / name for name in names if exactly and not leads_out(name) and os.path.isfile(folder / name)}
    if exactly and len(exact) == len(names):
        return Named(exact, {}, {})
    by_base: dict[str, list[_Spelled]] = defaultdict(list)
    for path in candidates():
        spelled = _Spelled.of(path.relative_to(folder).as_posix(), path)
        by_base[spelled.key[-1]].append(spelled)
    given = {name: _Spelled.of(name) for name in names}
    levels = zip(*(spelled.key[:-1] for spelled in given.values()), strict=False)
    shared = len(list(takewhile(lambda level: len(set(level)) == 1, levels)))

    files, unclear = dict(exact), {}
    claims: dict[Path, list[str]] = defaultdict(list)
    for name, path in exact.items():
        claims[path].append(name)
    for name in names:
        if name in exact or not given[name].key[-1]:
            continue
        best = _best(given[name], by_base, endings, optional=shared if leads_out(name) else 0)
        if len(best) == 1:
            files[name] = best[0].path
            claims[best[0].path].append(name)
        elif best:
            unclear[name] = f"fits both {shown(best[0].text)} and {shown(best[1].text)}"
    for path, claiming in claims.items():
        for name in claiming if len(claiming) > 1 else ():
            if name not in exact:
                del files[name]
                other = next(each for each in claiming if each != name)
                unclear[name] = f"fits {shown(path.name)} no better than {shown(other)} does"
    if exactly:
        found = {name: _Spelled.of(path.relative_to(folder).as_posix()) for name, path in files.items()}
        moves = {name: _moved(given[name].key, spelled.key) for name, spelled in found.items()}
        usual = next(iter(Counter(moves.values()).most_common(1)), (None, 0))[0]
        for name in [name for name, move in moves.items() if move != usual and name not in exact]:
            del files[name]
            unclear[name] = f"might be {shown(found[name].text)}, but that lies elsewhere than the others"
    loosely = {name: path for name, path in files.items() if not _as_written(name, path, folder, endings)}
    return Named(files, loosely, unclear)


def leads_out(name: str) -> bool:
    """Whether a name is absolute or climbs, on any system, so that it might lead out of a folder (or is none at all)."""
    windows = PureWindowsPath(name)
    climbs = ".." in name.replace("\\", "/").split("/")
    return not name or climbs or bool(windows.drive or windows.root) or PurePosixPath(name).is_absolute()


def shown(name: str, *, cut: bool = True) -> str:
    """The name as it can be printed anywhere: with escapes for what is no text and, if asked for, not too long."""
    text = name.encode("utf-8", "backslashreplace").decode()
    return f"{text[:SHOWN]}..." if cut and len(text) > SHOWN else text


@dataclass(frozen=True)
class _Spelled:
    """A path as it is written, and without the ways in which spellings may differ."""

    text: str
    parts: Parts
    """Folders and name; composed accents."""
    key: Parts
    """The same in lower case, the name without the suffix of a picture."""
    path: Path = Path()

    @classmethod
    def of(cls, text: str, path: Path = Path()) -> "_Spelled":
        parts: list[str] = []
        for part in unicodedata.normalize("NFC", text).replace("\\", "/").split("/"):
            if part == "..":
                del parts[-1:]
            elif part not in ("", "."):
                parts.append(part)
        folded = [unicodedata.normalize("NFC", part.casefold()) for part in parts or [""]]
        return cls(text, tuple(parts), (*folded[:-1], _without_suffix(folded[-1])), path)


def _best(name: _Spelled, by_base: dict[str, list[_Spelled]], endings: Sequence[str], *, optional: int) -> list[_Spelled]:
    """The files that fit a name best. Of the two paths one ends with the other, but for the first `optional` folders of the
    name; and one fits better the more of its last parts are those of the name, and the more alike it is written."""
    fits: dict[tuple[int | bool, ...], list[_Spelled]] = defaultdict(list)
    for rank, ending in enumerate(endings):
        for file in by_base.get(name.key[-1] + ending.lower(), ()):
            alike = len(name.key) - len(_moved(name.key, file.key)[0])
            if alike >= len(name.key) - optional or alike == len(file.key):
                same = name.parts[-1:] == file.parts[-1:]
                but_for_case = name.parts[-1].casefold() == file.parts[-1].casefold()
                fits[alike, -rank, but_for_case, same].append(file)
    return fits[max(fits)] if fits else []


def _moved(name: Parts, file: Parts) -> tuple[Parts, Parts]:
    """The folders of a name and of a file that are not common to both."""
    pairs = zip(reversed(name[:-1]), reversed(file[:-1]), strict=False)
    alike = 1 + len(list(takewhile(lambda pair: pair[0] == pair[1], pairs)))
    return name[:-alike], file[:-alike]


def _as_written(name: str, path: Path, folder: Path, endings: Sequence[str]) -> bool:
    inside = path.relative_to(folder)
    without = inside.with_suffix("").as_posix()
    written = PurePosixPath(name).as_posix()  # without ./
    return written == inside.as_posix() or any(written + ending == without for ending in endings)


def _without_suffix(name: str) -> str:
    stem, dot, suffix = name.rpartition(".")
    return stem if stem and dot + suffix in (*IMAGE_SUFFIXES, *UNREAD_SUFFIXES) else name
