import json
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import normalize

from splatpaint.errors import FormatError
from splatpaint.formats import read_found
from splatpaint.formats.morton import morton_order
from splatpaint.formats.sog import read_sog, write_sog
from tests.support.scenes import cloud

Parts = dict[str, bytes]


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
@pytest.mark.parametrize("n", [1, 15, 16, 17, 900])
def test_what_the_pictures_can_hold_survives(tmp_path: Path, degree: int, n: int):
    splats = cloud(n, degree=degree)
    write_sog(tmp_path / "a.sog", splats)
    splats, got = splats[morton_order(splats.means)], read_sog(tmp_path / "a.sog").splats
    assert got.sh_degree == degree
    torch.testing.assert_close(got.means, splats.means, atol=3e-4, rtol=3e-4)
    torch.testing.assert_close(got.opacities, splats.opacities, atol=0.51 / 255, rtol=0)
    torch.testing.assert_close(got.log_scales, splats.log_scales, atol=0.015, rtol=0)
    torch.testing.assert_close(got.sh, splats.sh, atol=0.02, rtol=0)
    assert ((got.quats * normalize(splats.quats, dim=1)).sum(dim=1).abs() > 1 - 5e-5).all()


def test_transparent_splats_keep_their_colors(tmp_path: Path):
    splats = cloud(100)
    splats.logit_opacities[:] = -20
    write_sog(tmp_path / "a.sog", splats)
    got = read_sog(tmp_path / "a.sog").splats
    torch.testing.assert_close(got.sh, splats[morton_order(splats.means)].sh, atol=0.02, rtol=0)


def test_no_splats_survive_too(tmp_path: Path):
    write_sog(tmp_path / "a.sog", cloud(0, degree=1))
    assert len(read_sog(tmp_path / "a.sog").splats) == 0


@pytest.mark.parametrize("antialiased", [False, True])
def test_antialiasing_is_kept_and_said(tmp_path: Path, antialiased: bool):
    write_sog(tmp_path / "a.sog", cloud(3), antialiased=antialiased)
    found = read_found(tmp_path / "a.sog")
    assert found.antialiased == antialiased
    assert any("antialiased" in note for note in found.notes) == antialiased


def spoiled(path: Path, spoil: Callable[[Parts], object]) -> Path:
    write_sog(path / "a.sog", cloud(60, degree=1))
    with zipfile.ZipFile(path / "a.sog") as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    spoil(parts)
    with zipfile.ZipFile(path / "b.sog", "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path / "b.sog"


@pytest.mark.parametrize(
    "name", ["meta.json", "means_l.webp", "quats.webp", "sh0.webp", "shN_centroids.webp", "shN_labels.webp"]
)
@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "other"])
def test_damaged_parts_are_said(tmp_path: Path, name: str, damage: str):
    def spoil(parts: Parts) -> None:
        if damage == "missing":
            del parts[name]
        else:
            parts[name] = {"empty": b"", "cut": parts[name][:40], "other": b"%!PS-Adobe-3.0\n"}[damage]

    with pytest.raises(FormatError, match=r"b\.sog is (damaged|no \.sog file)"):
        read_sog(spoiled(tmp_path, spoil))


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("version",), 3),
        (("version",), None),
        (("count",), 10**9),
        (("count",), -1),
        (("count",), 60.5),
        (("count",), True),
        (("count",), 10**6),
        (("means",), None),
        (("means", "mins"), [0, 0]),
        (("means", "mins"), [0, "x", 0]),
        (("means", "maxs"), [10**400, 0, 0]),
        (("means", "files"), ["means_l.webp"]),
        (("means", "files"), [1, 2]),
        (("quats", "files"), ["../../quats.webp"]),
        (("quats", "files"), ["meta.json"]),
        (("scales", "codebook"), [1.0]),
        (("scales", "codebook"), {}),
        (("sh0", "codebook"), []),
        (("shN",), 3),
        (("shN", "bands"), 4),
        (("shN", "bands"), 2),
        (("shN", "count"), 70000),
        (("shN", "codebook"), None),
    ],
)
def test_what_meta_json_cannot_say_is_refused(tmp_path: Path, keys: tuple[str, ...], value: Any):
    def spoil(parts: Parts) -> None:
        meta = tree = json.loads(parts["meta.json"])
        for key in keys[:-1]:
            tree = tree[key]
        tree[keys[-1]] = value
        parts["meta.json"] = json.dumps(meta).encode()

    with pytest.raises(FormatError) as refusal:
        read_sog(spoiled(tmp_path, spoil))
    assert "b.sog is" in str(refusal.value)
    assert len(str(refusal.value)) < 400


@pytest.mark.parametrize("content", [b"[]", b"{", b"\xff", b"[" * 100_000, b"9" * 5000])
def test_a_meta_json_that_is_none_is_refused(tmp_path: Path, content: bytes):
    with pytest.raises(FormatError, match=r"its meta\.json"):
        read_sog(spoiled(tmp_path, lambda parts: parts.update({"meta.json": content})))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_file_that_is_cut_off_is_refused(tmp_path: Path, share: float):
    write_sog(tmp_path / "a.sog", cloud(60, degree=1))
    content = (tmp_path / "a.sog").read_bytes()
    (tmp_path / "a.sog").write_bytes(content[: int(share * len(content))])
    with pytest.raises(FormatError, match=r"a\.sog cannot be read as \.sog: its archive is damaged"):
        read_sog(tmp_path / "a.sog")


def test_damaged_bytes_are_a_sentence_or_other_splats(tmp_path: Path):
    write_sog(tmp_path / "a.sog", cloud(40, degree=1))
    content = (tmp_path / "a.sog").read_bytes()
    generator = torch.Generator().manual_seed(0)
    for _ in range(200):
        damaged = bytearray(content)
        for position in torch.randint(len(content), (3,), generator=generator).tolist():
            damaged[position] = int(torch.randint(256, (), generator=generator))
        (tmp_path / "b.sog").write_bytes(damaged)
        with suppress(FormatError):
            read_found(tmp_path / "b.sog")


def test_latents_are_refused(tmp_path: Path):
    with pytest.raises(FormatError, match="only rgb ones"):
        write_sog(tmp_path / "a.sog", cloud(2, channels=4))
