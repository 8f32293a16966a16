import json
from pathlib import Path

import pytest
import torch

from benchmarks.methods import ABLATIONS, FillThenFit, FillThenNerf, fill_photos, method, telea
from benchmarks.removal import SUITES, Task, configured, summary
from splatpaint.capture import CaptureConfig, prepare
from splatpaint.capture.writer import Frame, write_capture
from splatpaint.config import load
from splatpaint.events import drain
from splatpaint.image.files import read_image, read_mask
from splatpaint.stages.config import RunConfig
from tests.support.walls import wall_with_ball


@pytest.fixture
def task(tmp_path: Path) -> Path:
    """A striped wall with a ball in front of it."""
    folder = tmp_path / "task"
    scene = wall_with_ball(tmp_path).capture
    frames = [Frame(v.name, v.camera, read_image(v.image), read_mask(v.fill_mask)) for v in scene.views if v.fill_mask]
    assert scene.points
    write_capture(folder, frames, scene.points)
    return folder


@pytest.mark.parametrize("suite", SUITES)
def test_every_method_and_setting_of_a_suite_exists(suite: str):
    for name in SUITES[suite].methods:
        method(name)
    config = configured(SUITES[suite], None, 2)
    assert (config.seed, config.capture.max_resolution) == (2, SUITES[suite].max_resolution)
    assert len({task.name for task in SUITES[suite].tasks}) == len(SUITES[suite].tasks)


@pytest.mark.parametrize("part", ABLATIONS)
def test_leaving_out_a_part_changes_the_recipe(part: str):
    assert load(RunConfig, None, [ABLATIONS[part]]) != RunConfig()


def test_an_unknown_method_is_refused():
    with pytest.raises(ValueError, match="ours-magic"):
        method("ours-magic")


def test_filled_photos_differ_only_under_the_masks(task: Path, tmp_path: Path):
    capture = drain(prepare(task, CaptureConfig(), cache=tmp_path / "cache"))
    fill_photos(tmp_path / "filled", capture, telea)
    for view in capture.all_views:
        assert view.fill_mask
        before, after = read_image(view.image), read_image(tmp_path / "filled" / "images" / f"{view.name}.png")
        hole = read_mask(view.fill_mask) > 0
        assert torch.equal(torch.where(hole, 0, before), torch.where(hole, 0, after))
        assert (after - before)[:, hole[0]].abs().mean() > 0.1


def test_splats_fitted_to_filled_photos_are_drawn_by_the_cameras_of_the_task(task: Path, tmp_path: Path):
    config = load(RunConfig, None, ["reconstruct.steps=60", "rasterizer=native"])
    fitted = FillThenFit("telea").fit(task, tmp_path / "work", config)
    draw = fitted.draw
    assert fitted.seconds > 0
    capture = drain(prepare(task, config.capture, cache=tmp_path / "cache"))
    view = capture.all_views[0]
    assert view.fill_mask
    outside = read_mask(view.fill_mask)[None] == 0
    error = ((draw(view).color - read_image(view.image)[None]).abs().mean(dim=1, keepdim=True))[outside].mean()
    assert error < 0.06
    assert draw(view).depth[outside].median() > 0


def test_a_nerf_fitted_to_filled_photos_is_drawn_by_the_cameras_of_the_task(task: Path, tmp_path: Path):
    work = tmp_path / "work"
    config = load(RunConfig, None, ["rasterizer=native"])
    with pytest.raises(ValueError, match="run ours"):
        FillThenNerf().fit(task, work, config)
    (work / "run").mkdir(parents=True)
    (work / "run" / "metrics.json").write_text(json.dumps({"reconstruct": {"seconds": 4.0}, "inpaint": {"seconds": 2.0}}))
    fitted = FillThenNerf().fit(task, work, config)
    assert fitted.seconds == 6
    capture = drain(prepare(task, config.capture, cache=tmp_path / "cache"))
    view = capture.all_views[1]
    assert view.fill_mask
    outside = read_mask(view.fill_mask)[None] == 0
    drawn = fitted.draw(view)
    assert (drawn.color - read_image(view.image)[None]).abs().mean(dim=1, keepdim=True)[outside].mean() < 0.15
    assert drawn.depth.shape == (1, 1, view.camera.height, view.camera.width)


def test_the_table_has_means_and_spreads_over_tasks_and_seeds():
    results = {
        "a": {"ours": [{"psnr/hole": 20.0}, {"psnr/hole": 22.0}]},
        "b": {"ours": [{"psnr/hole": 24.0}], "delete": [{"psnr/hole": 10.0}]},
    }
    head, ours, delete = summary(results, ["ours", "delete"])
    column = head.index("psnr/hole")
    assert ours[column] == "22.00 ±2.00"
    assert delete[column] == "10.00"
    assert ours[head.index("ssim/hole")] == "-"
    assert json.dumps(head)


def test_tasks_have_telling_names():
    assert [Task("fox", "disc").name, Task("fox", sparse=True).name, Task("room").name] == [
        "fox-disc",
        "fox-ball-sparse",
        "room",
    ]
