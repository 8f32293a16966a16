"""Legal limits are not damage, and what is damage is counted."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from splatpaint.formats import read_found
from splatpaint.formats.found import FLAT_LOG_SCALE, OPAQUE_LOGIT, Found, usable
from splatpaint.formats.ply import write_ply
from splatpaint.render import native
from splatpaint.render.protocol import Rasterizer
from splatpaint.render.reference import rasterize
from splatpaint.scene.splats import Splats
from tests.support.scenes import cloud, orbit


def same(a: Splats, b: Splats) -> bool:
    return all(torch.equal(a.tensors()[name], b.tensors()[name]) for name in a.tensors())


@pytest.mark.parametrize("degree", [0, 1, 3])
def test_ordinary_splats_stay_as_they_are_bit_by_bit(degree: int):
    found = usable(Found(splats := cloud(20, degree=degree)))
    assert same(found.splats, splats)
    assert found.notes == ()


def test_no_splats_stay_none():
    assert len(usable(Found(cloud(0))).splats) == 0


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("rows", [[0], [3, 4, 7], list(range(10))])
def test_infinite_logits_are_full_and_no_opacity(rows: list[int], sign: int):
    splats = cloud(10)
    splats.logit_opacities[rows] = sign * torch.inf
    found = usable(Found(splats))
    assert len(found.splats) == 10
    assert (found.splats.logit_opacities[rows] == sign * OPAQUE_LOGIT).all()
    assert ((found.splats.opacities[rows] - float(sign > 0)).abs() < 1e-6).all()
    assert f"{len(rows)} of 10 splats are exactly opaque or transparent" in found.notes[0]


@pytest.mark.parametrize("axes", [[0], [1, 2], [0, 1, 2]])
def test_axes_without_extent_are_flat(axes: list[int]):
    splats = cloud(10, degree=1)
    for axis in axes:
        splats.log_scales[2:6, axis] = -torch.inf
    found = usable(Found(splats))
    assert len(found.splats) == 10
    assert (found.splats.log_scales[2:6, axes] == FLAT_LOG_SCALE).all()
    assert "4 of 10 splats have no extent" in found.notes[0]


@pytest.mark.parametrize("rasterize", [rasterize, native.rasterize])
def test_limits_render_as_numbers_close_to_them_do(rasterize: Rasterizer):
    limits, close = cloud(30, seed=3), cloud(30, seed=3)
    limits.logit_opacities[:10], close.logit_opacities[:10] = torch.inf, 9.0
    limits.log_scales[10:20, 1], close.log_scales[10:20, 1] = -torch.inf, -12.0
    cameras = orbit(2)
    ours, theirs = (rasterize(usable(Found(splats)).splats, cameras).color for splats in (limits, close))
    assert ours.std() > 0.05
    torch.testing.assert_close(ours, theirs, atol=2e-3, rtol=0)


def test_what_is_dropped_is_not_said_to_stay():
    splats = cloud(6)
    splats.log_scales[:3], splats.logit_opacities[:2], splats.quats[:2] = -torch.inf, torch.inf, 0
    found = usable(Found(splats))
    assert len(found.splats) == 4
    assert found.notes[0] == "1 of 6 splats have no extent along some axis, and stay flat"
    assert len(found.notes) == 2


@pytest.mark.parametrize("field", ["means", "quats", "log_scales", "logit_opacities", "sh"])
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_other_numbers_that_are_not_finite_are_dropped_and_counted(field: str, value: float):
    splats = cloud(9, degree=1)
    splats.tensors()[field].view(9, -1)[[1, 5], -1] = value
    found = usable(Found(splats))
    if field == "logit_opacities" and value == torch.inf:
        assert len(found.splats) == 9
        return
    assert torch.equal(found.splats.means, splats.means[[0, 2, 3, 4, 6, 7, 8]])
    assert found.notes == ("2 of 9 splats have numbers that are not finite, and were dropped",)


@pytest.mark.parametrize(("zeros", "rows"), [(4, 0), (0, 5), (2, 3)])
def test_splats_without_rotation_are_dropped_and_counted(zeros: int, rows: int):
    splats = cloud(12, degree=1)
    splats.quats[: zeros + rows] = 0
    for tensor in splats.tensors().values():
        tensor[zeros : zeros + rows] = 0
    found = usable(Found(splats))
    assert torch.equal(found.splats.means, splats.means[zeros + rows :])
    assert found.notes[0].startswith(f"{zeros + rows} of 12 splats have a rotation of zero")
    assert f"({rows} of them are rows of zeros)" in found.notes[0]


def test_every_kind_is_counted_by_itself_in_a_file(tmp_path: Path):
    splats = cloud(20, degree=2)
    splats.means[0, 0] = torch.nan
    splats.quats[1:4] = 0
    splats.logit_opacities[5:7] = torch.inf
    splats.log_scales[8, 2] = -torch.inf
    write_ply(tmp_path / "a.ply", splats)
    found = read_found(tmp_path / "a.ply")
    assert len(found.splats) == 16
    assert len(found.notes) == 4
    assert same(found.splats[torch.arange(8, 16)], replace(splats.with_sh_degree(3))[torch.arange(12, 20)])
