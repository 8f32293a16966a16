"""Every damaged file of a run, of a prior and of the command line's own arguments is answered in one sentence."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from splatpaint.capture import inputs
from splatpaint.config import load
from splatpaint.fit.checkpoint import save_checkpoint
from splatpaint.stages.config import RunConfig
from splatpaint.stages.exposures import FILE as EXPOSURES
from splatpaint.stages.folder import RunFolder

Refused = Callable[..., str]


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished run."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def empty(file: Path) -> None:
    file.write_bytes(b"")


def other(file: Path) -> None:
    file.write_text('[{"something": "else"}]')


def loop(file: Path) -> None:
    file.unlink()
    file.symlink_to(file)


def folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


FILES = [
    "capture.json",
    "config.yaml",
    "capture/*/capture.json",
    "capture/*/points.safetensors",
    "inpaint/splats.safetensors",
]


@pytest.mark.parametrize("spoil", [cut, empty, other, loop, folder])
@pytest.mark.parametrize("pattern", FILES)
def test_a_damaged_file_of_a_run_is_named_or_its_folder_is(
    refused: Refused, run: Path, tmp_path: Path, pattern: str, spoil: Callable[[Path], None]
):
    (file,) = run.glob(pattern)
    spoil(file)
    said = refused("export", run, "-o", tmp_path / "scene.ply")
    assert str(run) in said
    assert len(said) < 1000
    assert not (tmp_path / "scene.ply").exists()


EXPOSURES_OF_NO_PHOTO = [
    "{",
    "[]",
    '{"a": 3}',
    '{"a": {"gain": [1, 2], "offset": [0, 0, 0]}}',
    '{"a": {"gain": [1, 1, NaN], "offset": [0, 0, 0]}}',
    '{"a": {"gain": [1, 0, 1], "offset": [0, 0, 0]}}',
]


@pytest.mark.parametrize("text", EXPOSURES_OF_NO_PHOTO)
def test_damaged_exposures_are_refused(refused: Refused, run: Path, tmp_path: Path, text: str):
    (run / "reconstruct" / EXPOSURES).write_text(text)
    assert EXPOSURES in refused("render", run, "-o", tmp_path / "renders")


NOTHING = {"params": {}, "group": 1, "optimizers": {}}


@pytest.mark.parametrize("state", [{"step": 3}, {"step": "x", "parameters": {}}, {"step": 1, "parameters": NOTHING}])
def test_a_checkpoint_of_something_else_is_named_with_what_to_do(
    refused: Refused, wall: Path, settings: list[str], tmp_path: Path, state: dict
):
    config = load(RunConfig, overrides=settings[3::2])
    config = replace(config, prior=replace(config.prior, name=settings[1]))
    with RunFolder.open(tmp_path / "run", wall, config, files=inputs(wall, config.capture)) as folder:
        save_checkpoint(folder.stage("locate") / "checkpoint.pt", state)
    said = refused("fit", wall, "-o", tmp_path / "run", *settings, "--resume")
    assert "checkpoint.pt is no checkpoint that can be continued" in said
    assert "delete it" in said


@pytest.mark.parametrize("name", ["x" * 300, "~nobody-at-all/a", "loop/a", "gone\udcff", "a/" * 3000])
@pytest.mark.parametrize("command", ["info", "export", "render", "fit"])
def test_paths_that_no_file_can_have_are_refused(refused: Refused, wall: Path, tmp_path: Path, command: str, name: str):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    path = f"{tmp_path}/{name}"
    out = [] if command == "info" else ["-o", path]
    given = path if command != "fit" else wall / "nowhere"
    assert refused(command, given, *out)


@pytest.mark.parametrize("option", ["--init-ply", "--lora", "--prior", "--masks", "--config"])
@pytest.mark.parametrize("name", ["x" * 300, "~nobody-at-all/a.ply", "./missing", "missing\udcff.ply"])
def test_options_that_name_nothing_are_refused_before_anything_is_made(
    refused: Refused, wall: Path, tmp_path: Path, option: str, name: str
):
    assert refused("fit", wall, "-o", tmp_path / "run", option, name)
    assert not (tmp_path / "run" / "locate").exists()


@pytest.mark.parametrize("at", [30_000, 70_000, -1])  # behind the pixels
def test_a_photo_that_changed_anywhere_is_noticed(refused: Refused, wall: Path, settings: list[str], tmp_path: Path, at: int):
    capture = Path(shutil.copytree(wall, tmp_path / "capture"))
    photo = capture / "images" / "left" / "0.png"
    photo.write_bytes(photo.read_bytes() + bytes(100_000))
    arguments = ("fit", capture, "-o", tmp_path / "run", *settings, "--prior", "no such prior", "--resume")
    assert "no such prior" in refused(*arguments)
    (tmp_path / "run" / "reconstruct").mkdir()
    content = photo.read_bytes()
    photo.write_bytes(content)  # written anew, but the same
    assert "no such prior" in refused(*arguments)
    photo.write_bytes(content[:at] + b"\1" + content[at:][1:])
    assert "its files changed" in refused(*arguments)


def test_the_metrics_of_a_run_are_numbers_by_stage(refused: Refused, run: Path):
    (run / "metrics.json").write_text(json.dumps([1]))
    assert "metrics.json" in refused("eval", run)
