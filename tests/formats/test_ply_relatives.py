"""Relatives of the usual .ply are read for what they are, or refused for what they are."""

from pathlib import Path

import numpy as np
import pytest
import torch

from splatpaint.errors import FormatError
from splatpaint.formats import read_found
from splatpaint.formats.found import ANTIALIASED, FLAT_LOG_SCALE, Found
from splatpaint.formats.ply import write_ply
from splatpaint.render.reference import rasterize
from splatpaint.scene.splats import SH_C0, Splats
from tests.formats.test_ply import columns_of, write_table
from tests.support.scenes import cloud, orbit

Columns = dict[str, np.ndarray]


def columns(path: Path, splats: Splats) -> Columns:
    write_ply(path / "plain.ply", splats, compact=True)
    return columns_of(path / "plain.ply")


def found_in(path: Path, columns: Columns, *, text: bool = False) -> Found:
    write_table(path / "in.ply", columns, text=text)
    return read_found(path / "in.ply")


@pytest.mark.parametrize("degree", [0, 3])
@pytest.mark.parametrize("text", [False, True])
def test_splats_of_2dgs_are_flat_along_their_third_axis(tmp_path: Path, degree: int, text: bool):
    table = columns(tmp_path, splats := cloud(7, degree=degree))
    del table["scale_2"]
    found = found_in(tmp_path, table, text=text)
    torch.testing.assert_close(found.splats.log_scales[:, :2], splats.log_scales[:, :2])
    assert (found.splats.log_scales[:, 2] == FLAT_LOG_SCALE).all()
    assert any("2D Gaussian Splatting" in note for note in found.notes)


@pytest.mark.parametrize(("kind", "top"), [("u1", 255), ("u2", 65535), ("f4", 1.0)])
def test_colors_may_be_red_green_and_blue(tmp_path: Path, kind: str, top: float):
    table = columns(tmp_path, splats := cloud(7))
    colors = (0.5 + SH_C0 * splats.sh[:, 0]).clamp(0, 1)
    for channel, name in enumerate(("red", "green", "blue")):
        del table[f"f_dc_{channel}"]
        table[name] = (colors[:, channel].numpy() * top).round(0 if top > 1 else 7).astype(kind)
    found = found_in(tmp_path, table)
    torch.testing.assert_close(0.5 + SH_C0 * found.splats.sh[:, 0], colors, atol=0.51 / 255, rtol=0)
    assert any("red, green and blue" in note for note in found.notes)


def test_f_dc_counts_where_there_is_red_green_and_blue_too(tmp_path: Path):
    table = columns(tmp_path, splats := cloud(7))
    table |= {name: np.zeros(7, dtype="u1") for name in ("red", "green", "blue")}
    found = found_in(tmp_path, table)
    assert torch.equal(found.splats.sh, splats.sh)
    assert "red, green, blue are no part" in found.notes[0]


@pytest.mark.parametrize("kept", [["x", "y", "z"], ["x", "y", "z", "f_dc_0"]])
def test_names_of_cloudcompare_are_known(tmp_path: Path, kept: list[str]):
    table = columns(tmp_path, splats := cloud(7, degree=1))
    found = found_in(tmp_path, {name if name in kept else f"scalar_{name}": values for name, values in table.items()})
    for name, tensor in splats.tensors().items():
        assert torch.equal(found.splats.tensors()[name], tensor), name
    assert "CloudCompare" in found.notes[0]


@pytest.mark.parametrize("width", [0.0, 1e-4, 0.05, 1.0])
def test_the_filter_of_mip_splatting_becomes_part_of_the_splats(tmp_path: Path, width: float):
    table = columns(tmp_path, splats := cloud(9))
    table["filter_3D"] = np.full(9, width, dtype="f4")
    got = found_in(tmp_path, table).splats
    variances = splats.scales.double().square()
    torch.testing.assert_close(got.scales.double().square(), variances + width**2, rtol=1e-4, atol=0)
    share = (variances / (variances + width**2)).prod(dim=1).sqrt()
    torch.testing.assert_close(got.opacities.double(), splats.opacities.double() * share, rtol=1e-4, atol=1e-7)
    everything = splats.opacities * splats.scales.prod(dim=1), got.opacities * got.scales.prod(dim=1)
    torch.testing.assert_close(*everything, rtol=1e-3, atol=0)


def test_a_filter_keeps_limits_legal(tmp_path: Path):
    splats = cloud(4)
    splats.log_scales[0, 1], splats.logit_opacities[1] = -torch.inf, torch.inf
    table = columns(tmp_path, splats)
    table["filter_3D"] = np.full(4, 0.1, dtype="f4")
    found = found_in(tmp_path, table)
    assert len(found.splats) == 4
    assert rasterize(found.splats, orbit(1)).color.isfinite().all()


@pytest.mark.parametrize("extra", [["f_anchor_feat_0"], ["f_offset_0", "f_offset_1"]])
def test_anchors_of_scaffold_gs_are_told_from_splats(tmp_path: Path, extra: list[str]):
    table = columns(tmp_path, cloud(3))
    for channel in range(3):
        del table[f"f_dc_{channel}"]
    with pytest.raises(FormatError, match=r"in\.ply holds the anchors of Scaffold-GS.*have that method write its splats"):
        found_in(tmp_path, table | {name: np.zeros(3, dtype="f4") for name in extra})


@pytest.mark.parametrize("names", [["obj_dc_0"], [f"obj_dc_{i}" for i in range(16)], ["motion_0", "label", "t_scale"]])
def test_properties_of_other_methods_are_said_to_go(tmp_path: Path, names: list[str]):
    table = columns(tmp_path, splats := cloud(3))
    found = found_in(tmp_path, table | {name: np.zeros(3, dtype="i4") for name in names})
    assert torch.equal(found.splats.means, splats.means)
    assert f"its properties {names[0]}" in found.notes[0]
    assert "not kept" in found.notes[0]
    assert ("and 12 more" in found.notes[0]) == (len(names) == 16)


@pytest.mark.parametrize("degree", [1, 2, 3])
@pytest.mark.parametrize("missing", [0, 4])
def test_gaps_among_harmonics_are_refused(tmp_path: Path, degree: int, missing: int):
    table = columns(tmp_path, cloud(3, degree=degree))
    count = sum(name.startswith("f_rest") for name in table)
    table[f"f_rest_{count}"] = table.pop(f"f_rest_{missing}")
    with pytest.raises(FormatError, match=rf"{count} f_rest properties, but f_rest_{missing} is missing"):
        found_in(tmp_path, table)


def test_harmonics_of_degree_four_are_cut_and_said_to_be(tmp_path: Path):
    table = columns(tmp_path, cloud(3))
    table |= {f"f_rest_{index}": np.full(3, index, dtype="f4") for index in range(72)}
    found = found_in(tmp_path, table)
    assert found.splats.sh_degree == 3
    assert found.splats.sh[0, 1:, 1].tolist() == list(range(24, 24 + 15))
    assert any("degree 4" in note for note in found.notes)


@pytest.mark.parametrize(
    ("comment", "antialiased"),
    [
        ("SplatRenderMode: mip", True),
        ("splatrendermode:  MIP", True),
        ("trained with antialiasing", True),
        ("Anti-aliased: true", True),
        ("SplatRenderMode: default", False),
        ("SplatRenderMode: mipmap", False),
        ("from a chip", False),
        ("antialiased: false", False),
        ("without anti-aliasing", False),
    ],
)
def test_a_comment_that_asks_for_antialiasing_is_answered(tmp_path: Path, comment: str, antialiased: bool):
    write_ply(tmp_path / "a.ply", cloud(3))
    content = (tmp_path / "a.ply").read_bytes()
    (tmp_path / "a.ply").write_bytes(content.replace(b"element", f"comment {comment}\nelement".encode(), 1))
    found = read_found(tmp_path / "a.ply")
    assert found.antialiased == antialiased
    assert (ANTIALIASED in found.notes) == antialiased
