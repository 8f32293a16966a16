"""How the rounds of a whole fill paint: what the prior and the shift map are asked, recorded around the real functions."""

from dataclasses import replace

import pytest
import torch

from splatpaint.events import drain
from splatpaint.fill import practice as choice
from splatpaint.fill import targets, ways
from splatpaint.fill.crops import choose_crops
from splatpaint.fill.tools import Tools
from splatpaint.fill.views import observed_views
from splatpaint.image.files import write_image
from splatpaint.image.shift_map import shift_map_inpaint
from splatpaint.priors.cloning import poisson_clone
from splatpaint.priors.crops import inpaint as paint
from splatpaint.render.reference import rasterize
from splatpaint.scene.photos import Photos
from tests.fill.test_phases import CPU, GREEN, PRIOR, QUICK, fill_of
from tests.support.gaussian_prior import GaussianPrior
from tests.support.walls import holed_wall


def test_holes_are_painted_beside_views_that_were_painted_before(tmp_path):
    layouts = []

    class RecordingPrior(GaussianPrior):
        def condition(self, query):
            layouts.append(query.layout)
            return super().condition(query)

    scene, removal = holed_wall(tmp_path)
    prior = RecordingPrior(GREEN[None, :, None, None], s=0.02)
    config = replace(QUICK, rounds=1, steps=1, reference="context_view")
    fill_of(scene, removal, prior, config)
    assert layouts[0] == "single", "nobody has seen it, and nothing is painted yet"
    assert layouts[1:] == ["pair"] * (len(layouts) - 1)
    assert len(layouts) == 3


def test_later_views_show_what_was_painted_in_the_first(tmp_path, monkeypatch):
    """In the first round: little is left to paint, and the pictures hold the first one's green, not the gray of the wall."""
    asked = []

    def watched(prior, query, **rest):
        asked.append(query)
        return paint(prior, query, **rest)

    monkeypatch.setattr(targets, "paint", watched)
    scene, removal = holed_wall(tmp_path)
    config = replace(QUICK, rounds=2, steps=1, reference="warp")
    fill_of(scene, removal, PRIOR, config)
    first, *later, again = [float(query.holes.sum()) for query in asked[:4]]
    assert all(left < 0.3 * first for left in later)
    assert again > 0.7 * first
    for query, view in zip(asked[1:3], asked[4:6], strict=True):
        warped = (view.holes - query.holes)[0, 0] > 0
        assert warped.sum() > 0
        assert (query.images[0, 1] - query.images[0, 0])[warped].median() > 0.15


def test_the_last_round_can_finish_one_view_with_pieces_of_its_photo_and_the_others_with_it(tmp_path, monkeypatch):
    rounds, left, met, guides = [], [], [], []

    def asked(prior, query, **rest):
        rounds.append(rest["steps"])
        return paint(prior, query, **rest)

    def completed(image, hole, *rest, guide, **more):
        left.append(float(hole.sum()))
        guides.append(guide)
        return shift_map_inpaint(image, hole, *rest, guide=guide, **more)

    monkeypatch.setattr(targets, "paint", asked)

    def meeting(*rest):
        met.append(poisson_clone(*rest))
        return met[-1]

    monkeypatch.setattr(ways, "shift_map_inpaint", completed)
    monkeypatch.setattr(ways, "poisson_clone", meeting)
    scene, removal = holed_wall(tmp_path)
    for view in scene.capture.views:
        write_image(view.image, rasterize(scene.wall, view.camera).color[0].clamp(0, 1))
    config = replace(QUICK, finish="exemplar", exemplar_weight=1.0)
    filled = fill_of(scene, removal, PRIOR, config)
    assert rounds == [1, 1, 1], "the prior paints the first round only, in one step"
    assert len(left) == 3
    assert left[0] > 0
    assert all(rest < 0.3 * left[0] for rest in left[1:])
    assert all(any(guide is each for each in met) for guide in guides), "pieces are looked up by colors that meet the photo"
    view, hole = scene.capture.views[0], removal.holes[0].unobserved[0, 0]
    color = rasterize(filled, view.camera).color[0][:, hole].mean(dim=1)
    assert color[1] - color[0] < 0.1, "the photos show a gray wall, though the prior painted it green"


def test_what_the_pieces_were_chosen_by_has_a_share_in_the_finish(tmp_path, monkeypatch):
    black, white = (lambda image, hole, *_, color=color, **_more: torch.where(hole > 0, color, image) for color in (0.0, 1.0))
    monkeypatch.setattr(ways, "shift_map_inpaint", black)
    monkeypatch.setattr(ways, "poisson_clone", white)
    scene, removal = holed_wall(tmp_path)
    config = QUICK
    views = observed_views(Photos(scene.capture.views, CPU), removal, rasterize)
    nothing = removal.kept[:0]
    crops = choose_crops(views, removal.kept, nothing, rasterize, config)
    tools = Tools(PRIOR, rasterize, CPU)
    finish = ways.Way("pieces", 0.75)
    (target,) = drain(
        targets.generate_targets(views, crops[:1], removal.kept, removal.kept, tools, config, number=1, finish=finish)
    )
    hole = crops[0].hole.expand_as(target.image)
    assert torch.allclose(target.image[hole], torch.tensor(0.25))


@pytest.mark.parametrize(
    ("finish", "max_steps", "way"),
    [
        ("prior", 2, None),
        ("auto", None, None),
        ("smooth", 2, ways.Way("smooth")),
        ("smooth", None, ways.Way("smooth")),
        ("exemplar", None, ways.Way("pieces", 0.6)),
    ],
)
def test_a_way_that_is_asked_for_is_not_practiced(tmp_path, monkeypatch, finish, max_steps, way):
    painted = []

    class RecordingPainter(ways.HolePainter):
        def paint(self, way):
            painted.append(way)
            return super().paint(way)

    def never(*_):
        raise AssertionError("practiced")

    monkeypatch.setattr(targets, "HolePainter", RecordingPainter)
    monkeypatch.setattr(choice, "practice_holes", never)
    scene, removal = holed_wall(tmp_path)
    prior = GaussianPrior(mu=GREEN[None, :, None, None], s=0.02)
    prior.max_steps = max_steps
    config = replace(QUICK, steps=1, finish=finish, exemplar_weight=0.6)
    fill_of(scene, removal, prior, config)
    assert painted == ([way] * 3 if way else [])
