"""Reading and writing by suffix, and never leaving half a file behind."""

from pathlib import Path

import pytest
import torch

from splatpaint.errors import FormatError
from splatpaint.formats import SUFFIXES, WRITABLE, read_splats, write_splats
from tests.support.disk import files_of_at_most
from tests.support.scenes import cloud


@pytest.mark.parametrize("suffix", [*WRITABLE, ".PLY", ".Compressed.Ply"])
def test_every_suffix_can_be_written_and_read(tmp_path: Path, suffix: str):
    path = tmp_path / f"scene{suffix}"
    splats = cloud(12)
    write_splats(path, splats)
    got = read_splats(path)
    distances = torch.cdist(splats.means, got.means, compute_mode="donot_use_mm_for_euclid_dist")
    assert len(got) == 12
    assert distances.amin(dim=1).max() < 0.003, "packed formats place splats on a grid, and in an order of their own"
    assert [child.name for child in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", WRITABLE)
def test_writing_makes_missing_folders_and_replaces_old_files(tmp_path: Path, suffix: str):
    path = tmp_path / "new" / "folder" / f"scene{suffix}"
    write_splats(path, cloud(3))
    write_splats(path, cloud(5))
    assert len(read_splats(path)) == 5


def test_an_unknown_suffix_is_refused_with_the_known_ones(tmp_path: Path):
    path = tmp_path / "scene.obj"
    with pytest.raises(FormatError, match=r"unknown suffix '.obj', expected one of .compressed.ply, .ply, "):
        write_splats(path, cloud(1))
    path.touch()
    with pytest.raises(FormatError, match=r"unknown suffix '.obj'"):
        read_splats(path)


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path):
    with pytest.raises(FormatError, match=r"scene\.ply does not exist"):
        read_splats(tmp_path / "scene.ply")


@pytest.mark.parametrize("suffix", WRITABLE)
def test_a_target_that_cannot_be_written_is_a_format_error(tmp_path: Path, suffix: str):
    (tmp_path / "file").touch()
    with pytest.raises(FormatError, match="cannot be written"):
        write_splats(tmp_path / "file" / f"scene{suffix}", cloud(1))
    (tmp_path / f"folder{suffix}").mkdir()
    with pytest.raises(FormatError, match="cannot be written"):
        write_splats(tmp_path / f"folder{suffix}", cloud(1))


@pytest.mark.parametrize("suffix", WRITABLE)
def test_a_full_disk_is_a_format_error_and_leaves_the_old_file(tmp_path: Path, suffix: str):
    path = tmp_path / f"scene{suffix}"
    write_splats(path, cloud(2))
    with files_of_at_most(4096), pytest.raises(FormatError, match="File too large"):
        write_splats(path, cloud(1000))
    assert len(read_splats(path)) == 2
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("suffix", WRITABLE)
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


@pytest.mark.parametrize("name", ["scene.compressed.ply", "scene.COMPRESSED.PLY", "a.b.compressed.ply"])
def test_of_two_suffixes_that_fit_the_longer_counts(tmp_path: Path, name: str):
    write_splats(tmp_path / name, cloud(300))
    assert b"packed_position" in (tmp_path / name).read_bytes()[:2000]
    write_splats(tmp_path / "compressed.ply", cloud(300))
    assert b"packed_position" not in (tmp_path / "compressed.ply").read_bytes()[:2000]


@pytest.mark.parametrize("content", [".ply", ".compressed.ply", ".safetensors"])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_of_another_format_is_said_to_be_one(tmp_path: Path, content: str, suffix: str):
    write_splats(tmp_path / f"scene{content}", cloud(64))
    renamed = (tmp_path / f"scene{content}").rename(tmp_path / f"renamed{suffix}")
    if content.endswith("ply") and suffix.endswith("ply"):
        assert len(read_splats(renamed)) == 64, "the two are told apart by their headers"
        return
    if content == suffix:
        return
    kind = "." + content.split(".")[-1]
    with pytest.raises(FormatError, match=rf"renamed\{suffix} is no \{suffix} file but a \{kind} by its first bytes"):
        read_splats(renamed)
