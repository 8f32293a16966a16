from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks.inpaint_then_fit import telea
from benchmarks.methods import FORCED, method
from benchmarks.telea_fill import paint_by_telea
from splatpaint.config import load
from splatpaint.events import drain
from splatpaint.fill.config import FillConfig
from splatpaint.fill.phases import paint_targets, plan_fill
from splatpaint.fill.practice import WAYS, choose_finish
from splatpaint.fill.tools import Tools
from splatpaint.fill.ways import Way
from splatpaint.fit.parameters import LearningRates
from splatpaint.render.reference import rasterize
from splatpaint.scene.photos import Photos
from splatpaint.stages.config import RunConfig
from splatpaint.stages.inpaint import inpaint
from tests.support.gaussian_prior import GaussianPrior
from tests.support.walls import holed_wall

CPU = torch.device("cpu")
GREEN = torch.tensor([0.1, 0.7, 0.2])
TOOLS = Tools(GaussianPrior(mu=GREEN[None, :, None, None], s=0.02), rasterize, CPU)
QUICK = FillConfig(
    rounds=2,
    steps=30,
    views=3,
    denoise_steps=1,
    boundary_px=4.0,
    preserve_observed=False,
    finish="smooth",
    rates=LearningRates(means=1e-5, means_final=1e-6, sh0=0.1),
)


def test_holes_show_what_telea_paints_and_the_rest_what_the_photo_or_the_kept_splats_show(tmp_path: Path):
    scene, removal = holed_wall(tmp_path)
    state = drain(plan_fill(Photos(scene.capture.views, CPU), removal, TOOLS, QUICK))
    assert state is not None
    painted = drain(paint_by_telea(state, TOOLS, QUICK))
    assert len(painted.targets) == len(state.crops) == 3
    for crop, target in zip(state.crops, painted.targets, strict=True):
        view = state.views[crop.view]
        expected = crop.box.crop(telea(view.image, view.unknown, 0))
        hole, image = crop.hole.expand(1, 3, -1, -1), crop.box.crop(view.image)
        assert hole.any()
        assert torch.equal(target.image[hole], expected[hole])
        photo = (crop.supervised & ~crop.hole).expand_as(image)
        assert torch.equal(target.image[photo], image[photo])
        elsewhere = ~crop.supervised.expand_as(image)
        kept = rasterize(state.kept, crop.camera).color.clamp(0, 1)
        assert torch.equal(target.image[elsewhere], kept[elsewhere])


def test_the_painter_alone_differs(tmp_path: Path):
    """Views, crops and seeds that the painters are given are the same; what comes out is green by the prior alone."""
    scene, removal = holed_wall(tmp_path)
    photos, begun, greens = Photos(scene.capture.views, CPU), [], []
    for painter in (paint_by_telea, paint_targets):

        def remembering(state, tools, config, painter=painter):
            begun.append(state)
            return painter(state, tools, config)

        config = QUICK if painter is paint_by_telea else replace(QUICK, finish="prior")
        filled = drain(inpaint(photos, removal, TOOLS, config, paint=remembering))
        holes = zip(scene.capture.views, removal.holes, strict=True)
        colors = [rasterize(filled, view.camera).color[0][:, hole.unobserved[0, 0]].mean(dim=1) for view, hole in holes]
        greens.append(torch.stack([color[1] - color[0] for color in colors]))
    by_telea, by_prior = begun[0], begun[2]
    assert torch.equal(by_telea.trained.means, by_prior.trained.means)
    assert torch.equal(by_telea.trained.sh, by_prior.trained.sh)
    assert all(torch.equal(one.hole, other.hole) for one, other in zip(by_telea.crops, by_prior.crops, strict=True))
    assert greens[0].max() < 0 < 0.1 < greens[1].min()


def test_ours_by_telea_fills_the_holes_of_ours(task: Path, tmp_path: Path):
    quick = ["reconstruct.steps=40", "inpaint.steps=10", "inpaint.rounds=1", "inpaint.views=2", "rasterizer=native"]
    config = load(RunConfig, None, [*quick, "remove.holes.use_other_views=false"])
    with pytest.raises(ValueError, match="run ours"):
        method("ours-telea").fit(task, tmp_path, config, [])
    ours, by_telea = (method(name).fit(task, tmp_path, config, []) for name in ("ours", "ours-telea"))
    assert by_telea.scores["hole/mask"] == ours.scores["hole/mask"] > 0
    assert by_telea.seconds > 0
    again = method("ours-telea").fit(task, tmp_path, config, [])
    assert again.seconds == by_telea.seconds, "the scene is read, not made again"
    assert again.scores == by_telea.scores


def test_every_way_that_practice_may_choose_is_a_row_that_forces_it():
    assert set(FORCED) == {way.name for way in WAYS}
    for way in WAYS:
        method(f"ours-{way.name}")
        config = load(RunConfig, None, list(FORCED[way.name])).inpaint
        chosen = drain(choose_finish([], TOOLS, config))
        if way.kind == "prior":  # pieces of which nothing is copied are what the prior painted
            assert chosen == Way("pieces", 0.0)
        else:
            assert chosen == way
