"""Reading and writing by suffix, and never leaving half a file behind."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from splatpaint.errors import FormatError
from splatpaint.formats import SUFFIXES, drop_nonfinite, read_splats, write_splats
from tests.support.disk import files_of_at_most
from tests.support.scenes import cloud


@pytest.mark.parametrize("suffix", [*SUFFIXES, ".PLY"])
def test_every_suffix_can_be_written_and_read(tmp_path: Path, suffix: str):
    path = tmp_path / f"scene{suffix}"
    splats = cloud(12)
    write_splats(path, splats)
    assert torch.equal(read_splats(path).means, splats.means)
    assert [child.name for child in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_writing_makes_missing_folders_and_replaces_old_files(tmp_path: Path, suffix: str):
    path = tmp_path / "new" / "folder" / f"scene{suffix}"
    write_splats(path, cloud(3))
    write_splats(path, cloud(5))
    assert len(read_splats(path)) == 5


def test_an_unknown_suffix_is_refused_with_the_known_ones(tmp_path: Path):
    path = tmp_path / "scene.obj"
    with pytest.raises(FormatError, match=r"unknown suffix '.obj', expected one of .ply, .splat, .safetensors"):
        write_splats(path, cloud(1))
    path.touch()
    with pytest.raises(FormatError, match=r"unknown suffix '.obj'"):
        read_splats(path)


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path):
    with pytest.raises(FormatError, match=r"scene\.ply does not exist"):
        read_splats(tmp_path / "scene.ply")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_target_that_cannot_be_written_is_a_format_error(tmp_path: Path, suffix: str):
    (tmp_path / "file").touch()
    with pytest.raises(FormatError, match="cannot be written"):
        write_splats(tmp_path / "file" / f"scene{suffix}", cloud(1))
    (tmp_path / f"folder{suffix}").mkdir()
    with pytest.raises(FormatError, match="cannot be written"):
        write_splats(tmp_path / f"folder{suffix}", cloud(1))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_full_disk_is_a_format_error_and_leaves_the_old_file(tmp_path: Path, suffix: str):
    path = tmp_path / f"scene{suffix}"
    write_splats(path, cloud(2))
    with files_of_at_most(4096), pytest.raises(FormatError, match="File too large"):
        write_splats(path, cloud(1000))
    assert len(read_splats(path)) == 2
    assert list(tmp_path.iterdir()) == [path]


def test_broken_splats_are_dropped_and_counted():
    splats = cloud(6, degree=1)
    means, sh, logits = splats.means.clone(), splats.sh.clone(), splats.logit_opacities.clone()
    means[1, 0], sh[4, 3, 2], logits[4] = torch.inf, torch.nan, torch.nan
    kept, dropped = drop_nonfinite(replace(splats, means=means, sh=sh, logit_opacities=logits))
    assert dropped == 2
    assert torch.equal(kept.means, splats.means[[0, 2, 3, 5]])
    assert drop_nonfinite(splats)[1] == 0
    assert drop_nonfinite(cloud(0))[1] == 0


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("field", ["means", "quats", "log_scales", "logit_opacities", "sh"])
def test_splats_that_are_not_finite_are_never_written(tmp_path: Path, suffix: str, value: float, field: str):
    path = tmp_path / f"scene{suffix}"
    write_splats(path, cloud(3))
    before = path.read_bytes()
    broken = cloud(6)
    broken.tensors()[field].view(6, -1)[2:4, 0] = value
    with pytest.raises(FormatError, match="2 of 6 splats have numbers that are not finite"):
        write_splats(path, broken)
    assert path.read_bytes() == before
