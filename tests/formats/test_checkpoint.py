from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from splatpaint.errors import FormatError
from splatpaint.formats.checkpoint import FORMAT, read_checkpoint, write_checkpoint
from tests.support.scenes import cloud


@settings(max_examples=25, deadline=None)
@given(
    n=st.integers(0, 30),
    degree=st.integers(0, 3),
    channels=st.integers(1, 5),
    dtype=st.sampled_from([torch.float16, torch.bfloat16, torch.float32, torch.float64]),
)
def test_everything_survives_bit_by_bit(
    tmp_path_factory: pytest.TempPathFactory, n: int, degree: int, channels: int, dtype: torch.dtype
):
    path = tmp_path_factory.mktemp("checkpoint") / "a.safetensors"
    splats = cloud(n, degree=degree, channels=channels).to(dtype)
    write_checkpoint(path, splats)
    got = read_checkpoint(path)
    assert got.space == splats.space
    for name, tensor in splats.tensors().items():
        assert got.tensors()[name].dtype == dtype
        assert torch.equal(got.tensors()[name], tensor)


def test_not_a_number_survives(tmp_path: Path):
    splats = cloud(2)
    splats.means[0, 0] = torch.nan
    write_checkpoint(tmp_path / "a.safetensors", splats)
    assert read_checkpoint(tmp_path / "a.safetensors").means[0, 0].isnan()


def test_splats_that_share_memory_can_be_written(tmp_path: Path):
    splats = cloud(10)
    write_checkpoint(tmp_path / "a.safetensors", splats[::2])
    assert torch.equal(read_checkpoint(tmp_path / "a.safetensors").sh, splats.sh[::2])


def test_other_tensors_are_refused(tmp_path: Path):
    save_file({"weight": torch.zeros(3)}, tmp_path / "a.safetensors")
    with pytest.raises(FormatError, match="holds no splats: its metadata says None"):
        read_checkpoint(tmp_path / "a.safetensors")


@pytest.mark.parametrize("damage", ["missing", "unknown", "shape", "kind", "space", "no space"])
def test_tensors_that_are_not_those_of_splats_are_refused(tmp_path: Path, damage: str):
    tensors, metadata = cloud(4, degree=1).tensors(), {"format": FORMAT, "space": "rgb"}
    match damage:
        case "missing":
            del tensors["sh"]
        case "unknown":
            tensors["motion"] = torch.zeros(4, 3)
        case "shape":
            tensors["means"] = torch.zeros(4, 2)
        case "kind":
            tensors["quats"] = torch.zeros(4, 4, dtype=torch.int32)
        case "space":
            metadata["space"] = "hsv"
        case _:
            del metadata["space"]
    save_file(tensors, tmp_path / "a.safetensors", metadata)
    with pytest.raises(FormatError, match=r"a\.safetensors holds no splats"):
        read_checkpoint(tmp_path / "a.safetensors")


@pytest.mark.parametrize("content", [b"", b"hello world", bytes(100)])
def test_damaged_files_are_refused(tmp_path: Path, content: bytes):
    (tmp_path / "a.safetensors").write_bytes(content)
    with pytest.raises(FormatError, match=r"cannot be read as \.safetensors"):
        read_checkpoint(tmp_path / "a.safetensors")


def test_the_same_splats_are_the_same_bytes_every_time(tmp_path: Path):
    splats = cloud(5, degree=1)
    for number in range(12):
        write_checkpoint(tmp_path / f"{number}.safetensors", splats)
    assert len({file.read_bytes() for file in tmp_path.iterdir()}) == 1
    assert torch.equal(read_checkpoint(tmp_path / "0.safetensors").sh, splats.sh)


@pytest.mark.parametrize("wrong", ["missing", "unknown", "shape", "whole numbers", "no space"])
def test_tensors_that_are_no_splats_are_refused(tmp_path: Path, wrong: str):
    tensors = {name: value.contiguous() for name, value in cloud(5).tensors().items()}
    metadata = {"format": FORMAT, "space": "rgb"}
    match wrong:
        case "missing":
            del tensors["quats"]
        case "unknown":
            tensors["more"] = tensors["means"].clone()
        case "shape":
            tensors["means"] = tensors["means"][:3].clone()
        case "whole numbers":
            tensors["sh"] = tensors["sh"].int()
        case _:
            del metadata["space"]
    save_file(tensors, tmp_path / "a.safetensors", metadata=metadata)
    with pytest.raises(FormatError, match=r"a\.safetensors holds no splats"):
        read_checkpoint(tmp_path / "a.safetensors")
