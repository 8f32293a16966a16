"""The examples run, and so does the one in the package's docstring; what they use are the names that the package offers."""

import ast
import inspect
import re
import runpy
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import splatpaint
from splatpaint.formats import read_splats, write_splats
from splatpaint.image.files import image_size, read_image
from splatpaint.scene.splats import SH_C0, Splats
from tests.support.walls import SIZE, wall_with_ball, write_wall
from tests.test_imports import HEAVY, imported_by

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
TOUCHING = 0.9
"""Depth of a ball that touches the wall, so that no view sees what it hides."""
Run = Callable[..., None]


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gray wall with a red ball at it; masks mark the ball. Not to be changed."""
    return write_wall(tmp_path_factory.mktemp("wall"), ball_z=TOUCHING)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the example of a number as a script, in this process."""

    def run_script(number: int, *arguments: object) -> None:
        script = EXAMPLES[number - 1]
        monkeypatch.setattr(sys, "argv", [script.name, *map(str, arguments)])
        runpy.run_path(str(script), run_name="__main__")

    return run_script


def redness(splats: Splats) -> float:
    """Largest difference of red and green of a splat: 0.8 of the ball, 0 of the wall."""
    colors = splats.sh[:, 0] * SH_C0 + 0.5
    return float((colors[:, 0] - colors[:, 1]).max())


def example_in(text: str) -> str:
    """The indented or fenced lines of a text from `from pathlib` to the last that writes splats, without their indent."""
    found = re.search(r"^ *from pathlib import Path\n.*?write_splats\([^\n]*\n", text, re.DOTALL | re.MULTILINE)
    assert found
    return textwrap.dedent(found[0])


def test_removing_an_object_prints_events_and_writes_the_scene_without_it(run: Run, capture: Path, tmp_path: Path, capsys):
    run(1, capture, tmp_path, "--steps", 20, "--fill-steps", 4)
    printed = capsys.readouterr().out
    assert all(f"stage='{stage}'" in printed for stage in ("capture", "reconstruct", "remove", "inpaint"))
    assert "SceneChanged" not in printed
    scene = read_splats(tmp_path / "scene.ply")
    assert len(scene) > 200
    assert redness(scene) < 0.4


def test_looking_draws_other_pictures_as_the_fill_is_trained_and_goes_on_when_called_again(
    run: Run, capture: Path, tmp_path: Path
):
    for _ in range(2):
        run(2, capture, tmp_path, "--steps", 10, "--pictures", 3, "--per-second", 1e6)
        first, *_, last = pictures = sorted(tmp_path.glob("*.png"))
        assert [picture.name for picture in pictures] == ["0001.png", "0002.png", "0003.png"]
        assert image_size(first) == SIZE
        assert not torch.equal(read_image(first), read_image(last))
    assert not (tmp_path / "run" / "inpaint" / "splats.safetensors").exists()


def test_looking_keeps_to_its_pace(run: Run, capture: Path, tmp_path: Path):
    run(2, capture, tmp_path, "--steps", 10, "--per-second", 1e-6)
    assert [picture.name for picture in tmp_path.glob("*.png")] == ["0001.png"]


def test_a_run_that_was_stopped_ends_like_one_that_was_not(run: Run, capture: Path, tmp_path: Path, capsys):
    run(3, capture, tmp_path, "--steps", 10)
    printed = capsys.readouterr().out
    assert "stopped after 16 steps of the fill" in printed
    assert "the same, bit for bit" in printed
    stopped, whole = (read_splats(tmp_path / name / "inpaint" / "splats.safetensors") for name in ("stopped", "whole"))
    for name, tensor in whole.tensors().items():
        assert torch.equal(stopped.tensors()[name], tensor), name


def test_splats_of_another_tool_are_kept_but_for_the_object(run: Run, capture: Path, tmp_path: Path):
    scene = wall_with_ball(tmp_path, ball_z=TOUCHING)
    write_splats(tmp_path / "given.ply", scene.scene)
    run(4, capture, tmp_path / "given.ply", tmp_path / "out", "--steps", 4)
    filled = read_splats(tmp_path / "out" / "scene.ply")
    assert redness(scene.scene) > 0.7
    assert redness(filled) < 0.4
    moved = torch.cdist(scene.wall.means, filled.means, compute_mode="donot_use_mm_for_euclid_dist").min(dim=1).values
    assert (moved < 1e-6).float().mean() > 0.75  # all but those around the hole


def test_the_example_of_the_docstring_runs(capture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    code = example_in(inspect.getdoc(splatpaint) or "")
    for config, steps in {"ReconstructConfig": 20, "FillConfig": 4}.items():
        assert f"sp.{config}()" in code
        code = code.replace(f"sp.{config}()", f"sp.{config}(steps={steps})")
    (tmp_path / "CAPTURE").symlink_to(capture)
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "docstring", "exec"), {})
    assert redness(read_splats(tmp_path / "scene.ply")) < 0.4


def test_the_first_example_makes_the_calls_of_the_docstring():
    documented, made = (
        sorted(re.findall(r"sp\.(\w+)\(", text)) for text in (inspect.getdoc(splatpaint) or "", EXAMPLES[0].read_text())
    )
    assert documented == made


def test_the_readme_shows_the_example_of_the_docstring():
    assert example_in((ROOT / "README.md").read_text()) == example_in(inspect.getdoc(splatpaint) or "")


def test_examples_are_numbered_from_one():
    assert [int(path.name.partition("_")[0]) for path in EXAMPLES] == list(range(1, len(EXAMPLES) + 1))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_short_and_says_what_it_shows_and_how_it_is_called(path: Path):
    text = path.read_text()
    assert len(text.splitlines()) <= 60
    assert f"    python examples/{path.name} CAPTURE" in (ast.get_docstring(ast.parse(text)) or "")


def test_every_public_name_is_there_under_the_module_that_a_type_checker_sees():
    seen = {
        alias.name: node.module
        for node in ast.walk(ast.parse(Path(splatpaint.__file__).read_text()))
        if isinstance(node, ast.ImportFrom) and f"{node.module}".startswith("splatpaint.")
        for alias in node.names
    }
    assert seen == splatpaint._MODULES
    assert splatpaint.__all__ == sorted(seen)
    assert set(splatpaint.__all__) <= set(dir(splatpaint))
    for name, module in seen.items():
        assert getattr(splatpaint, name) is getattr(sys.modules[f"{module}"], name)


def test_what_is_not_public_is_no_attribute():
    with pytest.raises(AttributeError, match="'splatpaint' has no attribute 'rekonstruct'"):
        splatpaint.rekonstruct  # noqa: B018


def test_listing_the_public_names_imports_nothing_heavy():
    assert not imported_by("import splatpaint; dir(splatpaint); splatpaint.__all__") & HEAVY


def test_importing_all_public_names_loads_no_diffusion_library_and_leaves_the_gpu_alone():
    code = "from splatpaint import *; import sys, torch; sys.modules[f'cuda_{torch.cuda.is_initialized()}'] = sys"
    loaded = imported_by(code)
    assert {"torch", "cuda_False"} <= loaded
    assert not loaded & {"diffusers", "transformers", "peft", "accelerate", "gsplat", "pycolmap", "open3d", "lpips"}
