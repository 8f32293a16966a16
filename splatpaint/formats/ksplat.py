"""The .ksplat format of GaussianSplats3D (mkkellogg), version 0.1, in its three levels of compression; read only.

A header of 4096 bytes, a header of 1024 bytes for every section, then the sections. A section has buckets of splats: the sizes
of those that are not full, their centers, and then the splats, row by row: position (float32, or 16 bits around the center of
the bucket), standard deviations and quaternion wxyz (float32 or float16), red green blue opacity (bytes), and the harmonics
above DC, band by band and in each channel by channel (float32, float16, or bytes between two bounds).
"""

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int64

from splatpaint.errors import FormatError
from splatpaint.formats.found import Found
from splatpaint.formats.lossy import logits_of_bytes
from splatpaint.scene.splats import SH_C0, Splats, concatenate

HEADER_BYTES, SECTION_BYTES = 4096, 1024
KINDS = (("<f4", "<f4", "<f4"), ("<u2", "<f2", "<f2"), ("<u2", "<f2", "u1"))
"""Types of positions, of extents and rotations, and of harmonics, by level of compression."""
POSITION_RANGE = 32767
"""Where a section says none."""
HARMONICS_RANGE = 1.5
"""Where the header says none."""
SECTIONS_MAX = 4096
"""A header with more is none."""


@dataclass(frozen=True)
class Section:
    """The header of a section."""

    count: int
    room: int
    """Splats for which the section has room."""
    bucket_size: int
    buckets: int
    block_size: float
    """Side of a bucket in world units."""
    bucket_bytes: int
    position_range: int
    full: int
    partial: int
    degree: int

    @classmethod
    def read(cls, data: bytes, start: int) -> "Section":
        """From the bytes there."""
        count, room, bucket_size, buckets, block_size, bucket_bytes = struct.unpack_from("<IIIIfH", data, start)
        (position_range,) = struct.unpack_from("<I", data, start + 24)
        full, partial, degree = struct.unpack_from("<IIH", data, start + 32)
        position_range = position_range or POSITION_RANGE
        return cls(count, room, bucket_size, buckets, block_size, bucket_bytes, position_range, full, partial, degree)

    @property
    def before_splats(self) -> int:
        """Bytes of the buckets."""
        return 4 * self.partial + self.bucket_bytes * self.buckets

    def row(self, level: int) -> np.dtype:
        """A splat."""
        position, shape, harmonic = KINDS[level]
        harmonics = 3 * ((self.degree + 1) ** 2 - 1)
        geometry = [("mean", position, 3), ("scale", shape, 3), ("quat", shape, 4)]
        return np.dtype([*geometry, ("rgba", "u1", 4), ("rest", harmonic, (harmonics,))])


def read_ksplat(path: Path) -> Found:
    """The splats of a .ksplat file, in file order.

    Raises:
        FormatError: if the file is damaged, or of another version.
        OSError: if it cannot be read.
    """
    data = path.read_bytes()
    if len(data) < HEADER_BYTES or data[0] != 0 or data[1] < 1:
        raise FormatError(f"{path} is no .ksplat file of version 0.1, or cut off")
    sections_room, sections, _, count = struct.unpack_from("<IIII", data, 4)
    (level,) = struct.unpack_from("<H", data, 20)
    low, high = struct.unpack_from("<ff", data, 36)
    bounds = (low or -HARMONICS_RANGE, high or HARMONICS_RANGE)
    start = HEADER_BYTES + sections_room * SECTION_BYTES
    if level >= len(KINDS) or sections > sections_room or sections_room > SECTIONS_MAX or start > len(data):
        raise FormatError(f"{path} is damaged: its header says level {level} and {sections} of {sections_room} sections")
    parts = []
    for index in range(sections_room):
        section = Section.read(data, HEADER_BYTES + index * SECTION_BYTES)
        if section.degree > 3:
            raise FormatError(f"{path} is damaged: section {index} has harmonics of degree {section.degree}")
        end = start + section.before_splats + section.room * section.row(level).itemsize
        if end > len(data) or section.count > section.room:
            raise FormatError(f"{path} is cut off or damaged: section {index} has {section.count} splats beyond its end")
        if section.count:
            parts.append(_read_section(path, data, start, section, level, bounds))
        start = end
    total = sum(len(part) for part in parts)
    if total != count or not parts:
        raise FormatError(f"{path} is damaged: its header says {count} splats, its sections hold {total}")
    return Found(concatenate(parts))


def _read_section(path: Path, data: bytes, start: int, section: Section, level: int, bounds: tuple[float, float]) -> Splats:
    rows = np.frombuffer(data, section.row(level), section.count, start + section.before_splats)
    means = rows["mean"].astype(np.float32)
    if level > 0:
        centers = np.frombuffer(data, "<f4", 3 * section.buckets, start + 4 * section.partial).reshape(-1, 3)
        step = section.block_size / 2 / section.position_range
        around = (rows["mean"].astype(np.float64) - section.position_range) * step
        means = (around + centers[_buckets(path, data, start, section)]).astype(np.float32)
    rest = rows["rest"].astype(np.float32)
    if level == 2:
        rest = bounds[0] + rest / 255 * (bounds[1] - bounds[0])
    base = ((torch.from_numpy(rows["rgba"][:, None, :3].astype(np.float32)) / 255) - 0.5) / SH_C0
    return Splats(
        means=torch.from_numpy(means),
        quats=torch.from_numpy(rows["quat"].astype(np.float32)),
        log_scales=torch.from_numpy(rows["scale"].astype(np.float32)).log(),
        logit_opacities=logits_of_bytes(rows["rgba"][:, 3]),
        sh=torch.cat([base, *_bands(torch.from_numpy(rest.astype(np.float32)), section.degree)], dim=1),
    )


def _buckets(path: Path, data: bytes, start: int, section: Section) -> Int64[np.ndarray, " n"]:
    """The bucket of every splat: first the full ones, then the others by their sizes."""
    sizes = np.frombuffer(data, "<u4", section.partial, start).astype(np.int64)
    held = section.full * section.bucket_size + int(sizes.sum())
    if held < section.count or section.full + section.partial > section.buckets or held > section.room + section.bucket_size:
        raise FormatError(f"{path} is damaged: the buckets of a section hold {held} splats of {section.count}")
    sizes = np.concatenate([np.full(section.full, section.bucket_size, dtype=np.int64), sizes])
    return np.repeat(np.arange(len(sizes)), sizes)[: section.count]


def _bands(rest: Float[torch.Tensor, "n m"], degree: int) -> list[Float[torch.Tensor, "n k 3"]]:
    """The harmonics of each band, terms before channels."""
    bands = rest.split([3 * (2 * band + 1) for band in range(1, degree + 1)], dim=1) if degree else []
    return [band.reshape(len(rest), 3, band.shape[1] // 3).transpose(1, 2) for band in bands]
