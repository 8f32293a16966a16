import json
from pathlib import Path

import pytest
import torch

from splatpaint.errors import FormatError
from splatpaint.events import Measured, Noted
from splatpaint.formats import read_splats
from splatpaint.formats.offset import NO_OFFSET, read_offset, sidecar
from splatpaint.render.reference import rasterize
from splatpaint.scene.camera import Cameras
from splatpaint.scene.frames import in_input_frame, in_world
from splatpaint.scene.splats import Splats
from splatpaint.scene.views import Similarity, View
from splatpaint.stages.export import IDENTICAL_DB, export

WORLD_FROM_INPUT = Similarity(scale=0.25, shift=(1.0, -2.0, 0.5))


def some_splats(n: int = 40) -> Splats:
    return Splats(
        means=torch.randn(n, 3),
        quats=torch.randn(n, 4),
        log_scales=torch.randn(n, 3) * 0.2 - 1.5,
        logit_opacities=torch.randn(n),
        sh=torch.randn(n, 4, 3) * 0.3,
    )


def camera_at(distance: float) -> Cameras:
    cam_from_world = torch.eye(4)
    cam_from_world[2, 3] = distance
    return Cameras(torch.tensor([[[40.0, 0, 16], [0, 40, 12], [0, 0, 1]]]), cam_from_world[None], width=32, height=24)


def in_input(cameras: Cameras, world_from_input: Similarity) -> Cameras:
    """What the given cameras are in the input's frame: R (s x + shift) + t = s (R x + (R shift + t) / s)."""
    moved = cameras.cam_from_world.clone()
    rotation, translation = moved[:, :3, :3], moved[:, :3, 3]
    moved[:, :3, 3] = (rotation @ torch.tensor(world_from_input.shift) + translation) / world_from_input.scale
    return Cameras(cameras.K, moved, cameras.width, cameras.height)


def view_at(distance: float) -> View:
    return View(f"at {distance}", camera_at(distance), Path("unused.png"))


def run_export(splats: Splats, out: Path, similarity: Similarity = WORLD_FROM_INPUT) -> list:
    return list(
        export(splats, similarity, out, views=[view_at(4.0), view_at(6.0)], rasterizer=rasterize, device=torch.device("cpu"))
    )


def test_splats_in_the_input_frame_look_the_same_to_the_input_cameras():
    splats, cameras = some_splats(), camera_at(5.0)
    in_world_frame = rasterize(splats, cameras).color
    in_its_own = rasterize(in_input_frame(splats, WORLD_FROM_INPUT), in_input(cameras, WORLD_FROM_INPUT)).color
    assert in_world_frame.std() > 0.05
    torch.testing.assert_close(in_its_own, in_world_frame, atol=1e-4, rtol=0)


def test_undoing_the_normalization_scales_positions_and_extents_alike():
    splats = some_splats()
    moved = in_input_frame(splats, WORLD_FROM_INPUT)
    torch.testing.assert_close(moved.scales, splats.scales / 0.25)
    torch.testing.assert_close(moved.means, (splats.means - torch.tensor(WORLD_FROM_INPUT.shift)) / 0.25)
    assert torch.equal(moved.quats, splats.quats)
    assert torch.equal(moved.sh, splats.sh)
    torch.testing.assert_close(in_world(moved, WORLD_FROM_INPUT).means, splats.means)
    torch.testing.assert_close(in_world(moved, WORLD_FROM_INPUT).log_scales, splats.log_scales)


def test_the_exported_file_holds_the_splats_of_the_input_frame(tmp_path: Path):
    splats = some_splats()
    run_export(splats, tmp_path / "scene.ply")
    torch.testing.assert_close(read_splats(tmp_path / "scene.ply").means, in_input_frame(splats, WORLD_FROM_INPUT).means)


def test_the_self_check_finds_a_lossless_format_identical(tmp_path: Path):
    said = run_export(some_splats(), tmp_path / "scene.ply", Similarity())
    measured = next(event for event in said if isinstance(event, Measured))
    assert measured.values == {"splats": 40, "self_check_psnr": IDENTICAL_DB}
    assert not any(isinstance(event, Noted) for event in said)


def test_the_self_check_warns_of_a_format_that_loses_detail(tmp_path: Path):
    splats = some_splats()
    splats.sh[:, 1:] *= 10  # .splat keeps no view-dependent color
    said = run_export(splats, tmp_path / "scene.splat")
    measured = next(event for event in said if isinstance(event, Measured))
    assert measured.values["self_check_psnr"] < 40
    assert any(isinstance(event, Noted) and event.level == "warning" for event in said)


FAR_WORLDS = [
    Similarity(scale=0.156, shift=(-0.156 * 412345.678, -0.156 * 5654321.987, -0.156 * 250.5)),
    Similarity(scale=1.0, shift=(-4e6, 0.0, 0.0)),
    Similarity(scale=1500.0, shift=(1500 * 7e3, -1500 * 3.3, 0.0)),
]


@pytest.mark.parametrize("suffix", [".ply", ".safetensors", ".splat"])
@pytest.mark.parametrize("world_from_input", FAR_WORLDS)
def test_places_far_from_the_origin_are_exact_to_a_thousandth_of_the_spacing_of_cameras(tmp_path, suffix, world_from_input):
    splats, out = some_splats(), tmp_path / f"scene{suffix}"
    splats.sh[:, 1:] = 0
    said = run_export(splats, out, world_from_input)
    true = (splats.means.double() - torch.tensor(world_from_input.shift, dtype=torch.float64)) / world_from_input.scale
    exported = read_splats(out).means.double() + torch.tensor(read_offset(out), dtype=torch.float64)
    spacing = 0.01 / world_from_input.scale  # of neighboring cameras, in a video
    assert (exported - true).norm(dim=1).max() < 1e-3 * spacing
    assert json.loads(sidecar(out).read_text())["offset"] == list(read_offset(out))
    (note,) = [event.message for event in said if isinstance(event, Noted)]
    assert f"is to be added, as scene{suffix}.offset.json says" in note
    assert next(event for event in said if isinstance(event, Measured)).values["self_check_psnr"] > 40


@pytest.mark.parametrize("suffix", [".ply", ".safetensors"])
def test_headers_hold_the_offset_too(tmp_path, suffix):
    out = tmp_path / f"scene{suffix}"
    run_export(some_splats(), out, FAR_WORLDS[0])
    offset = read_offset(out)
    sidecar(out).unlink()
    assert read_offset(out) == offset != NO_OFFSET


@pytest.mark.parametrize("suffix", [".ply", ".safetensors", ".splat"])
def test_without_an_offset_none_is_left_beside_the_file(tmp_path, suffix):
    out = tmp_path / f"scene{suffix}"
    run_export(some_splats(), out, FAR_WORLDS[0])
    run_export(some_splats(), out)
    assert [path.name for path in tmp_path.iterdir()] == [out.name]
    assert read_offset(out) == NO_OFFSET


@pytest.mark.parametrize("text", ["", "{}", "[1, 2, 3]", '{"offset": [1, 2]}', '{"offset": [1, 2, NaN]}', '{"offset": "far"}'])
def test_a_file_beside_that_holds_no_offset_is_refused(tmp_path, text):
    run_export(some_splats(), tmp_path / "scene.splat")
    sidecar(tmp_path / "scene.splat").write_text(text)
    with pytest.raises(FormatError, match=r"the offset of .*scene\.splat cannot be read: expected three numbers"):
        read_offset(tmp_path / "scene.splat")


def test_an_unknown_suffix_is_refused(tmp_path: Path):
    with pytest.raises(FormatError, match=r"scene\.obj"):
        run_export(some_splats(), tmp_path / "scene.obj")
    assert not list(tmp_path.iterdir())
