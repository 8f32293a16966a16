"""The .ply layout of 3D Gaussian Splatting, which viewers read.

One `vertex` element of float32 properties, binary little endian. f_rest has the harmonics above DC, channel by channel (red
first). Normals are zero; readers expect them.

Other programs write relatives of this layout. Those that can be turned into splats are, each said in a note: flat splats of 2D
Gaussian Splatting, colors as red, green and blue, names with CloudCompare's `scalar_` before them, and the smoothing filter of
Mip-Splatting. PlayCanvas' packed layout (compressed_ply.py) is told apart by its elements, whatever the file is called.
"""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from splatpaint.atomic import write_bytes
from splatpaint.errors import FormatError
from splatpaint.formats.compressed_ply import ELEMENTS as PACKED_ELEMENTS
from splatpaint.formats.compressed_ply import unpack
from splatpaint.formats.found import ANTIALIASED, FLAT_LOG_SCALE, Found
from splatpaint.formats.lossy import plain_rgb
from splatpaint.formats.offset import NO_OFFSET, WORD, Offset, as_text
from splatpaint.formats.ply_table import Header, read_header, read_tables
from splatpaint.scene.splats import SH_C0, Splats

MEANS = ["x", "y", "z"]
NORMALS = ["nx", "ny", "nz"]
DC = ["f_dc_0", "f_dc_1", "f_dc_2"]
RGB = ["red", "green", "blue"]
OPACITY = ["opacity"]
SCALES = ["scale_0", "scale_1", "scale_2"]
QUATS = ["rot_0", "rot_1", "rot_2", "rot_3"]
FILTER = "filter_3D"
"""Mip-Splatting's smoothing: a standard deviation in world units beside every splat (Yu et al., 2024, eq. 9)."""
RENDER_MODE = "SplatRenderMode"
"""The comment in which Brush and PlayCanvas' tools say how splats were trained; `mip` is antialiased."""
DENIALS = {"no", "not", "without", "false", "off", "none", "0"}
"""Words by which a comment says that splats were not trained for antialiased rendering."""
REST_COUNTS = {0: 0, 9: 1, 24: 2, 45: 3, 72: 4}
"""Degree of the harmonics by the number of f_rest properties."""
HIGHEST_DEGREE = 3
TYPE_MAX = {"u1": 255.0, "u2": 65535.0}
"""What is 1 in colors of whole numbers, by type."""


def write_ply(
    path: Path, splats: Splats, *, compact: bool = False, antialiased: bool = False, offset: Offset = NO_OFFSET
) -> None:
    """Writes rgb splats as float32; the file is replaced atomically.

    Args:
        path: the file.
        splats: of any degree.
        compact: leaves out the harmonics above the degree of the splats. Without it there are 45, zeros above the degree: some
            readers count them.
        antialiased: whether a comment says that they were trained for antialiased rendering.
        offset: what is to be added to the coordinates, which a comment says if it is anything.

    Raises:
        FormatError: if the splats are not rgb.
        OSError: if the file cannot be written.
    """
    splats = plain_rgb(path, splats)
    splats = splats if compact else splats.with_sh_degree(HIGHEST_DEGREE)
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
    table = np.ascontiguousarray(columns.numpy(), dtype="<f4")
    comments = [f"comment {RENDER_MODE}: mip"] if antialiased else []
    comments += [] if offset == NO_OFFSET else [f"comment {WORD} {as_text(offset)}"]
    properties = [f"property float {name}" for name in names]
    lines = ["ply", "format binary_little_endian 1.0", *comments, f"element vertex {len(table)}", *properties, "end_header"]
    write_bytes(path, ("\n".join(lines) + "\n").encode() + table.tobytes())


def read_ply(path: Path) -> Found:
    """The splats of a .ply file of any of the layouts above, in order and unfiltered (including NaN).

    Raises:
        FormatError: if the file is damaged, or holds no splats: a mesh, a point cloud, anchors of Scaffold-GS.
        OSError: if it cannot be read.
    """
    header = read_header(path)
    names = {element.name for element in header.elements}
    packed = names >= PACKED_ELEMENTS and "packed_position" in _properties(header, "vertex")
    if not packed and "vertex" not in names:
        raise FormatError(f"{path} holds no splats: it has no `vertex` element, only {sorted(names)}")
    tables = read_tables(path, header, {"vertex", "chunk", "sh"} & names if packed else {"vertex"})
    found = unpack(path, tables) if packed else _read_vertices(path, tables["vertex"])
    if _asks_for_antialiasing(header):
        return replace(found, antialiased=True, notes=(*found.notes, ANTIALIASED))
    return found


def _properties(header: Header, element: str) -> set[str]:
    return {name for one in header.elements if one.name == element for name, _ in one.properties}


def _asks_for_antialiasing(header: Header) -> bool:
    comments = [comment.lower() for comment in header.comments]
    said = [comment.split(":", 1)[1].split() for comment in comments if comment.startswith(f"{RENDER_MODE.lower()}:")]
    named = [set(re.findall(r"\w+", comment)) for comment in comments if re.search("anti-?alias", comment)]
    return ["mip"] in said or any(not words & DENIALS for words in named)


def _read_vertices(path: Path, table: np.ndarray) -> Found:
    notes: list[str] = []
    table = _without_prefix(table, notes)
    present = table.dtype.names or ()
    if any(name.startswith(("f_anchor_feat", "f_offset_")) for name in present):
        raise FormatError(
            f"{path} holds the anchors of Scaffold-GS or a method built on it, and its splats exist only through that method's"
            " networks: have that method write its splats, seen from one place, as a 3DGS .ply"
        )
    has_rgb, is_flat = not set(DC) <= set(present) and set(RGB) <= set(present), "scale_2" not in present
    colors, scales = RGB if has_rgb else DC, SCALES[:2] if is_flat else SCALES
    missing = [name for name in MEANS + colors + OPACITY + scales + QUATS if name not in present]
    if missing:
        raise FormatError(f"{path} holds no splats but a mesh or a point cloud: its vertices lack {', '.join(missing)}")
    rest, degree = _rest(path, table, notes)
    dc = _columns(table, colors)
    if has_rgb:
        dc = (dc / TYPE_MAX.get(table.dtype[RGB[0]].str[1:], 1.0) - 0.5) / SH_C0
        notes.append("the colors are those of red, green and blue, since there is no f_dc")
    log_scales = _columns(table, scales)
    if is_flat:
        log_scales = torch.cat([log_scales, log_scales.new_full((len(table), 1), FLAT_LOG_SCALE)], dim=1)
        notes.append("there is no scale_2: they are the flat splats of 2D Gaussian Splatting, and are rendered as thin ones")
    splats = Splats(
        means=_columns(table, MEANS),
        quats=_columns(table, QUATS),
        log_scales=log_scales,
        logit_opacities=_columns(table, OPACITY)[:, 0],
        sh=torch.cat([dc[:, None], rest], dim=1)[:, : (min(degree, HIGHEST_DEGREE) + 1) ** 2],
    )
    if FILTER in present:
        splats = _smoothed(splats, _columns(table, [FILTER]))
        notes.append(f"the smoothing of Mip-Splatting ({FILTER}) is now part of scales and opacities")
    used = {*MEANS, *NORMALS, *DC, *colors, *OPACITY, *SCALES, *QUATS, FILTER}
    others = [name for name in present if name not in used and not name.startswith("f_rest_")]
    if others:
        shown = ", ".join(others[:4]) + (f" and {len(others) - 4} more" if len(others) > 4 else "")
        notes.append(f"its properties {shown} are no part of a 3D Gaussian splat, and are not kept")
    return Found(splats, tuple(notes))


def _without_prefix(table: np.ndarray, notes: list[str]) -> np.ndarray:
    """The table under the usual names, if CloudCompare has put `scalar_` before them."""
    prefix = "scalar_"
    present = table.dtype.names or ()
    renamed = [name for name in present if name.startswith(prefix) and name.removeprefix(prefix) not in present]
    if "scalar_opacity" not in renamed:
        return table
    notes.append("its properties have `scalar_` before their names, as CloudCompare writes them")
    names = [name.removeprefix(prefix) if name in renamed else name for name in present]
    return table.view(np.dtype([(new, table.dtype[old]) for new, old in zip(names, present, strict=True)]))


def _rest(path: Path, table: np.ndarray, notes: list[str]) -> tuple[Float[torch.Tensor, "n k 3"], int]:
    """The harmonics above DC, and their degree."""
    present = [name for name in table.dtype.names or () if name.startswith("f_rest_")]
    degree = REST_COUNTS.get(len(present))
    if degree is None:
        raise FormatError(
            f"{path} has {len(present)} f_rest properties, expected 0, 9, 24, 45 or 72 (harmonics of degree 0 to 4)"
        )
    names = [f"f_rest_{index}" for index in range(len(present))]
    if set(names) != set(present):
        raise FormatError(
            f"{path} has {len(present)} f_rest properties, but {min(set(names) - set(present))} is missing:"
            f" expected f_rest_0 to f_rest_{len(present) - 1}"
        )
    if degree > HIGHEST_DEGREE:
        notes.append(f"its harmonics are of degree {degree}, and those above degree {HIGHEST_DEGREE} are not kept")
    return _columns(table, names).reshape(len(table), 3, len(present) // 3).transpose(1, 2), degree


def _smoothed(splats: Splats, filters: Float[torch.Tensor, "n 1"]) -> Splats:
    """Splats convolved with a Gaussian of these standard deviations; the integral over each stays the same."""
    variances, added = (2 * splats.log_scales.double()).exp(), filters.double().square()
    log_variances = (variances + added).log()
    share = ((2 * splats.log_scales.double() - log_variances).sum(dim=1) / 2).exp()
    opacities = torch.sigmoid(splats.logit_opacities.double()) * share
    return replace(splats, log_scales=(log_variances / 2).float(), logit_opacities=torch.logit(opacities.clamp(0, 1)).float())


def _columns(table: np.ndarray, names: list[str]) -> Float[torch.Tensor, "n m"]:
    columns = np.empty((len(table), len(names)), dtype=np.float32)
    with np.errstate(over="ignore"):
        for index, name in enumerate(names):
            columns[:, index] = table[name]
    return torch.from_numpy(columns)
