"""What can be asked of splat files beyond their format."""

from dataclasses import dataclass
from typing import Literal

from splatpaint.formats.offset import NO_OFFSET, Offset


@dataclass(frozen=True)
class FormatOptions:
    """Each concerns the formats that it names, and no others."""

    compact: bool = False
    """.ply: without the harmonics above the degree of the splats. By default there are all 45, zeros above the degree."""
    spz_version: Literal[2, 3, 4] = 3
    """.spz: 2 and 3 are read by nearly everything, 2 with rotations of 8 bits a component; 4 is smaller."""
    spz_frame: Literal["ply", "rub"] = "ply"
    """.spz: axes of the file, for reading and writing. ply: as in a .ply of the same scene, as PlayCanvas' tools have it; rub:
    turned half around x, as Niantic's tools have it (x right, y up, z back)."""
    offset: Offset = NO_OFFSET
    """What is to be added to the coordinates: a file beside the splats says it, .ply and .safetensors themselves, too."""
    antialiased: bool = False
    """.ply, .compressed.ply, .spz, .sog: whether the file says that its splats are to be rendered antialiased."""
