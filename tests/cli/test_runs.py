"""What a user does with a good capture: fit, export, render, info, config."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml

from splatpaint.capture import CaptureConfig, prepare
from splatpaint.events import drain
from splatpaint.formats import read_splats
from splatpaint.image.files import image_size, read_image
from splatpaint.scene.exposure import Exposure
from splatpaint.stages.exposures import write_exposures
from tests.cli.conftest import Cli
from tests.support.walls import SIZE

ROOT = Path(__file__).resolve().parents[2]
Refused = Callable[..., str]


def test_a_run_leaves_its_config_its_log_its_numbers_and_its_pictures(finished: Path):
    assert yaml.safe_load((finished / "config.yaml").read_text())["reconstruct"]["steps"] == 10
    logged = [json.loads(line) for line in (finished / "events.jsonl").read_text().splitlines()]
    assert {"capture", "reconstruct", "remove", "inpaint", "pictures"} <= {line["stage"] for line in logged}
    assert json.loads((finished / "metrics.json").read_text())["reconstruct"]["held_out_psnr"] > 5
    assert image_size(finished / "pictures" / "left" / "0.png")[0] > 5 * SIZE[0]


def test_a_finished_run_is_not_made_again(cli: Cli, wall: Path, finished: Path, settings: list[str]):
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*.safetensors")}
    result = cli("fit", wall, "-o", finished, "--test-every", "5", *settings)
    assert result.exit_code == 0
    assert "inpaint: already there" in result.output
    assert before == {path: path.stat().st_mtime_ns for path in finished.rglob("*.safetensors")}


def test_a_run_is_not_written_over_with_other_settings(refused: Refused, wall: Path, finished: Path, settings: list[str]):
    before = (finished / "config.yaml").read_text()
    said = refused("fit", wall, "-o", finished, "--test-every", "5", *settings, "--seed", "7", "--resume")
    assert "another config (seed: 0 -> 7)" in said
    assert (finished / "config.yaml").read_text() == before


def test_kept_splats_are_exported_bit_for_bit_and_in_the_input_frame(cli: Cli, wall: Path, finished: Path, tmp_path: Path):
    result = cli("export", finished, "-o", tmp_path / "scene.ply")
    assert result.exit_code == 0
    exported = read_splats(tmp_path / "scene.ply")
    kept = read_splats(finished / "remove" / "splats.safetensors")
    assert len(exported) >= len(kept) > 0
    assert torch.equal(exported.sh[: len(kept), 0], kept.sh[:, 0])
    assert torch.equal(exported.quats[: len(kept)], kept.quats)
    config = CaptureConfig(test_every=5)
    world_from_input = drain(prepare(wall, config, cache=finished / "capture")).world_from_input
    torch.testing.assert_close(exported.means[: len(kept)], world_from_input.undo(kept.means))


def test_what_is_exported_is_in_the_frame_that_the_run_was_made_in(cli: Cli, capture: Path, finished: Path, tmp_path: Path):
    run = shutil.copytree(finished, tmp_path / "run")
    identity = json.loads((run / "capture.json").read_text())
    (run / "capture.json").write_text(json.dumps(identity | {"path": str(capture)}))
    poses = json.loads((capture / "transforms.json").read_text())
    for frame in poses["frames"]:
        for row in frame["transform_matrix"][:3]:
            row[3] *= 7
    (capture / "transforms.json").write_text(json.dumps(poses))
    for source, name in ((finished, "before"), (run, "after")):
        assert cli("export", source, "-o", tmp_path / f"{name}.ply").exit_code == 0
    assert (tmp_path / "before.ply").read_bytes() == (tmp_path / "after.ply").read_bytes()


def test_a_run_goes_on_whatever_else_lies_in_the_capture(
    cli: Cli, capture: Path, finished: Path, settings: list[str], tmp_path: Path
):
    run = shutil.copytree(finished, tmp_path / "run")
    for stray in ("fit.log", "preview.png"):
        (capture / stray).write_text("not of the capture")
    result = cli("fit", capture, "-o", run, "--test-every", "5", *settings, "--resume")
    assert result.exit_code == 0, result.output
    assert "inpaint: already there" in result.output


def test_export_prints_the_psnr_of_its_self_check(cli: Cli, finished: Path, tmp_path: Path):
    said = cli("export", finished, "-o", tmp_path / "scene.ply", "--stage", "reconstruct").output
    psnr = re.search(r"self_check_psnr ([\d.]+)", said)
    assert psnr
    assert float(psnr[1]) > 60


def test_render_names_pictures_by_view_and_keeps_folders(cli: Cli, finished: Path, tmp_path: Path):
    assert cli("render", finished, "-o", tmp_path / "all").exit_code == 0
    pictures = sorted(path.relative_to(tmp_path / "all").as_posix() for path in (tmp_path / "all").rglob("*.png"))
    assert pictures == ["left/0.png", "left/2.png", "left/4.png", "right/1.png", "right/3.png"]
    assert image_size(tmp_path / "all" / pictures[0]) == SIZE


def test_render_shows_views_as_their_photos_are_exposed_or_all_alike(cli: Cli, finished: Path, tmp_path: Path):
    run = Path(shutil.copytree(finished, tmp_path / "run"))
    write_exposures(run / "reconstruct", {"left/4": Exposure((0.5, 0.5, 0.5))})
    for exposure in ("photo", "scene"):
        assert cli("render", run, "-o", tmp_path / exposure, "--views", "left/4", "--exposure", exposure).exit_code == 0
    photo, scene = (read_image(tmp_path / exposure / "left/4.png") for exposure in ("photo", "scene"))
    assert scene.max() > 0.2
    torch.testing.assert_close(photo, 0.5 * scene, atol=1.01 / 255, rtol=0)


@pytest.mark.parametrize("what", ["depth", "alpha"])
def test_render_draws_only_the_views_that_are_named(cli: Cli, finished: Path, tmp_path: Path, what: str):
    result = cli("render", finished, "-o", tmp_path / "some", "--views", "right/1, left/4.png", "--what", what)
    assert result.exit_code == 0, result.output
    assert sorted(path.stem for path in (tmp_path / "some").rglob("*.png")) == ["1", "4"]


def test_render_knows_no_other_views(refused: Refused, finished: Path, tmp_path: Path):
    said = refused("render", finished, "-o", tmp_path / "none", "--views", "right/1,rigth/3")
    assert said == "no view of this run is called 'rigth/3'; did you mean 'right/3'?"
    assert not (tmp_path / "none").exists()


def test_info_says_what_a_capture_holds(cli: Cli, wall: Path):
    said = cli("info", wall).output
    assert "transforms.json" in said
    assert "5 usable of 5 listed" in said
    assert "5 of 5 views have a fill mask" in said
    assert f"{SIZE[0]}x{SIZE[1]}" in said


def test_config_prints_the_whole_tree_with_what_was_set(cli: Cli, tmp_path: Path):
    file = tmp_path / "some.yaml"
    file.write_text("reconstruct:\n  steps: 17\n")
    tree = yaml.safe_load(cli("config", "--config", file, "--set", "inpaint.steps=23", "--set", "seed=5").output)
    assert (tree["reconstruct"]["steps"], tree["inpaint"]["steps"], tree["seed"]) == (17, 23, 5)


def test_doctor_names_every_part(cli: Cli):
    said = cli("doctor").output
    for part in ("python", "torch", "kernels", "open3d", "bundled prior", "cuda", "lpips"):
        assert re.search(rf"^(ok|missing) +{part}", said, flags=re.M), said


def test_a_prior_that_learned_the_scene_is_not_taught_twice(cli: Cli, wall: Path, settings: list[str], tmp_path: Path):
    customization = {"steps": 1, "batch": 1, "rank": 2, "precision": "no"}
    extra = [word for key, value in customization.items() for word in ("--set", f"customize.{key}={value}")]
    result = cli("fit", wall, "-o", tmp_path / "run", *settings, *extra)
    assert result.exit_code == 0, result.output
    learned = tmp_path / "run" / "customize" / "lora.safetensors"
    before = learned.stat().st_mtime_ns
    (tmp_path / "run" / "inpaint" / "splats.safetensors").unlink()
    again = cli("fit", wall, "-o", tmp_path / "run", *settings, *extra, "--resume")
    assert "customize: already there" in again.output
    assert learned.stat().st_mtime_ns == before


def test_without_masks_what_lies_beyond_the_frames_is_filled(cli: Cli, capture: Path, settings: list[str], tmp_path: Path):
    for mask in (capture / "masks").rglob("*.png"):
        mask.unlink()
    expand = ROOT / "configs" / "expand.yaml"
    wide = ["--set", "inpaint.views=2", "--set", "inpaint.unobserved.margin=1.0"]
    result = cli("fit", capture, "-o", tmp_path / "run", "--config", expand, *wide, *settings)
    assert result.exit_code == 0, result.output
    before, after = (read_splats(tmp_path / "run" / stage / "splats.safetensors") for stage in ("reconstruct", "inpaint"))
    assert len(after) > len(before)
    assert (tmp_path / "run" / "pictures" / "unobserved.png").exists()
    frames = [view.camera for view in drain(prepare(capture, CaptureConfig(), cache=tmp_path / "again")).all_views]
    added = after.means[-(len(after) - len(before)) :]
    seen = torch.stack([camera.find(added)[3] for camera in frames]).any(dim=0)
    assert float(seen.float().mean()) < 0.2, "what is added lies beyond the frames"


def test_splats_of_another_tool_are_filled_without_a_reconstruction(
    cli: Cli, wall: Path, finished: Path, settings: list[str], tmp_path: Path
):
    cli("export", finished, "-o", tmp_path / "scene.ply", "--stage", "reconstruct")
    result = cli("fit", wall, "-o", tmp_path / "run", "--test-every", "5", *settings, "--init-ply", tmp_path / "scene.ply")
    assert result.exit_code == 0, result.output
    theirs, ours = (read_splats(folder / "reconstruct" / "splats.safetensors") for folder in (finished, tmp_path / "run"))
    torch.testing.assert_close(theirs.means, ours.means)
    torch.testing.assert_close(theirs.log_scales, ours.log_scales)
    assert (tmp_path / "run" / "inpaint" / "splats.safetensors").exists()


@pytest.mark.parametrize("name", ["nowhere.ply", "masks"])
def test_splats_that_are_none_are_refused_before_anything_is_prepared(
    refused: Refused, wall: Path, settings: list[str], tmp_path: Path, name: str
):
    assert name in refused("fit", wall, "-o", tmp_path / "run", *settings, "--init-ply", wall / name)
    assert not (tmp_path / "run" / "capture").exists()


def test_a_prior_that_reads_no_text_is_not_asked_for_anything(
    refused: Refused, wall: Path, settings: list[str], tmp_path: Path
):
    assert "reads no text" in refused("fit", wall, "-o", tmp_path / "run", *settings, "--prompt", "ivy")
