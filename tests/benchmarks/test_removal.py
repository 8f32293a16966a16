import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks import removal
from benchmarks.inpaint_then_fit import InpaintThenFit, inpaint_photos, supervising_only, telea
from benchmarks.methods import ABLATIONS, ADDITIONS, method
from benchmarks.protocol import Fitted
from benchmarks.removal import SUITES, Task, config_of, read_scores, score_method, summary, task_of
from splatpaint.capture import CaptureConfig, inputs, prepare
from splatpaint.config import load
from splatpaint.events import drain
from splatpaint.image.files import read_image, read_mask, write_image, write_mask
from splatpaint.stages.config import RunConfig
from splatpaint.stages.evaluate import Metrics
from splatpaint.stages.folder import RunFolder


@pytest.mark.parametrize("suite", SUITES)
def test_every_method_and_setting_of_a_suite_exists(suite: str):
    for name in SUITES[suite].methods:
        method(name)
    config = config_of(SUITES[suite], None, 2)
    assert (config.seed, config.capture.max_resolution) == (2, SUITES[suite].max_resolution)
    assert len({task.name for task in SUITES[suite].tasks}) == len(SUITES[suite].tasks)


def test_what_decides_nothing_shares_no_capture_with_what_decides():
    deciding = {task.capture for name in SUITES if name != "untouched" for task in SUITES[name].tasks}
    assert not deciding & {task.capture for task in SUITES["untouched"].tasks}
    assert len(SUITES["grown"].tasks) == 22


@pytest.mark.parametrize("settings", [*ABLATIONS.values(), *ADDITIONS.values()])
def test_every_setting_of_a_part_changes_the_recipe(settings: tuple[str, ...]):
    for setting in settings:
        assert load(RunConfig, None, [setting]) != RunConfig(), setting


def test_parts_share_what_comes_before_them(task: Path, tmp_path: Path):
    config = load(RunConfig, None, ["reconstruct.steps=40", "inpaint.steps=5", "inpaint.views=2", "rasterizer=native"])
    fitted = [method(name).fit(task, tmp_path, config, []) for name in ("ours", "ours-pieces-0.4", "ours-witnesses")]
    assert all(each.seconds > 0 for each in fitted)
    shares = [each.scores["hole/mask"] for each in fitted]
    assert 0 <= shares[0] == shares[1]
    assert shares[2] > shares[0], "all that was covered is a hole where other views say nothing"
    assert all(0 <= each.scores["open"] <= 1 for each in fitted)
    whole, blended, no_observers = (
        set(RunFolder.read(tmp_path / name).metrics) for name in ("run", "run-ours-pieces-0.4", "run-ours-witnesses")
    )
    assert whole - blended == {"locate", "reconstruct", "remove"}
    half_copied = tmp_path / "run-ours-pieces-0.4" / "reconstruct" / "splats.safetensors"
    half_copied.unlink()
    method("ours-pieces-0.4").fit(task, tmp_path, config, [])
    assert half_copied.exists()
    assert set(RunFolder.read(tmp_path / "run-ours-pieces-0.4").metrics) == blended
    assert whole - no_observers == {"locate", "reconstruct"}


@pytest.mark.parametrize("name", ["ours-magic", "nerf-x0", "telea-x2"])
def test_an_unknown_method_is_refused(name: str):
    with pytest.raises(ValueError, match=name):
        method(name)


def test_filled_photos_differ_only_under_the_masks(task: Path, tmp_path: Path):
    capture = drain(prepare(task, CaptureConfig(), cache=tmp_path / "cache"))
    inpaint_photos(tmp_path / "filled", capture, telea)
    for view in capture.all_views:
        assert view.fill_mask
        before, after = read_image(view.image), read_image(tmp_path / "filled" / "images" / f"{view.name}.png")
        hole = read_mask(view.fill_mask) > 0
        assert torch.equal(torch.where(hole, 0, before), torch.where(hole, 0, after))
        assert (after - before)[:, hole[0]].abs().mean() > 0.1


def error_beside_the_mask(fitted: Fitted, task: Path, cache: Path) -> float:
    """Mean absolute error of a drawn view where the photo was known; its depth is checked too."""
    view = drain(prepare(task, CaptureConfig(), cache=cache)).all_views[1]
    assert view.fill_mask
    outside = read_mask(view.fill_mask)[None] == 0
    drawn = fitted.draw(view)
    assert drawn.depth.shape == (1, 1, view.camera.height, view.camera.width)
    assert drawn.depth[outside].median() > 0
    return float((drawn.color - read_image(view.image)[None]).abs().mean(dim=1, keepdim=True)[outside].mean())


@pytest.mark.parametrize("name", ["telea", "diffusion-perceptual"])
def test_splats_fitted_to_filled_photos_are_drawn_by_the_cameras_of_the_task(name: str, task: Path, tmp_path: Path):
    config = load(RunConfig, None, ["reconstruct.steps=60", "rasterizer=native"])
    fitted = method(name).fit(task, tmp_path / "work", config, [])
    assert fitted.seconds > 0
    assert error_beside_the_mask(fitted, task, tmp_path / "cache") < 0.06


def test_pixels_matched_in_features_need_not_have_the_painted_colors(task: Path, tmp_path: Path):
    config = load(RunConfig, None, ["reconstruct.steps=60", "rasterizer=native"])
    view = drain(prepare(task, CaptureConfig(), cache=tmp_path / "cache")).all_views[0]
    assert view.fill_mask
    hole = (read_mask(view.fill_mask)[None] > 0).expand(1, 3, -1, -1)
    colors, features = (
        InpaintThenFit("diffusion", perceptual=perceptual).fit(task, tmp_path / "work", config, []).draw(view).color[hole]
        for perceptual in (False, True)
    )
    assert not torch.allclose(colors, features, atol=0.01)


@pytest.mark.parametrize(("name", "seconds"), [("nerf", 6), ("nerf-x2", 12), ("nerf-ours", 6)])
def test_a_nerf_gets_the_time_of_ours_or_some_times_as_much_and_is_drawn_by_the_cameras_of_the_task(
    name: str, seconds: float, task: Path, tmp_path: Path
):
    nerf, work = method(name), tmp_path / "work"
    config = load(RunConfig, None, ["rasterizer=native"])
    with RunFolder.open(work / "run", task, config, files=inputs(task, config.capture), resume=True) as run:
        run.record("reconstruct", {"seconds": 4.0})
        run.record("inpaint", {"seconds": 2.0})
        with pytest.raises(ValueError, match="run ours"):
            nerf.fit(task, work, config, [])
        run.stage("inpaint")
        run.splats("inpaint").touch()
    fitted = nerf.fit(task, work, config, [])
    assert fitted.seconds == seconds
    assert error_beside_the_mask(fitted, task, tmp_path / "cache") < 0.15


def test_the_table_has_means_and_spreads_over_tasks_and_seeds():
    results = {
        "a": {"ours": {"0": {"psnr/hole": 20.0}, "1": {"psnr/hole": 22.0}}},
        "b": {"ours": {"0": {"commit": "1234567", "psnr/hole": 24.0}}, "delete": {"0": {"psnr/hole": 10.0}}},
    }
    head, ours, delete = summary(results, ["ours", "delete"])
    column = head.index("psnr/hole")
    assert ours[column] == "22.00 ±2.00"
    assert delete[column] == "10.00"
    assert (ours[head.index("runs")], delete[head.index("runs")]) == ("3", "1")
    assert ours[head.index("ssim/hole")] == "-"
    assert json.dumps(head)


def test_a_task_is_scored_once_and_the_scores_name_their_commit(task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    shutil.copytree(task / "images", task / "truth")
    measured = []
    for commit in ("1234567", "89abcde"):
        monkeypatch.setattr(removal, "commit", lambda commit=commit: commit)
        measured.append(score_method("telea-2d", tmp_path, RunConfig(), Metrics(), max_views=2))
    assert measured[0] == measured[1]
    assert measured[0]["commit"] == "1234567"
    assert float(measured[0]["psnr/hole"]) > 0


def test_held_out_views_are_judged_by_themselves_too(task: Path, tmp_path: Path):
    shutil.copytree(task / "images", task / "truth")
    config = config_of(replace(SUITES["small"], settings=(), hold_out=4), None, 0)
    scores = score_method("telea-2d", tmp_path, config, Metrics(), max_views=3)
    assert "psnr/hole/held-out" in scores
    assert scores["psnr/hole/held-out"] != scores["psnr/hole"]
    head, row = summary({"a": {"telea-2d": {"0": scores}}}, ["telea-2d"], ["psnr/hole/held-out"])
    assert row[head.index("psnr/hole/held-out")] == f"{scores['psnr/hole/held-out']:.2f}"


@pytest.mark.parametrize("name", ["ours", "telea", "diffusion-perceptual"])
def test_a_held_out_photo_changes_nothing_of_any_scene(name: str, task: Path, tmp_path: Path):
    """Nor does its mask: the scene is bit for bit the same when both are others."""
    other = Path(shutil.copytree(task, tmp_path / "other"))
    quick = ["reconstruct.steps=20", "inpaint.steps=3", "inpaint.views=2", "inpaint.rounds=1", "rasterizer=native"]
    config = load(RunConfig, None, [*quick, "capture.test_every=4"])
    capture = drain(prepare(task, config.capture, cache=tmp_path / "cache"))
    assert capture.held_out
    for view in capture.held_out:
        image = other / "images" / f"{view.name}.png"
        write_image(image, 1 - read_image(image))
        write_mask(other / "masks" / f"{view.name}.png", torch.ones(1, view.camera.height, view.camera.width))
    one, two = (method(name).fit(each, tmp_path / f"work-{each.name}", config, []) for each in (task, other))
    for view in capture.all_views:
        assert torch.equal(one.draw(view).color, two.draw(view).color), view.name


def test_held_out_photos_are_not_among_those_that_are_inpainted_and_fitted(task: Path, tmp_path: Path):
    capture = drain(prepare(task, CaptureConfig(test_every=4), cache=tmp_path / "cache"))
    inpaint_photos(tmp_path / "filled", capture, telea)
    listed = json.loads((tmp_path / "filled" / "transforms.json").read_text())["frames"]
    assert {Path(frame["file_path"]).stem for frame in listed} == {view.name for view in capture.views}
    again = drain(prepare(tmp_path / "filled", supervising_only(CaptureConfig(test_every=4)), cache=tmp_path / "cache-filled"))
    assert len(again.views) == len(capture.views)
    assert not again.held_out


def test_scores_are_added_to_those_of_the_same_settings_only(tmp_path: Path):
    file, asked = tmp_path / "scores.json", {"suite": "full", "settings": ["inpaint.steps=1"]}
    assert read_scores(file, asked) == {}
    scores = {"room": {"ours": {"0": {"psnr/hole": 20.0}}}}
    file.write_text(json.dumps({**asked, "scores": scores}))
    assert read_scores(file, asked) == scores
    with pytest.raises(SystemExit, match="another settings"):
        read_scores(file, {**asked, "settings": []})


@pytest.mark.parametrize(
    ("name", "task"),
    [("fox-disc", Task("fox", "disc")), ("lund_street-ball-sparse", Task("lund_street", sparse=True)), ("room", Task("room"))],
)
def test_tasks_have_telling_names(name: str, task: Task):
    assert task.name == name
    assert task_of(name) == task


def test_a_name_that_is_no_task_is_refused():
    with pytest.raises(ValueError, match="fox-cube is no task"):
        task_of("fox-cube")
