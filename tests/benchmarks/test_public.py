"""Photos after a removal, judged from their own poses: the striped wall and its ball in the layout of 360-USID."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import public
from benchmarks.public import JudgedRun, judge
from benchmarks.public_sets import PublicScene, read_scene, write_part
from splatpaint.capture import inputs, last_prepared
from splatpaint.capture.lens import Lens
from splatpaint.cli.commands.fit import fit
from splatpaint.config import load
from splatpaint.events import drain
from splatpaint.formats import write_splats
from splatpaint.image.files import read_image, read_mask, write_image, write_mask
from splatpaint.render.reference import rasterize
from splatpaint.scene.frames import in_world
from splatpaint.scene.splats import SH_C0, Splats, concatenate
from splatpaint.stages.config import RunConfig
from splatpaint.stages.evaluate import Metrics
from splatpaint.stages.folder import RunFolder
from splatpaint.stages.run import run
from tests.support.captures import Shots, write_colmap
from tests.support.diffusion import save_toy_prior
from tests.support.walls import SIZE, Wall, wall_with_ball

VIEWS, FITTED = 9, 6


def write_usid(folder: Path, drawn: Path) -> tuple[Wall, Path]:
    """Six photos with the ball, three of the wall alone."""
    scene = wall_with_ball(drawn, views=VIEWS)
    poses = torch.cat([view.camera.cam_from_world for view in scene.capture.views]).double().inverse().numpy()
    images = [read_image(view.image) for view in scene.capture.views]
    points = scene.scene
    colors = ((points.sh[:, 0] * SH_C0 + 0.5).clamp(0, 1) * 255).byte().numpy()
    lens = Lens("PINHOLE", *SIZE, 36.0, 36.0, SIZE[0] / 2, SIZE[1] / 2)
    shots = Shots(lens, poses, images, points.means.double().numpy().astype(np.float64), colors)
    write_colmap(folder, shots)
    for number, (name, view) in enumerate(zip(shots.names, scene.capture.views, strict=True)):
        if number < FITTED:
            assert view.fill_mask
            write_mask(folder / "object_masks" / f"{name}.png", read_mask(view.fill_mask))
        else:
            (folder / "images" / f"{name}.png").unlink()
            without = rasterize(scene.wall, view.camera).color[0].clamp(0, 1)
            write_image(folder / "test_images" / f"{name}.png", without)
    return scene, folder


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Wall, PublicScene, Path]:
    """The wall, its scene, and a quick run of the photos with the ball."""
    folder = tmp_path_factory.mktemp("usid")
    wall, root = write_usid(folder / "cone", folder / "drawn")
    scene = read_scene(root, "cone")
    capture = write_part(scene, scene.fitted, scene.masks, folder / "fitted")
    prior = save_toy_prior(folder / "prior", "bundled")
    quick = [f"prior.name={prior}", "reconstruct.steps=20", "inpaint.steps=3", "inpaint.views=2", "inpaint.rounds=1"]
    config = load(RunConfig, None, [*quick, "reconstruct.exposures=false", "rasterizer=native"])
    with RunFolder.open(folder / "runs" / "cone", capture, config, files=inputs(capture, config.capture)) as opened:
        drain(opened.logged(run(capture, opened, config)))
    return wall, scene, folder / "runs" / "cone"


def replace_products(folder: Path, *, background: Splats, ball: Splats, filled: Splats) -> None:
    """Puts known splats, in the input frame, in the place of what the run made."""
    opened = RunFolder.read(folder)
    world = last_prepared(opened.stage("capture")).world_from_input
    products = {"locate": ball, "reconstruct": concatenate([background, ball]), "inpaint": filled}
    for stage, splats in products.items():
        write_splats(folder / stage / "splats.safetensors", in_world(splats, world))


def test_a_scene_that_is_right_scores_perfectly_from_the_poses_of_judged_photos(
    fitted: tuple[Wall, PublicScene, Path], tmp_path: Path
):
    wall, scene, folder = fitted
    replace_products(folder, background=wall.wall, ball=wall.ball, filled=wall.wall)
    right = judge(scene, folder, tmp_path, Metrics())
    assert set(right.views) == {photo.stem for photo in scene.judged}
    assert right.means["psnr/full"] > 45
    replace_products(folder, background=wall.wall, ball=wall.ball, filled=wall.scene)
    with_ball = judge(scene, folder, tmp_path, Metrics())
    assert with_ball.means["psnr/hole"] < 20 < 45 < right.means["psnr/hole"], "the ball is still there"
    assert with_ball.means["psnr/ring"] > 20


def test_where_the_set_has_no_masks_the_object_is_drawn_from_the_poses_of_judged_photos(
    fitted: tuple[Wall, PublicScene, Path], tmp_path: Path
):
    wall, scene, folder = fitted
    replace_products(folder, background=wall.wall, ball=wall.ball, filled=wall.wall)
    drawn = JudgedRun.read(folder)
    judge(scene, folder, tmp_path, Metrics())
    judged = last_prepared(tmp_path / "judged-cache")
    for view, original in zip(drawn.in_its_world(judged), wall.capture.views[FITTED:], strict=True):
        _, mask = drawn.draw(view, with_mask=True)
        assert original.fill_mask
        assert mask is not None
        truth = read_mask(original.fill_mask)[None] > 0
        shared = ((mask > 0) & truth).sum() / ((mask > 0) | truth).sum()
        assert shared > 0.6, "the ball's outline is where its photo has it"
        assert drawn.draw(view, with_mask=False)[1] is None


def test_masks_of_the_set_say_where_the_object_was_if_there_are_any(fitted: tuple[Wall, PublicScene, Path], tmp_path: Path):
    """Two columns of the photos, within the mask, are black; nothing else differs from the scene."""
    wall, scene, folder = fitted
    replace_products(folder, background=wall.wall, ball=wall.ball, filled=wall.wall)
    masks = {}
    for photo in scene.judged:
        spoiled = read_image(photo)
        spoiled[..., 4:6] = 0
        photo_copy, mask = tmp_path / "photos" / photo.name, tmp_path / "masks" / photo.name
        write_image(photo_copy, spoiled)
        write_mask(mask, (torch.arange(SIZE[0]) < 8).float().expand(1, SIZE[1], -1))
        masks[photo_copy] = mask
    own = replace(scene, judged=tuple(masks), judged_masks=masks)
    means = judge(own, folder, tmp_path / "work", Metrics()).means
    assert means["psnr/hole"] < 20
    assert means["psnr/known"] > 45


def test_given_runs_are_scored_and_nothing_is_fitted(
    fitted: tuple[Wall, PublicScene, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    wall, scene, folder = fitted
    replace_products(folder, background=wall.wall, ball=wall.ball, filled=wall.wall)
    words = [scene.folder.parent, "--scenes", "cone", "--runs", folder.parent, "-o", tmp_path]
    monkeypatch.setattr(sys, "argv", ["public", *map(str, words), "--json", str(tmp_path / "scores.json")])
    public.main()
    record = json.loads((tmp_path / "scores.json").read_text())
    assert record["scenes"]["cone"]["layout"] == "360-usid"
    assert record["scenes"]["cone"]["masks"] == "of the run"
    assert record["mean"]["psnr/hole"] == record["scenes"]["cone"]["psnr/hole"]
    assert "cone (360-usid, 3 photos, masks of the run)" in capsys.readouterr().out
    assert not (tmp_path / "cone" / "fitted").exists()


def test_a_scene_is_fitted_as_a_user_would_by_its_photos_with_the_object(
    fitted: tuple[Wall, PublicScene, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    _, scene, _ = fitted
    called: list[tuple[str, ...]] = []
    monkeypatch.setattr(public, "splatpaint", lambda *words: called.append(tuple(map(str, words))))
    monkeypatch.setattr(sys, "argv", ["public", str(scene.folder), "-o", str(tmp_path), "--config", "quick.yaml"])
    with pytest.raises(SystemExit):  # nothing was fitted, so there is nothing to judge
        public.main()
    capture, out = str(tmp_path / "cone" / "fitted"), str(tmp_path / "cone" / "run")
    expected = ("fit", capture, "-o", out, "--resume", "--config", "quick.yaml", "--max-resolution", "960", "--seed", "0")
    assert called == [expected]
    assert fit.make_context("fit", list(expected[1:])).params["resume"], "the command takes these words"
    assert {path.stem for path in (tmp_path / "cone" / "fitted" / "images").iterdir()} == {each.stem for each in scene.fitted}
