from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn.functional import normalize

from splatpaint.errors import FormatError
from splatpaint.formats.compressed_ply import write_compressed_ply
from splatpaint.formats.morton import morton_order
from splatpaint.formats.ply import read_ply
from splatpaint.scene.splats import SH_C0, Splats
from tests.support.scenes import cloud


def round_trip(path: Path, splats: Splats) -> tuple[Splats, Splats]:
    """The splats in the order of the file, and what is read of them."""
    write_compressed_ply(path / "a.compressed.ply", splats)
    return splats[morton_order(splats.means)], read_ply(path / "a.compressed.ply").splats


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
@pytest.mark.parametrize("n", [0, 1, 255, 256, 257, 1000])
def test_what_the_bits_can_hold_survives(tmp_path: Path, n: int, degree: int):
    wanted, got = round_trip(tmp_path, cloud(n, degree=degree))
    assert got.sh.shape == wanted.sh.shape
    for start in range(0, n, 256):
        chunk = slice(start, start + 256)
        for name, bits in (("means", (11, 10, 11)), ("log_scales", (11, 10, 11))):
            ours, theirs = wanted.tensors()[name][chunk], got.tensors()[name][chunk]
            steps = (ours.amax(dim=0) - ours.amin(dim=0)) / (2.0 ** torch.tensor(bits) - 1)
            assert ((ours - theirs).abs() <= 0.51 * steps + 1e-6).all(), name
    torch.testing.assert_close(got.opacities, wanted.opacities, rtol=0, atol=0.51 / 255)
    if n:
        colors = SH_C0 * wanted.sh[:, 0]
        assert (SH_C0 * got.sh[:, 0] - colors).abs().max() <= 0.51 / 255 * (colors.amax() - colors.amin())
        assert ((got.quats * normalize(wanted.quats, dim=1)).sum(dim=1).abs() > 1 - 4e-6).all()
    torch.testing.assert_close(got.sh[:, 1:], wanted.sh[:, 1:], rtol=0, atol=1.01 / 64)


def test_limits_are_clamped_and_not_spoiled(tmp_path: Path):
    splats = cloud(300, degree=1)
    splats.log_scales[5, 1], splats.logit_opacities[6], splats.sh[7, 2, 1] = -200.0, 40.0, 9.0
    wanted, got = round_trip(tmp_path, splats)
    assert all(tensor.isfinite().all() for tensor in got.tensors().values())
    assert got.log_scales.amin() == pytest.approx(-20.0)
    assert got.sh[:, 1:].amax() == pytest.approx(4.0, abs=0.02)
    ordinary = wanted.log_scales.amin(dim=1) > -20
    assert (wanted.log_scales - got.log_scales)[ordinary].abs().max() < 0.02


def test_splats_far_from_the_origin_are_placed_as_exactly_as_float32_is(tmp_path: Path):
    splats = cloud(500)
    wanted, got = round_trip(tmp_path, replace(splats, means=splats.means + 1000))
    assert (wanted.means - got.means).abs().max() < 0.004


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (b"property uint packed_scale", b"property uint unpacked_scale", "lacks packed_scale"),
        (b"property float min_scale_x", b"property float mini_scale_x", "lacks min_scale_x"),
        (b"property float max_g", b"property float maxi_g", "lacks max_g"),
        (b"element chunk 2", b"element chunk 1", "300 splats need 2 chunks, not 1"),
        (b"element sh 300", b"element sh 299", "its `sh` has 9 f_rest properties and 299 rows"),
        (b"element vertex 300", b"element vertex 90000000", "its header promises 90000000 rows of vertex"),
    ],
)
def test_damage_is_said(tmp_path: Path, old: bytes, new: bytes, said: str):
    write_compressed_ply(tmp_path / "a.compressed.ply", cloud(300, degree=1))
    content = (tmp_path / "a.compressed.ply").read_bytes()
    assert old in content
    (tmp_path / "a.compressed.ply").write_bytes(content.replace(old, new, 1))
    with pytest.raises(FormatError, match=said):
        read_ply(tmp_path / "a.compressed.ply")


def test_files_without_bounds_of_color_are_read(tmp_path: Path):
    splats = replace(cloud(200), sh=torch.zeros(200, 1, 3))
    splats.sh[0] = -0.5 / SH_C0
    splats.sh[1] = 0.5 / SH_C0
    wanted, _ = round_trip(tmp_path, splats)
    content = (tmp_path / "a.compressed.ply").read_bytes()
    header, _, body = content.partition(b"end_header\n")
    for end in (b"min", b"max"):
        for channel in (b"r", b"g", b"b"):
            header = header.replace(b"property float %s_%s\n" % (end, channel), b"")
    (tmp_path / "b.compressed.ply").write_bytes(header + b"end_header\n" + body[: 12 * 4] + body[18 * 4 :])
    got = read_ply(tmp_path / "b.compressed.ply").splats
    torch.testing.assert_close(SH_C0 * got.sh, SH_C0 * wanted.sh, atol=0.51 / 255, rtol=0)


def test_latents_are_refused(tmp_path: Path):
    with pytest.raises(FormatError, match="only rgb ones"):
        write_compressed_ply(tmp_path / "a.compressed.ply", cloud(2, channels=4))
