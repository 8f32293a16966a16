from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from plyfile import PlyData, PlyElement

from splatpaint.errors import FormatError
from splatpaint.formats.ply import read_ply, write_ply
from splatpaint.scene.splats import Splats
from tests.support.scenes import cloud


def write_table(path: Path, columns: dict[str, np.ndarray], *, element: str = "vertex", text: bool = False) -> None:
    table = np.zeros(len(next(iter(columns.values()))), dtype=[(name, values.dtype) for name, values in columns.items()])
    for name, values in columns.items():
        table[name] = values
    PlyData([PlyElement.describe(table, element)], text=text).write(path)


def columns_of(path: Path) -> dict[str, np.ndarray]:
    table = PlyData.read(path)["vertex"].data
    return {name: np.array(table[name]) for name in table.dtype.names}


def read(path: Path) -> Splats:
    return read_ply(path).splats


def assert_equal(got: Splats, wanted: Splats) -> None:
    for name, tensor in wanted.tensors().items():
        assert torch.equal(got.tensors()[name], tensor), name


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_every_degree_survives_bit_by_bit(tmp_path: Path, degree: int):
    splats = cloud(17, degree=degree)
    write_ply(tmp_path / "a.ply", splats)
    assert_equal(read(tmp_path / "a.ply"), splats.with_sh_degree(3))
    write_ply(tmp_path / "a.ply", splats, compact=True)
    assert_equal(read(tmp_path / "a.ply"), splats)


def test_no_splats_survive_too(tmp_path: Path):
    write_ply(tmp_path / "a.ply", cloud(0, degree=1), compact=True)
    assert read(tmp_path / "a.ply").sh.shape == (0, 4, 3)


@pytest.mark.parametrize(("compact", "rest"), [(False, 45), (True, 9)])
def test_the_header_is_the_one_other_programs_expect(tmp_path: Path, compact: bool, rest: int):
    write_ply(tmp_path / "a.ply", cloud(2, degree=1), compact=compact)
    header = (tmp_path / "a.ply").read_bytes().split(b"end_header\n")[0].decode().splitlines()
    names = ["x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2"] + [f"f_rest_{i}" for i in range(rest)]
    names += ["opacity", "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"]
    assert header[:3] == ["ply", "format binary_little_endian 1.0", "element vertex 2"]
    assert header[3:] == [f"property float {name}" for name in names]


def test_harmonics_above_dc_lie_channel_by_channel(tmp_path: Path):
    splats = cloud(4, degree=3)
    write_ply(tmp_path / "a.ply", splats)
    columns = columns_of(tmp_path / "a.ply")
    for channel in range(3):
        assert np.array_equal(columns[f"f_dc_{channel}"], splats.sh[:, 0, channel])
        for term in range(1, 16):
            assert np.array_equal(columns[f"f_rest_{15 * channel + term - 1}"], splats.sh[:, term, channel])
    assert np.array_equal(columns["rot_0"], splats.quats[:, 0])
    assert not columns["nx"].any()


def test_properties_are_found_by_name_in_any_order_and_type(tmp_path: Path):
    splats = cloud(6, degree=2)
    write_ply(tmp_path / "a.ply", splats, compact=True)
    shuffled = {name: values.astype("f8") for name, values in reversed(columns_of(tmp_path / "a.ply").items())}
    del shuffled["nx"], shuffled["ny"], shuffled["nz"]
    write_table(tmp_path / "b.ply", shuffled | {"label": np.arange(6, dtype="u1")}, text=True)
    got = read(tmp_path / "b.ply")
    for name, tensor in splats.tensors().items():
        torch.testing.assert_close(got.tensors()[name], tensor)


def test_broken_rows_are_kept_for_the_caller_to_judge(tmp_path: Path):
    splats = cloud(3)
    splats.means[1, 2] = torch.nan
    splats.logit_opacities[2] = torch.inf
    write_ply(tmp_path / "a.ply", splats)
    got = read(tmp_path / "a.ply")
    assert len(got) == 3
    assert got.means[1].isnan().tolist() == [False, False, True]
    assert got.logit_opacities[2] == torch.inf


def test_a_point_cloud_is_refused_with_what_it_lacks(tmp_path: Path):
    floats = np.zeros(3, dtype="f4")
    write_table(tmp_path / "points.ply", {"x": floats, "y": floats, "z": floats, "red": floats.astype("u1")})
    with pytest.raises(FormatError, match=r"points.ply holds no splats but a mesh or a point cloud.*f_dc_0.*opacity.*rot_3"):
        read(tmp_path / "points.ply")


def test_a_file_without_vertices_is_refused_with_what_it_has(tmp_path: Path):
    write_table(tmp_path / "a.ply", {"x": np.zeros(1)}, element="camera")
    with pytest.raises(FormatError, match=r"no `vertex` element, only \['camera'\]"):
        read(tmp_path / "a.ply")


def test_an_odd_number_of_harmonics_is_refused(tmp_path: Path):
    write_ply(tmp_path / "a.ply", cloud(2, degree=1), compact=True)
    columns = columns_of(tmp_path / "a.ply")
    del columns["f_rest_8"]
    write_table(tmp_path / "b.ply", columns)
    with pytest.raises(FormatError, match="8 f_rest properties, expected 0, 9, 24, 45 or 72"):
        read(tmp_path / "b.ply")


@pytest.mark.parametrize("content", [b"", b"hello", b"ply\nformat ascii 1.0\nelement vertex 3\n", b"\xff\xfe\x00\x01"])
def test_what_is_no_ply_is_refused(tmp_path: Path, content: bytes):
    (tmp_path / "a.ply").write_bytes(content)
    with pytest.raises(FormatError, match=r"a\.ply"):
        read(tmp_path / "a.ply")


def test_a_truncated_file_is_refused(tmp_path: Path):
    write_ply(tmp_path / "a.ply", cloud(20))
    whole = (tmp_path / "a.ply").read_bytes()
    (tmp_path / "a.ply").write_bytes(whole[:-10])
    with pytest.raises(FormatError, match=r"cut off or damaged: its header promises 20 rows of vertex, it holds 19"):
        read(tmp_path / "a.ply")


def test_latents_are_refused(tmp_path: Path):
    with pytest.raises(FormatError, match=r"latent splats, only rgb ones: write them to a \.safetensors file"):
        write_ply(tmp_path / "a.ply", cloud(2, channels=4))
    assert not list(tmp_path.iterdir())


def test_what_the_optimizer_holds_can_be_written(tmp_path: Path):
    splats = cloud(3, degree=1).to(torch.float64)
    splats = replace(splats, **{name: tensor.requires_grad_() for name, tensor in splats.tensors().items()})
    write_ply(tmp_path / "a.ply", splats, compact=True)
    assert_equal(read(tmp_path / "a.ply"), splats.detach().to(torch.float32))
