"""Files named by views: what the name of a photo becomes in a folder that we write.

Names come from captures that others made, and a capture may name a photo by an absolute path, or by one that climbs out of its
folder. Whatever the name is, the file lies in the folder.
"""

import hashlib
import os
from pathlib import Path
from urllib.parse import quote

from splatpaint.errors import RunError

LONGEST_BYTES = 255
"""Of one part of a path, on the usual file systems."""
SHOWN_CHARACTERS = 100
"""Of a name that is spelled anew; the end of a path says more than its beginning."""


def view_file(folder: Path, name: str, suffix: str = ".png") -> Path:
    """`folder/NAME.png`, subfolders kept.

    A name that would leave the folder, or that no file can have, is spelled anew as one part: its end with everything but
    letters, digits and `_.-~` in percent, and a digest of the whole, so that two names do not meet.

    Args:
        folder: where all files of this kind lie.
        name: of the view.
        suffix: of the file.

    Raises:
        RunError: if the folder holds a link by which the file would lie elsewhere.
    """
    file = folder / f"{name}{suffix}" if _is_plain(name, suffix) else folder / f"{_spelled_anew(name)}{suffix}"
    if not Path(os.path.realpath(file.parent)).is_relative_to(os.path.realpath(folder)):
        raise RunError(f"{file.parent} leads out of {folder} by a link: remove the link, nothing is written outside")
    return file


def _is_plain(name: str, suffix: str) -> bool:
    *folders, last = name.split("/")
    return (
        "\0" not in name
        and not {"", ".", ".."} & {*folders, last}
        and all(len(os.fsencode(part)) <= LONGEST_BYTES for part in (*folders, last + suffix))
    )


def _spelled_anew(name: str) -> str:
    whole = name.encode(errors="surrogateescape")
    digest = hashlib.blake2b(whole, digest_size=8).hexdigest()
    return f"{quote(whole, safe='')[-SHOWN_CHARACTERS:]}-{digest}"
