import gzip
import struct
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
import torch
from torch.nn.functional import normalize

from splatpaint.errors import FormatError
from splatpaint.formats import FormatOptions, read_found, write_splats
from splatpaint.formats.spz import read_spz, turned_half_around_x, write_spz
from splatpaint.render.reference import rasterize
from splatpaint.scene.camera import Cameras
from splatpaint.scene.splats import Splats
from tests.support.scenes import cloud, orbit

Version = Literal[2, 3, 4]
VERSIONS: tuple[Version, ...] = (2, 3, 4)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("degree", [0, 1, 2, 3])
@pytest.mark.parametrize("n", [0, 1, 200])
def test_what_the_bytes_can_hold_survives(tmp_path: Path, version: Version, degree: int, n: int):
    splats = cloud(n, degree=degree)
    splats.sh[:, 1:].clamp_(-1, 0.99)
    write_spz(tmp_path / "a.spz", splats, version=version)
    got = read_spz(tmp_path / "a.spz").splats
    torch.testing.assert_close(got.means, splats.means, atol=6e-7, rtol=1e-6)
    torch.testing.assert_close(got.log_scales, splats.log_scales, atol=0.51 / 16, rtol=0)
    torch.testing.assert_close(got.opacities, splats.opacities, atol=0.51 / 255, rtol=0)
    torch.testing.assert_close(got.sh[:, :1], splats.sh[:, :1], atol=0.51 / 255 / 0.15, rtol=0)
    torch.testing.assert_close(got.sh[:, 1:], splats.sh[:, 1:], atol=0.51 / 128, rtol=0)
    cosines = (normalize(got.quats, dim=1) * normalize(splats.quats, dim=1)).sum(dim=1).abs()
    assert (cosines > (1 - 5e-3 if version == 2 else 1 - 5e-6)).all()


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("size", [1e-3, 1.0, 40.0, 3000.0, 8e6])
def test_positions_are_as_exact_as_their_size_allows(tmp_path: Path, version: Version, size: float):
    splats = cloud(100)
    splats = replace(splats, means=splats.means / splats.means.abs().max() * size)
    write_spz(tmp_path / "a.spz", splats, version=version)
    got = read_spz(tmp_path / "a.spz").splats
    assert (got.means - splats.means).abs().max() <= max(size / 2**22, 2**-21) * 1.01


def test_what_is_too_far_away_is_refused(tmp_path: Path):
    with pytest.raises(FormatError, match=r"cannot hold coordinates of 1e\+07"):
        write_spz(tmp_path / "a.spz", replace(cloud(2), means=torch.full((2, 3), 1e7)))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_half_a_turn_is_seen_by_a_camera_that_turns_along_as_nothing(degree: int):
    splats, cameras = cloud(40, degree=degree), orbit(3)
    turn = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0]))
    turned = Cameras(cameras.K, cameras.cam_from_world @ turn, cameras.width, cameras.height)
    before, after = rasterize(splats, cameras).color, rasterize(turned_half_around_x(splats), turned).color
    assert before.std() > 0.05
    torch.testing.assert_close(after, before, atol=1e-5, rtol=0)
    again = turned_half_around_x(turned_half_around_x(splats))
    assert all(torch.equal(again.tensors()[name], tensor) for name, tensor in splats.tensors().items())


@pytest.mark.parametrize("version", VERSIONS)
def test_the_frame_of_the_file_is_the_one_that_is_asked_for(tmp_path: Path, version: Version):
    splats = cloud(50, degree=2)
    rub = FormatOptions(spz_version=version, spz_frame="rub")
    write_splats(tmp_path / "a.spz", splats, rub)
    as_it_is, turned = (read_found(tmp_path / "a.spz", options).splats for options in (None, rub))
    torch.testing.assert_close(turned.means, splats.means, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(as_it_is.means, splats.means * torch.tensor([1.0, -1, -1]), atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(turned_half_around_x(as_it_is).sh, turned.sh)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("antialiased", [False, True])
def test_the_flag_of_antialiasing_is_kept_and_said(tmp_path: Path, version: Version, antialiased: bool):
    write_spz(tmp_path / "a.spz", cloud(3), version=version, antialiased=antialiased)
    found = read_found(tmp_path / "a.spz")
    assert found.antialiased == antialiased
    assert any("antialiased" in note for note in found.notes) == antialiased


def payload(splats: Splats, path: Path, version: Version) -> bytearray:
    write_spz(path, splats, version=version)
    return bytearray(gzip.decompress(path.read_bytes()) if version < 4 else path.read_bytes())


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("offset", "kind", "value", "said"),
    [
        (4, "<I", 1, "version 1 of"),
        (4, "<I", 5, "version 5 of"),
        (8, "<I", 51, "damaged"),
        (8, "<I", 2**32 - 1, "damaged: .* bytes cannot hold 4294967295 splats"),
        (12, "<B", 4, "harmonics of degree 4"),
        (12, "<B", 2, "damaged"),
        (13, "<B", 24, "damaged"),
        (13, "<B", 255, "damaged"),
    ],
)
def test_headers_that_cannot_be_are_refused(tmp_path: Path, version: Version, offset: int, kind: str, value: int, said: str):
    content = payload(cloud(50, degree=1), tmp_path / "a.spz", version)
    struct.pack_into(kind, content, offset, value)
    (tmp_path / "a.spz").write_bytes(bytes(content) if version == 4 else gzip.compress(content))
    with pytest.raises(FormatError, match=said):
        read_spz(tmp_path / "a.spz")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("share", [0.0, 0.01, 0.1, 0.5, 0.99])
def test_a_file_that_is_cut_off_is_refused(tmp_path: Path, version: Version, share: float):
    write_spz(tmp_path / "a.spz", cloud(500, degree=1), version=version)
    content = (tmp_path / "a.spz").read_bytes()
    (tmp_path / "a.spz").write_bytes(content[: int(share * len(content))])
    with pytest.raises(FormatError, match=r"a\.spz is .*(cut off|damaged)"):
        read_spz(tmp_path / "a.spz")


@pytest.mark.parametrize("version", VERSIONS)
def test_damaged_bytes_are_a_sentence_or_other_splats(tmp_path: Path, version: Version):
    write_spz(tmp_path / "a.spz", cloud(40, degree=1), version=version)
    content = (tmp_path / "a.spz").read_bytes()
    generator = torch.Generator().manual_seed(version)
    for _ in range(200):
        spoiled = bytearray(content)
        for position in torch.randint(len(content), (3,), generator=generator).tolist():
            spoiled[position] = int(torch.randint(256, (), generator=generator))
        (tmp_path / "b.spz").write_bytes(spoiled)
        with suppress(FormatError):
            read_found(tmp_path / "b.spz")


def test_latents_are_refused(tmp_path: Path):
    with pytest.raises(FormatError, match="only rgb ones"):
        write_spz(tmp_path / "a.spz", cloud(2, channels=4))
