"""A writer of .ksplat files, for tests of the reader."""

import struct

import numpy as np
import torch

from splatpaint.scene.splats import SH_C0, Splats

BUCKET, BLOCK, RANGE = 8, 16.0, 32767
"""Splats of a bucket, its side in world units, and half the whole numbers that positions have."""
BOUNDS = (-1.0, 1.0)


def ksplat(splats: Splats, level: int, *, partial: bool = True) -> bytes:
    """The file, in sections of 20 splats; buckets are not full where `partial` is set. Centers of buckets are their means."""
    sections = [splats[start : start + 20] for start in range(0, len(splats), 20)]
    header = bytearray(4096)
    struct.pack_into("<BBxxIIIIH", header, 0, 0, 1, len(sections), len(sections), len(splats), len(splats), level)
    struct.pack_into("<ff", header, 36, *BOUNDS)
    parts = [_section(section, level, partial=partial) for section in sections]
    return bytes(header) + b"".join(head for head, _ in parts) + b"".join(body for _, body in parts)


def _section(splats: Splats, level: int, *, partial: bool) -> tuple[bytes, bytes]:
    n, degree = len(splats), splats.sh_degree
    sizes = [5] * (n // 5) + [n % 5] * (n % 5 > 0) if partial else []
    full = 0 if partial else -(-n // BUCKET)
    buckets = np.repeat(np.arange(len(sizes)), sizes) if partial else np.arange(n) // BUCKET
    means = splats.means.numpy()
    centers = np.stack([means[buckets == bucket].mean(axis=0) for bucket in range(buckets.max() + 1)]).astype("<f4")
    bands = [splats.sh[:, band**2 : (band + 1) ** 2].transpose(1, 2).flatten(1) for band in range(1, degree + 1)]
    rest = torch.cat(bands, dim=1).numpy() if bands else np.zeros((n, 0), dtype="f4")
    rgba = torch.cat([0.5 + SH_C0 * splats.sh[:, 0], splats.opacities[:, None]], dim=1).mul(255).round().clamp(0, 255)
    quats = torch.nn.functional.normalize(splats.quats, dim=1).numpy()
    if level == 0:
        columns = [means.astype("<f4"), splats.scales.numpy().astype("<f4"), quats.astype("<f4")]
        harmonics = rest.astype("<f4")
    else:
        steps = np.rint((means - centers[buckets]) * (2 * RANGE / BLOCK)) + RANGE
        columns = [steps.clip(0, 2 * RANGE).astype("<u2"), splats.scales.numpy().astype("<f2"), quats.astype("<f2")]
        share = (rest - BOUNDS[0]) / (BOUNDS[1] - BOUNDS[0])
        harmonics = rest.astype("<f2") if level == 1 else np.rint(255 * share).clip(0, 255).astype("u1")
    columns += [rgba.to(torch.uint8).numpy(), harmonics]
    rows = np.concatenate([np.ascontiguousarray(column).view("u1").reshape(n, -1) for column in columns], axis=1)
    head = bytearray(1024)
    struct.pack_into("<IIIIfH", head, 0, n, n, BUCKET, len(centers), BLOCK, 12)
    struct.pack_into("<I", head, 24, RANGE)
    struct.pack_into("<IIH", head, 32, full, len(sizes), degree)
    return bytes(head), np.array(sizes, dtype="<u4").tobytes() + centers.tobytes() + rows.tobytes()
