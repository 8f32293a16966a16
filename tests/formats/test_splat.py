from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import normalize

from splatpaint.errors import FormatError
from splatpaint.formats.splat import read_splat, write_splat
from splatpaint.scene.splats import SH_C0
from tests.support.scenes import cloud, splat_at


@settings(max_examples=25, deadline=None)
@given(n=st.integers(0, 40), seed=st.integers(0, 1000), degree=st.integers(0, 3))
def test_what_the_bytes_can_hold_survives(tmp_path_factory: pytest.TempPathFactory, n: int, seed: int, degree: int):
    path = tmp_path_factory.mktemp("splat") / "a.splat"
    splats = cloud(n, degree=degree, seed=seed)
    write_splat(path, splats)
    assert path.stat().st_size == 32 * n
    got = read_splat(path)
    assert torch.equal(got.means, splats.means)
    torch.testing.assert_close(got.log_scales, splats.log_scales, rtol=0, atol=1e-5)
    torch.testing.assert_close(got.opacities, splats.opacities, rtol=0, atol=0.51 / 255)
    torch.testing.assert_close(got.quats, normalize(splats.quats, dim=1), rtol=0, atol=1.01 / 128)
    color = (0.5 + SH_C0 * splats.sh[:, 0]).clamp(0, 1)
    torch.testing.assert_close(0.5 + SH_C0 * got.sh[:, 0], color, rtol=0, atol=0.51 / 255)


def test_writing_again_what_was_read_gives_the_same_bytes(tmp_path: Path):
    write_splat(tmp_path / "a.splat", cloud(100))
    write_splat(tmp_path / "b.splat", read_splat(tmp_path / "a.splat"))
    a, b = (torch.frombuffer(bytearray((tmp_path / name).read_bytes()), dtype=torch.uint8) for name in ("a.splat", "b.splat"))
    a, b = a.reshape(-1, 32), b.reshape(-1, 32)
    assert torch.equal(a[:, :12], b[:, :12])
    assert torch.equal(a[:, 24:28], b[:, 24:28])
    assert (a[:, 28:].int() - b[:, 28:].int()).abs().max() <= 2  # read quaternions are not quite unit length


def test_the_bytes_lie_where_viewers_look_for_them(tmp_path: Path):
    splats = replace(splat_at((1.0, 2.0, 3.0), scale=0.5, opacity=0.6, color=(1.0, 0.0, 0.2)))
    write_splat(tmp_path / "a.splat", splats)
    row = (tmp_path / "a.splat").read_bytes()
    assert torch.frombuffer(bytearray(row[:24]), dtype=torch.float32).tolist() == pytest.approx([1, 2, 3, 0.5, 0.5, 0.5])
    assert list(row[24:]) == [255, 0, 51, 153, 255, 128, 128, 128]


def test_extreme_opacities_have_finite_logits(tmp_path: Path):
    write_splat(
        tmp_path / "a.splat", replace(splat_at((0.0, 0.0, 0.0), (0.0, 0.0, 0.0)), logit_opacities=torch.tensor([-50.0, 50.0]))
    )
    got = read_splat(tmp_path / "a.splat")
    assert got.logit_opacities.isfinite().all()
    assert got.opacities[0] < 1 / 255
    assert got.opacities[1] > 254 / 255


def test_a_broken_row_is_refused(tmp_path: Path):
    (tmp_path / "a.splat").write_bytes(bytes(33))
    with pytest.raises(FormatError, match="33 bytes, expected a multiple of 32"):
        read_splat(tmp_path / "a.splat")


def test_latents_are_refused(tmp_path: Path):
    with pytest.raises(FormatError, match="only rgb ones"):
        write_splat(tmp_path / "a.splat", cloud(2, channels=4))
