"""What `splatpaint eval` says of a finished run."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from splatpaint.image.files import image_size, read_image, read_mask, write_image
from splatpaint.stages.contradicting_views import write_contradicting
from tests.cli.conftest import Cli

VIEWS = ("left/0", "left/2", "left/4", "right/1", "right/3")


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished run."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


@pytest.fixture
def truth(cli: Cli, run: Path, tmp_path: Path) -> Path:
    """What the run itself shows: a truth that it reaches but for the eight bits of a PNG."""
    folder = tmp_path / "truth"
    assert cli("render", run, "-o", folder).exit_code == 0
    return folder


def test_without_a_truth_the_known_pixels_of_held_out_views_are_judged(cli: Cli, run: Path):
    result = cli("eval", run)
    assert result.exit_code == 0, result.output
    report = json.loads((run / "eval.json").read_text())
    assert report["judged"].startswith("1 held-out views against the known pixels")
    assert 5 < report["means"]["psnr/known"] < 60
    assert not any(name.endswith(("/hole", "/bbox")) for name in report["means"])
    assert report["costs"]["reconstruct"]["seconds"] > 0
    assert 0 < report["whole"]["splats"] < 10 * report["whole"]["splats/reconstructed"]
    assert report["costs"]["reconstruct"]["peak_memory_mb"] > 50


def test_a_run_that_shows_the_truth_scores_perfectly_against_it(cli: Cli, run: Path, truth: Path):
    result = cli("eval", run, "--truth", truth)
    assert result.exit_code == 0, result.output
    report = json.loads((run / "eval.json").read_text())
    assert set(report["views"]) == set(VIEWS)
    assert report["means"]["psnr/hole"] > 50
    assert report["means"]["ssim/bbox"] > 0.99
    assert report["means"]["flip/full"] < 0.02
    assert "LPIPS" in result.output
    assert image_size(run / "pictures" / "eval.png")[0] > 100


def test_views_with_contradicting_poses_are_not_judged_and_the_report_says_so(cli: Cli, run: Path, truth: Path):
    write_contradicting(run / "reconstruct", ["left/2", "right/1"])
    cli("eval", run, "--truth", truth)
    report = json.loads((run / "eval.json").read_text())
    assert set(report["views"]) == set(VIEWS) - {"left/2", "right/1"}
    assert report["judged"].endswith("2 with contradicting poses left out")


def test_another_truth_scores_worse_where_it_differs(cli: Cli, run: Path, truth: Path, wall: Path):
    for name in VIEWS:
        hole = read_mask(wall / "masks" / f"{name}.png")
        write_image(truth / f"{name}.png", read_image(truth / f"{name}.png") * (1 - hole))
    cli("eval", run, "--truth", truth)
    means = json.loads((run / "eval.json").read_text())["means"]
    assert means["psnr/hole"] < 20 < 50 < means["psnr/known"]


def test_an_object_that_stays_is_a_residual_of_the_depth(cli: Cli, run: Path, truth: Path):
    shutil.copy(run / "reconstruct" / "splats.safetensors", run / "inpaint" / "splats.safetensors")
    result = cli("eval", run, "--truth", truth)
    whole = json.loads((run / "eval.json").read_text())["whole"]
    assert (whole["depth_residual/hole"], whole["depth_change/far"]) == (1, 0)
    assert "under the mask, 100.0% of the pixels are as far away as with the object" in result.output


def test_what_is_missing_is_said_and_left_out(cli: Cli, run: Path, truth: Path, tmp_path: Path):
    empty = tmp_path / "weights"
    empty.mkdir()
    result = cli("eval", run, "--truth", truth, "--weights", empty)
    assert result.exit_code == 0
    assert "LPIPS (alex) is not available" in result.output
    assert not any(name.startswith("lpips") for name in json.loads((run / "eval.json").read_text())["means"])


def test_a_truth_that_is_missing_or_of_another_shape_is_refused(refused: Callable[..., str], run: Path, truth: Path):
    picture = truth / "left" / "0.png"
    whole = read_image(picture)
    write_image(picture, whole[:, ::2])
    assert "another shape" in refused("eval", run, "--truth", truth)
    picture.unlink()
    assert "no truth for the view 'left/0'" in refused("eval", run, "--truth", truth)
