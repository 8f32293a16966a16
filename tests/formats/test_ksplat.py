import struct
from pathlib import Path

import pytest
import torch
from torch.nn.functional import normalize

from splatpaint.errors import FormatError
from splatpaint.formats.ksplat import read_ksplat
from splatpaint.scene.splats import SH_C0
from tests.support.ksplat import ksplat
from tests.support.scenes import cloud

EXACT = ((0.0, 0.0), (3e-4, 2e-3), (3e-4, 2e-3))
"""Of positions and of the rest, by level."""


@pytest.mark.parametrize("level", [0, 1, 2])
@pytest.mark.parametrize("degree", [0, 1, 2, 3])
@pytest.mark.parametrize("partial", [False, True])
@pytest.mark.parametrize("n", [1, 20, 53])
def test_every_level_degree_and_kind_of_bucket_is_read(tmp_path: Path, level: int, degree: int, partial: bool, n: int):
    splats = cloud(n, degree=degree)
    splats.sh[:, 1:].clamp_(-1, 1)
    (tmp_path / "a.ksplat").write_bytes(ksplat(splats, level, partial=partial))
    got = read_ksplat(tmp_path / "a.ksplat").splats
    of_means, of_rest = EXACT[level]
    torch.testing.assert_close(got.means, splats.means, atol=of_means + 1e-6, rtol=0)
    torch.testing.assert_close(got.log_scales, splats.log_scales, atol=of_rest + 1e-5, rtol=0)
    torch.testing.assert_close(got.quats, normalize(splats.quats, dim=1), atol=of_rest + 1e-5, rtol=0)
    torch.testing.assert_close(got.opacities, splats.opacities, atol=0.51 / 255, rtol=0)
    color = (0.5 + SH_C0 * splats.sh[:, 0]).clamp(0, 1)
    torch.testing.assert_close(0.5 + SH_C0 * got.sh[:, 0], color, atol=0.51 / 255, rtol=0)
    torch.testing.assert_close(got.sh[:, 1:], splats.sh[:, 1:], atol=(0, 1e-3, 0.51 * 2 / 255)[level] + 1e-6, rtol=0)


@pytest.mark.parametrize("size", [0, 100, 4095, 4096, 5000, -1])
def test_a_file_that_is_cut_off_is_refused(tmp_path: Path, size: int):
    (tmp_path / "a.ksplat").write_bytes(ksplat(cloud(30, degree=1), 1)[:size])
    with pytest.raises(FormatError, match=r"a\.ksplat is .*(cut off|damaged)"):
        read_ksplat(tmp_path / "a.ksplat")


@pytest.mark.parametrize(
    ("offset", "value"),
    [
        *[(4, 1), (4, 5000), (4, 2**32 - 1), (8, 9), (16, 7), (20, 3), (4096, 2**32 - 1), (4100, 2**31), (4108, 2**32 - 1)],
        *[(4096 + 32, 2**30), (4096 + 36, 2**30), (4096 + 36, 0), (4096 + 40, 4)],
    ],
)
def test_numbers_that_cannot_be_are_refused(tmp_path: Path, offset: int, value: int):
    content = bytearray(ksplat(cloud(30, degree=1), 2))
    struct.pack_into("<H" if offset in (20, 4096 + 40) else "<I", content, offset, value)
    (tmp_path / "a.ksplat").write_bytes(content)
    with pytest.raises(FormatError, match=r"a\.ksplat"):
        read_ksplat(tmp_path / "a.ksplat")
