"""The lossy .splat format of web viewers, with 32 bytes per splat.

A row is the mean (3 float32), the standard deviations (3 float32), red green blue opacity (4 bytes, 255 = 1) and the quaternion
wxyz (4 bytes, `128 + 128 q`). There is no view-dependent color, and nothing by which to recognize the format.
"""

from pathlib import Path

import numpy as np
import torch

from splatpaint.atomic import write_bytes
from splatpaint.errors import FormatError
from splatpaint.formats.found import Found
from splatpaint.formats.lossy import logits_of_bytes, plain_rgb
from splatpaint.scene.splats import SH_C0, Splats

ROW = np.dtype([("mean", "<f4", 3), ("scale", "<f4", 3), ("rgba", "u1", 4), ("quat", "u1", 4)])
STRANGE_SHARE = 0.5
"""Of rows that cannot be splats; with more, the file is another thing under this name."""


def write_splat(path: Path, splats: Splats) -> None:
    """Writes rgb splats without the harmonics above DC; the file is replaced atomically.

    Raises:
        FormatError: if the splats are not rgb.
        OSError: if the file cannot be written.
    """
    splats = plain_rgb(path, splats)
    rgba = torch.cat([0.5 + SH_C0 * splats.sh[:, 0], splats.opacities[:, None]], dim=1)
    quats = torch.nn.functional.normalize(splats.quats, dim=1)
    rows = np.zeros(len(splats), dtype=ROW)
    rows["mean"] = splats.means.numpy()
    rows["scale"] = splats.scales.numpy()
    rows["rgba"] = (255 * rgba).round().clamp(0, 255).to(torch.uint8).numpy()
    rows["quat"] = (128 + 128 * quats).round().clamp(0, 255).to(torch.uint8).numpy()
    write_bytes(path, rows.tobytes())


def read_splat(path: Path) -> Found:
    """The splats of a .splat file, of degree 0; opacities are clamped by half a quantization step to keep logits finite.

    Rows of zeros have a rotation of zero, as in other formats.

    Raises:
        FormatError: if the file is no whole number of rows, or most of them can be no splats.
        OSError: if it cannot be read.
    """
    data = path.read_bytes()
    if len(data) % ROW.itemsize:
        raise FormatError(f"{path} is no .splat file: it has {len(data)} bytes, expected a multiple of {ROW.itemsize}")
    rows = np.frombuffer(data, dtype=ROW)
    strange = ~np.isfinite(rows["mean"]).all(axis=1) | ~(rows["scale"] >= 0).all(axis=1) | np.isinf(rows["scale"]).any(axis=1)
    if strange.sum() > STRANGE_SHARE * len(rows):
        raise FormatError(
            f"{path} is no .splat file: {strange.sum()} of its {len(rows)} rows have positions that are not finite or extents"
            " below zero"
        )
    rgb = torch.from_numpy(rows["rgba"][:, :3].astype(np.float32)) / 255
    quats = (torch.from_numpy(rows["quat"].astype(np.float32)) - 128) / 128
    zeros = ~np.frombuffer(data, dtype=np.uint8).reshape(-1, ROW.itemsize).any(axis=1)
    return Found(
        Splats(
            means=torch.from_numpy(rows["mean"].astype(np.float32)),
            quats=quats.masked_fill(torch.from_numpy(zeros)[:, None], 0.0),
            log_scales=torch.from_numpy(rows["scale"].astype(np.float32)).log(),
            logit_opacities=logits_of_bytes(rows["rgba"][:, 3]),
            sh=((rgb - 0.5) / SH_C0)[:, None],
        )
    )
