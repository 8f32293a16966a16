from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import normalize

from splatpaint.errors import FormatError
from splatpaint.formats.splat import ROW, read_splat, write_splat
from splatpaint.scene.splats import SH_C0, Splats
from tests.support.scenes import cloud, splat_at


def read(path: Path) -> Splats:
    return read_splat(path).splats


@settings(max_examples=25, deadline=None)
@given(n=st.integers(0, 40), seed=st.integers(0, 1000), degree=st.integers(0, 3))
def test_what_the_bytes_can_hold_survives(tmp_path_factory: pytest.TempPathFactory, n: int, seed: int, degree: int):
    path = tmp_path_factory.mktemp("splat") / "a.splat"
    splats = cloud(n, degree=degree, seed=seed)
    write_splat(path, splats)
    assert path.stat().st_size == 32 * n
    got = read(path)
    assert torch.equal(got.means, splats.means)
    torch.testing.assert_close(got.log_scales, splats.log_scales, rtol=0, atol=1e-5)
    torch.testing.assert_close(got.opacities, splats.opacities, rtol=0, atol=0.51 / 255)
    torch.testing.assert_close(got.quats, normalize(splats.quats, dim=1), rtol=0, atol=1.01 / 128)
    color = (0.5 + SH_C0 * splats.sh[:, 0]).clamp(0, 1)
    torch.testing.assert_close(0.5 + SH_C0 * got.sh[:, 0], color, rtol=0, atol=0.51 / 255)


def test_writing_again_what_was_read_gives_the_same_bytes(tmp_path: Path):
    write_splat(tmp_path / "a.splat", cloud(100))
    write_splat(tmp_path / "b.splat", read(tmp_path / "a.splat"))
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
    got = read(tmp_path / "a.splat")
    assert got.logit_opacities.isfinite().all()
    assert got.opacities[0] < 1 / 255
    assert got.opacities[1] > 254 / 255


def test_a_broken_row_is_refused(tmp_path: Path):
    (tmp_path / "a.splat").write_bytes(bytes(33))
    with pytest.raises(FormatError, match="33 bytes, expected a multiple of 32"):
        read(tmp_path / "a.splat")


def test_latents_are_refused(tmp_path: Path):
    with pytest.raises(FormatError, match="only rgb ones"):
        write_splat(tmp_path / "a.splat", cloud(2, channels=4))


@pytest.mark.parametrize("axes", [(2,), (0, 1), (0, 1, 2)])
def test_flat_splats_are_read_as_flat(tmp_path: Path, axes: tuple[int, ...]):
    splats = cloud(5)
    for axis in axes:
        splats.log_scales[1:3, axis] = -torch.inf
    write_splat(tmp_path / "a.splat", splats)
    assert (read(tmp_path / "a.splat").log_scales == -torch.inf).sum() == 2 * len(axes)


def test_rows_of_zeros_are_told_from_splats(tmp_path: Path):
    write_splat(tmp_path / "a.splat", cloud(4))
    with open(tmp_path / "a.splat", "ab") as file:
        file.write(bytes(32 * 3))
    assert read(tmp_path / "a.splat").quats.any(dim=1).tolist() == [True] * 4 + [False] * 3


@pytest.mark.parametrize("kind", ["noise", "negative", "not finite"])
def test_other_bytes_under_this_name_are_refused(tmp_path: Path, kind: str):
    write_splat(tmp_path / "a.splat", cloud(50))
    rows = np.frombuffer((tmp_path / "a.splat").read_bytes(), dtype=ROW).copy()
    match kind:
        case "noise":
            rows = np.random.default_rng(0).integers(0, 256, rows.nbytes, dtype="u1").view(ROW)
        case "negative":
            rows["scale"][10:] = -1
        case _:
            rows["mean"][10:, 1] = np.nan
    (tmp_path / "a.splat").write_bytes(rows.tobytes())
    with pytest.raises(FormatError, match=r"a\.splat is no \.splat file: \d+ of its 50 rows"):
        read(tmp_path / "a.splat")


def test_a_few_broken_rows_are_left_to_be_dropped(tmp_path: Path):
    splats = cloud(9)
    splats.means[3, 0] = torch.nan
    write_splat(tmp_path / "a.splat", splats)
    assert len(read(tmp_path / "a.splat")) == 9
