"""`splatpaint convert`, and where files of splats are written."""

import gzip
import itertools
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from splatpaint.formats import WRITABLE, read_found, read_splats, write_splats
from splatpaint.formats.found import OPAQUE_LOGIT
from splatpaint.formats.ply import write_ply
from tests.cli.conftest import Cli
from tests.support.scenes import cloud

Refused = Callable[..., str]


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    write_splats(tmp_path / "scene.ply", cloud(300, degree=3))
    return tmp_path / "scene.ply"


@pytest.mark.parametrize("suffix", WRITABLE)
def test_every_format_becomes_a_ply_again(cli: Cli, scene: Path, tmp_path: Path, suffix: str):
    assert cli("convert", scene, tmp_path / f"there{suffix}").exit_code == 0
    result = cli("convert", tmp_path / f"there{suffix}", tmp_path / "back.ply")
    assert result.exit_code == 0, result.output
    assert "300 splats" in result.output
    back, given = read_splats(tmp_path / "back.ply"), read_splats(scene)
    distances = torch.cdist(given.means, back.means, compute_mode="donot_use_mm_for_euclid_dist")
    assert distances.amin(dim=1).max() < 0.01


def test_what_is_found_and_dropped_is_said(cli: Cli, tmp_path: Path):
    splats = cloud(30)
    splats.logit_opacities[:4], splats.quats[5:8], splats.means[9] = torch.inf, 0, torch.nan
    write_ply(tmp_path / "in.ply", splats)
    result = cli("convert", tmp_path / "in.ply", tmp_path / "out.ply")
    assert result.exit_code == 0
    for said in ("4 of 30 splats are exactly opaque", "3 of 30 splats have a rotation of zero", "1 of 30 splats have numbers"):
        assert said in result.stderr
    assert len(read_splats(tmp_path / "out.ply")) == 26
    assert (read_splats(tmp_path / "out.ply").logit_opacities[:4] == OPAQUE_LOGIT).all()


@pytest.mark.parametrize(("options", "count"), [([], 45), (["--compact"], 9)])
def test_a_ply_has_all_harmonics_unless_asked_otherwise(cli: Cli, tmp_path: Path, options: list[str], count: int):
    write_splats(tmp_path / "in.safetensors", cloud(3, degree=1))
    cli("convert", tmp_path / "in.safetensors", tmp_path / "out.ply", *options)
    assert (tmp_path / "out.ply").read_bytes().count(b"property float f_rest_") == count


@pytest.mark.parametrize("content", [b"ply\nnothing\n", b"", b"hello world"])
@pytest.mark.parametrize("suffix", [".ply", ".compressed.ply", ".safetensors"])
def test_what_cannot_be_read_is_one_sentence_and_writes_nothing(refused: Refused, tmp_path: Path, content: bytes, suffix: str):
    (tmp_path / f"in{suffix}").write_bytes(content)
    assert f"in{suffix}" in refused("convert", tmp_path / f"in{suffix}", tmp_path / "out.ply")
    assert not (tmp_path / "out.ply").exists()


def test_no_splats_are_refused(cli: Cli, tmp_path: Path):
    splats = cloud(3)
    splats.quats[:] = 0
    write_ply(tmp_path / "in.ply", splats)
    result = cli("convert", tmp_path / "in.ply", tmp_path / "out.ply")
    assert result.exit_code == 2
    assert "3 of 3 splats have a rotation of zero" in result.stderr
    assert result.stderr.splitlines()[-1].endswith("in.ply holds no splats")
    assert not (tmp_path / "out.ply").exists()


@pytest.mark.parametrize("version", ["2", "3", "4"])
@pytest.mark.parametrize("frame", ["ply", "rub"])
def test_spz_is_of_the_version_and_in_the_axes_that_are_asked_for(
    cli: Cli, scene: Path, tmp_path: Path, version: str, frame: str
):
    options = ["--spz-version", version, "--spz-frame", frame]
    assert cli("convert", scene, tmp_path / "a.spz", *options).exit_code == 0
    content = (tmp_path / "a.spz").read_bytes()
    assert int(version) == (content if version == "4" else gzip.decompress(content))[4]
    assert cli("convert", tmp_path / "a.spz", tmp_path / "b.ply", "--spz-frame", frame).exit_code == 0
    torch.testing.assert_close(read_splats(tmp_path / "b.ply").means, read_splats(scene).means, atol=1e-6, rtol=1e-6)
    assert cli("convert", tmp_path / "a.spz", tmp_path / "c.ply").exit_code == 0
    sign = -1 if frame == "rub" else 1
    torch.testing.assert_close(
        read_splats(tmp_path / "c.ply").means[:, 1], sign * read_splats(scene).means[:, 1], atol=1e-6, rtol=1e-6
    )


def test_antialiasing_goes_along_where_the_format_can_say_it(cli: Cli, tmp_path: Path):
    write_ply(tmp_path / "a.ply", cloud(300), antialiased=True)
    chain = ["a.ply", "b.compressed.ply", "c.spz", "d.sog", "e.ply"]
    for source, out in itertools.pairwise(chain):
        result = cli("convert", tmp_path / source, tmp_path / out)
        assert "antialiased (mip) rendering" in result.stderr
    assert read_found(tmp_path / "e.ply").antialiased
    cli("convert", tmp_path / "e.ply", tmp_path / "f.splat")
    assert not read_found(tmp_path / "f.splat").antialiased


@pytest.mark.parametrize("command", ["export", "convert"])
def test_a_format_that_is_only_read_is_not_written(refused: Refused, finished: Path, scene: Path, tmp_path: Path, command: str):
    arguments = ["export", finished, "-o"] if command == "export" else ["convert", scene]
    assert ".ksplat files can be read but not written" in refused(*arguments, tmp_path / "out.ksplat")


@pytest.mark.parametrize("suffix", WRITABLE)
def test_a_run_is_exported_in_every_format_and_checked(cli: Cli, finished: Path, tmp_path: Path, suffix: str):
    result = cli("export", finished, "-o", tmp_path / f"out{suffix}")
    assert result.exit_code == 0, result.output
    assert "self_check_psnr" in result.output
    assert len(read_splats(tmp_path / f"out{suffix}")) == len(read_splats(finished / "inpaint" / "splats.safetensors"))


@pytest.mark.parametrize("name", ["out.obj", "out", "out.ply.gz"])
def test_unknown_suffixes_are_refused_before_anything_is_read(refused: Refused, tmp_path: Path, name: str):
    assert "unknown suffix" in refused("convert", tmp_path / "missing.ply", tmp_path / name)


@pytest.mark.parametrize("command", ["export", "convert"])
@pytest.mark.parametrize("target", ["there", "missing", "chain"])
def test_a_link_is_followed_to_what_it_points_to(
    cli: Cli, finished: Path, scene: Path, tmp_path: Path, command: str, target: str
):
    (tmp_path / "big").mkdir()
    real, link = tmp_path / "big" / "real.ply", tmp_path / "link.ply"
    if target != "missing":
        real.write_text("old")
        real.chmod(0o640)
    link.symlink_to("second.ply" if target == "chain" else Path("big", "real.ply"))
    if target == "chain":
        (tmp_path / "second.ply").symlink_to(real)
    result = cli("export", finished, "-o", link) if command == "export" else cli("convert", scene, link)
    assert result.exit_code == 0, result.output
    assert link.is_symlink()
    assert real.read_bytes().startswith(b"ply")
    assert target == "missing" or real.stat().st_mode & 0o777 == 0o640
    assert [file.name for file in (tmp_path / "big").iterdir()] == ["real.ply"]


def test_links_in_a_circle_are_refused(refused: Refused, scene: Path, tmp_path: Path):
    (tmp_path / "a.ply").symlink_to("b.ply")
    (tmp_path / "b.ply").symlink_to("a.ply")
    assert "a.ply" in refused("convert", scene, tmp_path / "a.ply")
    assert (tmp_path / "a.ply").is_symlink()


@pytest.mark.parametrize("mode", [0o600, 0o664])
def test_a_file_that_is_replaced_keeps_its_mode(cli: Cli, finished: Path, tmp_path: Path, mode: int):
    (tmp_path / "private.ply").touch()
    (tmp_path / "private.ply").chmod(mode)
    assert cli("export", finished, "-o", tmp_path / "private.ply").exit_code == 0
    assert (tmp_path / "private.ply").stat().st_mode & 0o777 == mode


@pytest.mark.parametrize("name", ["a" * 251 + ".ply", "花" * 80 + ".ply", "a" * 240 + ".compressed.ply", "für uns [1].ply"])
def test_long_and_foreign_names_work(cli: Cli, scene: Path, tmp_path: Path, name: str):
    assert cli("convert", scene, tmp_path / "out" / name).exit_code == 0
    assert os.listdir(tmp_path / "out") == [name]


def test_a_quoted_tilde_is_the_home_folder(cli: Cli, scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    assert cli("convert", scene, "~/out/scene.splat").exit_code == 0
    assert (tmp_path / "home" / "out" / "scene.splat").stat().st_size == 32 * 300
    assert cli("convert", "~/out/scene.splat", "back.ply").exit_code == 0
    assert not (tmp_path / "~").exists()


def test_the_home_folder_of_nobody_is_a_sentence(cli: Cli, scene: Path):
    result = cli("convert", scene, "~nobody-of-this-name/out.ply")
    assert result.exit_code == 2
    assert "home folder of a user who is not known" in result.stderr


def test_a_compressed_name_holds_a_compressed_file(cli: Cli, finished: Path, tmp_path: Path):
    assert cli("export", finished, "-o", tmp_path / "x.compressed.ply").exit_code == 0
    assert b"packed_position" in (tmp_path / "x.compressed.ply").read_bytes()[:2000]


def test_splats_replaced_under_their_name_are_noticed(
    cli: Cli, refused: Refused, wall: Path, finished: Path, settings: list[str], tmp_path: Path
):
    cli("export", finished, "-o", tmp_path / "s.ply", "--stage", "reconstruct")
    fit = ["fit", wall, "-o", tmp_path / "run", "--test-every", "5", *settings, "--init-ply", tmp_path / "s.ply"]
    assert cli(*fit).exit_code == 0
    assert "already there" in cli(*fit).output, "the same file is the same run"
    content = np.fromfile(tmp_path / "s.ply", dtype="u1")
    (tmp_path / "s.ply").write_bytes(content.tobytes()[:-4] + bytes(4))
    if len(content) < 65536:
        assert "as it was before its files changed" in refused(*fit)
    write_splats(tmp_path / "s.ply", cloud(50))
    assert "as it was before its files changed" in refused(*fit)
    assert "as it was before its files changed" in refused(*fit, "--resume")


def test_adopted_splats_are_read_for_what_they_are(cli: Cli, wall: Path, finished: Path, settings: list[str], tmp_path: Path):
    cli("export", finished, "-o", tmp_path / "s.ply", "--stage", "reconstruct")
    splats = read_splats(tmp_path / "s.ply")
    splats.logit_opacities[:5] = torch.inf
    splats.quats[5:8] = 0
    write_ply(tmp_path / "s.ply", splats)
    result = cli("fit", wall, "-o", tmp_path / "run", "--test-every", "5", *settings, "--init-ply", tmp_path / "s.ply")
    assert result.exit_code == 0, result.output
    assert f"5 of {len(splats)} splats are exactly opaque or transparent" in " ".join(result.output.split())
    assert f"3 of {len(splats)} splats have a rotation of zero" in " ".join(result.output.split())
    adopted = read_splats(tmp_path / "run" / "reconstruct" / "splats.safetensors")
    assert len(adopted) == len(splats) - 3
