"""Whatever a user gets wrong is one sentence on stderr and exit code 2, and nothing is written over."""

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from splatpaint.image.files import write_mask
from splatpaint.priors.load import BUNDLED
from tests.cli.conftest import Cli
from tests.support.diffusion import save_toy_prior
from tests.support.walls import SIZE

Refused = Callable[..., str]


def masks_of(capture: Path) -> list[Path]:
    return sorted((capture / "masks").rglob("*.png"))


def edit_frames(capture: Path, edit: Callable[[list], None]) -> None:
    file = capture / "transforms.json"
    tree = json.loads(file.read_text())
    edit(tree["frames"])
    file.write_text(json.dumps(tree))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "run"


def test_a_missing_capture(refused: Refused, tmp_path: Path, out: Path):
    assert "nowhere" in refused("fit", tmp_path / "nowhere", "-o", out)
    assert not out.exists()
    assert "nowhere" in refused("info", tmp_path / "nowhere")


def test_an_empty_capture(refused: Refused, tmp_path: Path, out: Path):
    (tmp_path / "empty").mkdir()
    assert "empty" in refused("fit", tmp_path / "empty", "-o", out)
    assert "empty" in refused("info", tmp_path / "empty")


def test_an_unknown_layout(refused: Refused, tmp_path: Path, out: Path):
    (tmp_path / "album").mkdir()
    (tmp_path / "album" / "poses.xml").write_text("<poses/>")
    assert "transforms.json" in refused("fit", tmp_path / "album", "-o", out)


def test_frames_without_files_are_left_out_and_named(cli: Cli, capture: Path, out: Path):
    (capture / "images" / "left" / "2.png").unlink()
    assert "4 usable of 5 listed" in cli("info", capture).output
    result = cli("fit", capture, "-o", out, "--prior", "none, to stop here")
    assert "left/2.png, which does not exist (the only one missing)" in result.output
    assert "capture: views 4" in result.output


def test_too_few_views(refused: Refused, capture: Path, out: Path):
    edit_frames(capture, lambda frames: frames.__delitem__(slice(2, None)))
    assert "2 usable views" in refused("fit", capture, "-o", out)


def test_a_corrupt_image(refused: Refused, capture: Path, out: Path):
    image = capture / "images" / "right" / "1.png"
    image.write_bytes(image.read_bytes()[:100])
    assert "1.png cannot be read" in refused("fit", capture, "-o", out)


def test_a_mended_capture_can_use_the_folder_of_the_failed_run(refused: Refused, wall: Path, capture: Path, out: Path):
    image = capture / "images" / "right" / "1.png"
    image.write_bytes(b"not a picture")
    refused("fit", capture, "-o", out)
    shutil.copy(wall / "images" / "right" / "1.png", image)
    said = refused("fit", capture, "-o", out, "--prior", "no such prior", "--set", "reconstruct.steps=1")
    assert "no such prior" in said


def test_masks_that_match_no_image(refused: Refused, capture: Path, out: Path):
    for number, mask in enumerate(masks_of(capture)):
        mask.rename(mask.with_name(f"other{number}.png"))
    assert "mask" in refused("fit", capture, "-o", out)


def test_no_masks_at_all(refused: Refused, capture: Path, out: Path):
    shutil.rmtree(capture / "masks")
    assert "nothing to remove" in refused("fit", capture, "-o", out)


def test_masks_of_the_wrong_size(refused: Refused, capture: Path, out: Path):
    write_mask(masks_of(capture)[0], torch.ones(1, 40, 8))
    said = refused("fit", capture, "-o", out)
    assert "8x40" in said
    assert f"{SIZE[0]}x{SIZE[1]}" in said


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_masks_that_mark_nothing_or_everything(refused: Refused, capture: Path, out: Path, value: float):
    for mask in masks_of(capture):
        write_mask(mask, torch.full((1, SIZE[1], SIZE[0]), value))
    assert "mask" in refused("fit", capture, "-o", out)


def test_a_pose_that_is_no_number(refused: Refused, capture: Path, out: Path):
    edit_frames(capture, lambda frames: frames[1]["transform_matrix"][0].__setitem__(3, float("nan")))
    assert "frame 2 of transforms.json" in refused("fit", capture, "-o", out)


def test_an_output_that_cannot_be_written(refused: Refused, wall: Path, finished: Path, tmp_path: Path):
    (tmp_path / "file").write_text("mine")
    assert "cannot be written" in refused("fit", wall, "-o", tmp_path / "file" / "run")
    assert "cannot be written" in refused("export", finished, "-o", tmp_path / "file" / "scene.ply")
    assert "cannot be" in refused("render", finished, "-o", tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"


def test_an_output_folder_that_holds_other_things(refused: Refused, wall: Path, tmp_path: Path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    assert "thesis.txt" in refused("fit", wall, "-o", tmp_path / "full", "--resume")
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["thesis.txt"]


def test_an_export_format_that_does_not_exist(refused: Refused, finished: Path, tmp_path: Path):
    (tmp_path / "scene.obj").write_text("mine")
    assert ".obj" in refused("export", finished, "-o", tmp_path / "scene.obj")
    assert (tmp_path / "scene.obj").read_text() == "mine"


def test_a_product_that_is_not_splats(refused: Refused, finished: Path, tmp_path: Path):
    spoiled = shutil.copytree(finished, tmp_path / "spoiled")
    header = b"{}"
    (spoiled / "inpaint" / "splats.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    assert "splats.safetensors" in refused("export", spoiled, "-o", tmp_path / "scene.ply")
    assert not (tmp_path / "scene.ply").exists()


def test_a_folder_that_is_no_run(refused: Refused, tmp_path: Path):
    assert "is not a run folder" in refused("export", tmp_path, "-o", tmp_path / "scene.ply")
    assert "is not a run folder" in refused("render", tmp_path, "-o", tmp_path / "renders")


def test_a_prior_that_is_no_inpainting_model(refused: Refused, wall: Path, out: Path, settings: list[str], tmp_path: Path):
    prior = save_toy_prior(tmp_path / "painter", "sd1", in_channels=4)
    said = refused("fit", wall, "-o", out, *settings, "--prior", prior)
    assert "9 are needed" in said


def test_a_hub_that_cannot_be_reached(refused: Refused, wall: Path, out: Path, settings: list[str]):
    said = refused("fit", wall, "-o", out, *settings, "--prior", "nobody/nothing")
    assert "'nobody/nothing' is not in the local cache" in said


@pytest.mark.parametrize("command", ["fit", "config"])
def test_an_unknown_setting(refused: Refused, wall: Path, out: Path, command: str):
    arguments = [command, wall, "-o", out] if command == "fit" else [command]
    assert refused(*arguments, "--set", "inpaint.stesp=3") == "inpaint.stesp: unknown key, did you mean 'steps'?"
    assert not out.exists()


def test_a_config_file_with_an_unknown_key(refused: Refused, wall: Path, out: Path, tmp_path: Path):
    file = tmp_path / "mine.yaml"
    file.write_text("reconstruct:\n  stepz: 3\n")
    assert refused("fit", wall, "-o", out, "--config", file) == "reconstruct.stepz: unknown key, did you mean 'steps'?"
    assert "missing.yaml cannot be read" in refused("fit", wall, "-o", out, "--config", tmp_path / "missing.yaml")
    assert not out.exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there(refused: Refused, wall: Path, out: Path):
    assert "--device cuda was asked for" in refused("fit", wall, "-o", out, "--device", "cuda")
    assert not out.exists()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["--lora", "nowhere.safetensors"], "is not there: give a .safetensors file"),
        (["--set", "depth.name=nowhere"], "is neither 'none', a folder with a config.json, nor a hub id"),
        (["--set", "customize.steps=5", "--set", "prior.offload=true"], "set prior.offload=false or customize.steps=0"),
        (["--set", "customize.steps=5", "--set", "customize.pictures=1"], "that takes two at least"),
        (
            ["--set", "customize.steps=5", "--set", "customize.perceptual_weight=1", "--set", "customize.perceptual_net=vgg"],
            "put one there or name its folder",
        ),
    ],
)
def test_what_would_fail_minutes_later_is_refused_before_the_reconstruction(
    refused: Refused, wall: Path, tmp_path: Path, settings: list[str], said: str
):
    assert said in refused("fit", wall, "-o", tmp_path / "run", *settings)
    assert not (tmp_path / "run" / "reconstruct").exists()


def test_a_prior_that_predicts_noise_is_not_taught_how_pictures_look(refused: Refused, wall: Path, tmp_path: Path):
    prior = save_toy_prior(tmp_path / "painter", "sd1")
    settings = ("--set", "customize.steps=5", "--set", "customize.perceptual_weight=1")
    said = refused("fit", wall, "-o", tmp_path / "run", "--prior", prior, *settings)
    assert "predicts noise" in said
    assert said.endswith("set customize.perceptual_weight=0")
    assert not (tmp_path / "run" / "reconstruct").exists()


def test_photos_that_are_none(refused: Refused, tmp_path: Path):
    (tmp_path / "photos").mkdir()
    assert "holds 0 pictures" in refused(
        "prior", "train", tmp_path / "photos", "--codec", BUNDLED / "vae", "-o", tmp_path / "prior"
    )


@pytest.mark.parametrize("arguments", [["fit"], ["export", "run"], ["nonsense"], ["fit", "x", "-o", "y", "--device", "tpu"]])
def test_misspelled_commands_exit_with_2(cli: Cli, arguments: list[str]):
    assert cli(*arguments).exit_code == 2
