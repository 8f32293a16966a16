"""The .ply layout of 3D Gaussian Splatting, which viewers read.

One `vertex` element of float32 properties, binary little endian. f_rest has the harmonics above DC, channel by channel (red
first). Normals are zero; readers expect them.
"""

from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from plyfile import PlyData, PlyElement, PlyElementParseError, PlyHeaderParseError

from splatpaint.atomic import write_bytes
from splatpaint.errors import FormatError
from splatpaint.formats.offset import NO_OFFSET, WORD, Offset, as_text
from splatpaint.scene.splats import Splats

MEANS = ["x", "y", "z"]
NORMALS = ["nx", "ny", "nz"]
DC = ["f_dc_0", "f_dc_1", "f_dc_2"]
OPACITY = ["opacity"]
SCALES = ["scale_0", "scale_1", "scale_2"]
QUATS = ["rot_0", "rot_1", "rot_2", "rot_3"]


def write_ply(path: Path, splats: Splats, offset: Offset = NO_OFFSET) -> None:
    """Writes rgb splats of any degree as float32, and in a comment what is to be added to their coordinates, if anything; the
    file is replaced atomically.

    Raises:
        FormatError: if the splats are not rgb.
        OSError: if the file cannot be written.
    """
    if splats.space != "rgb":
        raise FormatError(f"{path} cannot hold {splats.space} splats, only rgb ones: write them to a .safetensors file")
    rest = splats.sh[:, 1:].transpose(1, 2).flatten(1)
    rest_names = [f"f_rest_{index}" for index in range(rest.shape[1])]
    columns = torch.cat(
        [
            splats.means,
            torch.zeros_like(splats.means),
            splats.sh[:, 0],
            rest,
            splats.logit_opacities[:, None],
            splats.log_scales,
            splats.quats,
        ],
        dim=1,
    )
    names = MEANS + NORMALS + DC + rest_names + OPACITY + SCALES + QUATS
    table = np.ascontiguousarray(columns.detach().cpu().numpy(), dtype="<f4").view([(name, "<f4") for name in names])[:, 0]
    buffer = BytesIO()
    comments = [] if offset == NO_OFFSET else [f"{WORD} {as_text(offset)}"]
    PlyData([PlyElement.describe(table, "vertex")], byte_order="<", comments=comments).write(buffer)
    write_bytes(path, buffer.getbuffer())


def read_ply(path: Path) -> Splats:
    """The splats of a .ply file, in order and unfiltered (including NaN); properties are found by name.

    Raises:
        FormatError: if the file is damaged, or is a mesh or a point cloud.
    """
    try:
        ply = PlyData.read(path)
    except (PlyHeaderParseError, PlyElementParseError, UnicodeDecodeError, OSError) as error:
        raise FormatError(f"{path} cannot be read as .ply ({error})") from error
    if "vertex" not in ply:
        raise FormatError(f"{path} holds no splats: it has no `vertex` element, only {[element.name for element in ply]}")
    table = ply["vertex"].data
    present = table.dtype.names or ()
    missing = [name for name in MEANS + DC + OPACITY + SCALES + QUATS if name not in present]
    if missing:
        raise FormatError(f"{path} holds no splats but a mesh or a point cloud: its vertices lack {', '.join(missing)}")
    rest_count = sum(name.startswith("f_rest_") for name in present)
    if rest_count not in (0, 9, 24, 45):
        raise FormatError(f"{path} has {rest_count} f_rest properties, expected 0, 9, 24 or 45 (harmonics of degree 0 to 3)")
    rest = _columns(table, [f"f_rest_{index}" for index in range(rest_count)])
    rest = rest.reshape(len(table), 3, rest_count // 3).transpose(1, 2)
    return Splats(
        means=_columns(table, MEANS),
        quats=_columns(table, QUATS),
        log_scales=_columns(table, SCALES),
        logit_opacities=_columns(table, OPACITY)[:, 0],
        sh=torch.cat([_columns(table, DC)[:, None], rest], dim=1),
    )


def _columns(table: np.ndarray, names: list[str]) -> Float[torch.Tensor, "n m"]:
    columns = np.empty((len(table), len(names)), dtype=np.float32)
    for index, name in enumerate(names):
        columns[:, index] = table[name]
    return torch.from_numpy(columns)
