from dataclasses import replace

import pytest
import torch

from splatpaint.errors import ConfigError, RunError
from splatpaint.events import Noted, Progressed, SceneChanged, drain
from splatpaint.fill.boundary import boundary_splats
from splatpaint.fill.config import FillConfig, strength_of_round
from splatpaint.fill.novel_views import NovelViewsConfig
from splatpaint.fill.phases import fit_round, paint_targets, plan_fill
from splatpaint.fill.seeding import misplaced_fill
from splatpaint.fill.state import load_state, save_state
from splatpaint.fill.tools import Tools
from splatpaint.fill.views import observed_views
from splatpaint.fit.checkpoint import save_checkpoint
from splatpaint.fit.parameters import LearningRates
from splatpaint.fit.seeding import round_splats
from splatpaint.image.files import write_image
from splatpaint.masks.removal import Hole, Removal
from splatpaint.objectives.adversarial import AdversarialConfig
from splatpaint.objectives.distill import DistillConfig
from splatpaint.render.reference import rasterize
from splatpaint.scene.photos import Photos
from splatpaint.stages.inpaint import inpaint
from tests.support.gaussian_prior import GaussianPrior
from tests.support.walls import SIZE, holed_wall, wall_with_ball

CPU = torch.device("cpu")
GREEN = torch.tensor([0.1, 0.7, 0.2])
QUICK = FillConfig(
    rounds=2,
    steps=60,
    views=3,
    denoise_steps=4,
    boundary_px=4.0,
    preserve_observed=False,
    rates=LearningRates(means=1e-5, means_final=1e-6, sh0=0.1),
)
"""Without preservation: everything in pictures this small is seen near some hole and far from another."""


def fill_events(scene, removal, prior, config, *, seed=0, depth=None, checkpoint=None):
    tools = Tools(prior, rasterize, CPU, seed, depth)
    return inpaint(Photos(scene.capture.views, CPU), removal, tools, config, checkpoint=checkpoint)


def fill_of(*given, **more):
    return drain(fill_events(*given, **more))


PRIOR = GaussianPrior(mu=GREEN[None, :, None, None], s=0.02)
GRAY = GaussianPrior(mu=torch.full((1, 3, 1, 1), 0.55), s=0.02)


def test_the_fill_takes_the_colors_that_the_prior_paints(tmp_path):
    scene, removal = holed_wall(tmp_path)
    filled = fill_of(scene, removal, PRIOR, QUICK)
    for view, hole in zip(scene.capture.views, removal.holes, strict=True):
        rendered = rasterize(filled, view.camera)
        bare = rasterize(removal.kept, view.camera)
        inside = hole.unobserved[0, 0]
        color = rendered.color[0][:, inside].mean(dim=1)
        assert color[1] > color[0] + 0.1, "the hole is not green"
        assert rendered.alpha[0, 0][inside].mean() > bare.alpha[0, 0][inside].mean() + 0.3
        outside = torch.nn.functional.max_pool2d(hole.unobserved.float(), 7, 1, 3)[0, 0] == 0
        assert (rendered.color - bare.color)[0][:, outside].abs().mean() < 0.01


def test_what_lost_its_support_is_mended_from_the_photo_not_painted(tmp_path):
    scene, removal = holed_wall(tmp_path)
    on_the_left = (scene.wall.means[:, :1] < 0).float()
    holes = []
    for view, hole in zip(scene.capture.views, removal.holes, strict=True):
        write_image(view.image, rasterize(scene.wall, view.camera).color[0].clamp(0, 1))
        left = (rasterize(scene.wall, view.camera, features=on_the_left).color > 0.5) & hole.unobserved
        holes.append(Hole(view.name, left, left, hole.unobserved & ~left))
    filled = fill_of(scene, Removal(removal.kept, tuple(holes)), PRIOR, QUICK)
    for view, hole in zip(scene.capture.views, holes, strict=True):
        color = rasterize(filled, view.camera).color[0]
        greenness = color[1] - color[0]
        painted, mended = (greenness[mask[0, 0]].mean() for mask in (hole.unobserved, hole.support_removed))
        assert painted > 0.15
        assert mended.abs() < 0.1, "the photo shows a gray wall there"


@pytest.mark.parametrize("share", [-0.1, 1.5])
def test_the_weight_of_the_exemplar_is_a_share(share):
    with pytest.raises(ConfigError, match=f"exemplar_weight is {share}"):
        FillConfig(exemplar_weight=share)


@pytest.mark.parametrize("name", ["rounds", "steps", "denoise_steps", "views"])
def test_nothing_is_painted_in_no_steps(name):
    with pytest.raises(ConfigError, match=f"{name} is 0, expected at least 1"):
        FillConfig(**{name: 0})


def test_kept_splats_away_from_the_holes_do_not_change(tmp_path):
    scene, removal = holed_wall(tmp_path)
    before = {name: value.clone() for name, value in removal.kept.tensors().items()}
    config = QUICK
    views = observed_views(Photos(scene.capture.views, CPU), removal, rasterize)
    boundary = boundary_splats(removal.kept, views, rasterize, config)
    assert 0 < boundary.sum() < len(boundary) / 2
    filled = fill_of(scene, removal, PRIOR, config)
    assert all(torch.equal(value, before[name]) for name, value in removal.kept.tensors().items())
    frozen = int((~boundary).sum())
    for name, value in removal.kept[~boundary].tensors().items():
        after = filled.tensors()[name][:frozen]
        assert torch.equal(after[:, : value.shape[1]] if name == "sh" else after, value), name


def test_boundary_splats_are_what_shows_around_the_holes_alone(tmp_path):
    scene, removal = holed_wall(tmp_path)
    views = observed_views(Photos(scene.capture.views, CPU), removal, rasterize)
    boundary = boundary_splats(removal.kept, views, rasterize, QUICK)
    distance = removal.kept.means[:, :2].abs().max(dim=1).values
    assert distance[boundary].max() < distance[~boundary].median()


def test_fill_goes_that_hides_what_photos_show_and_stays_where_only_others_tell_what_is_there(tmp_path):
    scene, removal = holed_wall(tmp_path)
    views = observed_views(Photos(scene.capture.views, CPU), removal, rasterize)
    one = torch.nonzero(views[0].unobserved[0, 0]).float().mean(dim=0) + 0.5
    point = views[0].camera.unproject(0.5 * torch.ones_like(views[0].depth))[0, int(one[0]), int(one[1])][None]
    fill = round_splats(point, GREEN[None], torch.tensor([0.02]), opacity=0.9, sh_degree=0)

    def judged(seen: float) -> list[bool]:
        nothing = torch.zeros_like(views[0].depth)
        others = [views[0].with_maps(unobserved=nothing, support_removed=nothing, observed=torch.full_like(nothing, seen))] * 3
        return misplaced_fill(fill, removal.kept[:0], [views[0], *others], rasterize).tolist()

    assert judged(seen=1.0) == [True]
    assert judged(seen=0.0) == [False]


def stained_wall(folder):
    """`holed_wall` whose kept splats around the hole took on a color that no photo shows."""
    scene, removal = holed_wall(folder)
    stained = removal.kept.means[:, :2].abs().max(dim=1).values < 0.25
    sh = removal.kept.sh.clone()
    sh[stained, 0] = torch.tensor([1.5, -1.0, -1.0])
    for view in scene.capture.views:
        write_image(view.image, rasterize(scene.wall, view.camera).color[0].clamp(0, 1))
    return scene, replace(removal, kept=replace(removal.kept, sh=sh))


def test_boundary_splats_learn_from_the_photos(tmp_path):
    scene, removal = stained_wall(tmp_path)
    filled = fill_of(scene, removal, GRAY, QUICK)
    for view, hole in zip(scene.capture.views, removal.holes, strict=True):
        wanted = rasterize(scene.wall, view.camera).color
        around = (torch.nn.functional.max_pool2d(hole.unobserved.float(), 5, 1, 2) - hole.unobserved.float())[0, 0] > 0
        was, now = ((rasterize(s, view.camera).color - wanted)[0][:, around].abs().mean() for s in (removal.kept, filled))
        assert now < 0.6 * was


def test_what_the_object_hid_in_most_views_is_learned_from_the_one_that_shows_it(tmp_path):
    """The stain that was kept there is no example to follow, neither for the splats nor for what is painted beside it."""
    scene, removal = stained_wall(tmp_path)
    *most, last = removal.holes
    hid = [replace(each, occluded=torch.nn.functional.max_pool2d(each.unobserved.float(), 7, 1, 3).bool()) for each in most]
    filled = fill_of(scene, Removal(removal.kept, (*hid, last)), GRAY, QUICK)
    camera = scene.capture.views[0].camera
    wanted, hidden = rasterize(scene.wall, camera).color, (hid[0].occluded & ~hid[0].unobserved)[0, 0]
    was, now = ((rasterize(each, camera).color - wanted)[0][:, hidden].abs().mean() for each in (removal.kept, filled))
    assert now < 0.5 * was


def assert_resumes(start, checkpoint):
    """What `start(checkpoint)` ends in is the same, bit for bit, if it is stopped after the first round and begun again."""
    straight = drain(start())
    for event in start(checkpoint):
        if isinstance(event, Progressed) and (event.part, event.round) == ("paint", 2):
            break
    resumed = drain(start(checkpoint))
    for name, value in straight.tensors().items():
        assert torch.equal(value, resumed.tensors()[name]), name


def test_the_same_seed_gives_the_same_fill_also_when_interrupted_between_rounds(tmp_path):
    scene, removal = holed_wall(tmp_path)

    def start(checkpoint=None):
        return fill_events(scene, removal, PRIOR, QUICK, seed=3, checkpoint=checkpoint)

    assert_resumes(start, tmp_path / "fill.pt")


def test_without_holes_there_is_nothing_to_paint(tmp_path):
    scene = wall_with_ball(tmp_path)
    nothing = torch.zeros(1, 1, SIZE[1], SIZE[0], dtype=torch.bool)
    removal = Removal(scene.wall, tuple(Hole(view.name, nothing, nothing, nothing) for view in scene.capture.views))
    events = fill_events(scene, removal, PRIOR, QUICK)
    assert any(isinstance(event, Noted) and "nothing to paint" in event.message for event in events)
    filled = fill_of(scene, removal, PRIOR, QUICK)
    assert all(torch.equal(value, filled.tensors()[name]) for name, value in removal.kept.tensors().items())


def test_a_close_up_that_is_hole_from_edge_to_edge_is_no_hindrance(tmp_path):
    scene, removal = holed_wall(tmp_path)
    first, *others = removal.holes
    everything = torch.ones_like(first.unobserved)
    close_up = replace(first, unobserved=everything, occluded=everything)
    filled, plain = (
        fill_of(scene, Removal(removal.kept, (hole, *others)), PRIOR, QUICK)
        for hole in (close_up, replace(first, unobserved=~everything, occluded=~everything))
    )
    for view, hole in zip(scene.capture.views[1:], others, strict=True):
        one, other = (rasterize(each, view.camera).color[0][:, hole.unobserved[0, 0]] for each in (filled, plain))
        assert (one - other).abs().mean() < 0.05, "it is filled as if that view were not there"


def test_holes_of_which_nothing_is_told_stay_open_and_that_is_said(tmp_path):
    scene, removal = holed_wall(tmp_path)
    first, *others = removal.holes
    everything, nothing = torch.ones_like(first.unobserved), torch.zeros_like(first.unobserved)
    blind = replace(first, unobserved=everything, occluded=everything)
    whole = [replace(hole, unobserved=nothing, occluded=nothing) for hole in others]
    for holes in ((blind, *whole), (blind,) * len(removal.holes)):
        events = list(fill_events(scene, Removal(removal.kept, holes), PRIOR, QUICK))
        assert [(event.message, event.level) for event in events if isinstance(event, Noted)] == [
            ("no photo tells where the surface in the holes may be: they stay open", "warning")
        ]


def test_noise_falls_with_the_square_root_of_the_rounds():
    config = replace(QUICK, rounds=5, strength_first=1.0, strength_last=0.2)
    strengths = [strength_of_round(number, config) for number in range(5)]
    torch.testing.assert_close(torch.tensor(strengths), 1.0 - 0.8 * torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0]).sqrt())


def test_the_fill_grows_if_it_may_and_the_boundary_does_not(tmp_path):
    scene, removal = holed_wall(tmp_path)
    boundary = int(
        boundary_splats(
            removal.kept, observed_views(Photos(scene.capture.views, CPU), removal, rasterize), rasterize, QUICK
        ).sum()
    )
    config = replace(QUICK, rounds=1, steps=100)
    as_it_was, grown = (fill_of(scene, removal, PRIOR, replace(config, growth=growth)) for growth in (1.0, 2.0))
    assert len(grown) > len(as_it_was)
    frozen = len(removal.kept) - boundary
    began, ended = (each.means[frozen : frozen + boundary] for each in (as_it_was, grown))
    assert (began - ended).abs().max() < 0.05, "the boundary is still the boundary, splat by splat"


def everything_on() -> FillConfig:
    """All that is off by default."""
    return replace(
        QUICK,
        steps=12,
        objectives=(
            *QUICK.objectives,
            AdversarialConfig(weight=0.1, start=0.1, ramp=0.1, patch_px=16, width=8),
            DistillConfig(weight=0.01, every=2),
        ),
        samplers=(NovelViewsConfig(share=0.5, refresh_every=3),),
        growth=1.5,
        preserve_observed=True,
        boundary_px=8.0,
    )


def test_every_part_that_is_off_by_default_can_be_on_and_resumes(tmp_path):
    scene, removal = holed_wall(tmp_path)

    def start(checkpoint=None):
        return fill_events(scene, removal, PRIOR, everything_on(), seed=3, depth=Leaning(), checkpoint=checkpoint)

    names = {name for event in start() if isinstance(event, Progressed) for name in event.values}
    assert {"observed", "painted", "adversarial", "matching", "distill", "correlation", "ranking"} <= names
    assert_resumes(start, tmp_path / "fill.pt")


@pytest.mark.parametrize("config", [QUICK, everything_on()], ids=["defaults", "everything on"])
@pytest.mark.parametrize("moment", ["planned", "painting", "first round", "second round"])
def test_a_fill_that_is_closed_anywhere_ends_where_a_straight_one_does(tmp_path, moment, config):
    scene, removal = holed_wall(tmp_path)
    config = replace(config, steps=12)

    def start(checkpoint=None):
        return fill_events(scene, removal, PRIOR, config, seed=3, depth=Leaning(), checkpoint=checkpoint)

    def reached(event) -> bool:
        match event, moment:
            case Noted(), "planned":
                return True
            case Progressed(part="paint", round=1), "painting":
                return True
            case Progressed(part="fit", round=1), "first round":
                return True
            case Progressed(part="fit", round=2), "second round":
                return True
        return False

    straight, checkpoint = drain(start()), tmp_path / "fill.pt"
    events = start(checkpoint)
    for event in events:
        if reached(event):
            events.close()
            break
    assert list(events) == [], "nothing goes on after it was closed"
    resumed = drain(start(checkpoint))
    for name, value in straight.tensors().items():
        assert torch.equal(value, resumed.tensors()[name]), name


def test_the_scene_can_be_looked_at_while_it_is_filled(tmp_path):
    scene, removal = holed_wall(tmp_path)
    looks = [event.splats() for event in fill_events(scene, removal, PRIOR, QUICK) if isinstance(event, SceneChanged)]
    assert len(looks) == QUICK.rounds * QUICK.steps
    camera, hole = scene.capture.views[0].camera, removal.holes[0].unobserved[0, 0]

    def greenness(splats) -> float:
        color = rasterize(splats, camera).color[0][:, hole].mean(dim=1)
        return float(color[1] - color[0])

    assert greenness(looks[0]) < 0.05 < 0.1 < greenness(looks[-1])


def test_a_round_leaves_the_state_that_it_began_from_as_it_was_and_begins_from_its_splats(tmp_path):
    scene, removal = holed_wall(tmp_path)
    tools, config = Tools(PRIOR, rasterize, CPU), replace(everything_on(), steps=3)

    def fitted(state):
        return drain(fit_round(drain(paint_targets(state, tools, config)), tools, config, None))

    first = fitted(drain(plan_fill(Photos(scene.capture.views, CPU), removal, tools, config)))
    one, again = fitted(first), fitted(first)
    for name, value in one.trained.tensors().items():
        assert torch.equal(value, again.trained.tensors()[name]), name
    fainter = replace(first, trained=replace(first.trained, logit_opacities=first.trained.logit_opacities - 3))
    assert (fitted(fainter).trained.logit_opacities < one.trained.logit_opacities - 1).all()


def test_a_checkpoint_of_another_version_is_refused_in_a_sentence(tmp_path):
    save_checkpoint(tmp_path / "old.pt", {"round": 1, "parameters": {}})
    with pytest.raises(RunError, match=r"old\.pt is no checkpoint that can be continued \(it lacks 'parameters'\): delete it"):
        load_state(tmp_path / "old.pt", CPU)


def test_a_state_is_saved_and_loaded_whole(tmp_path):
    scene, removal = holed_wall(tmp_path)
    tools = Tools(PRIOR, rasterize, CPU, 0, Leaning())
    config = replace(everything_on(), steps=2)
    state = drain(plan_fill(Photos(scene.capture.views, CPU), removal, tools, config))
    assert state is not None
    painted = drain(paint_targets(state, tools, config))
    state = drain(paint_targets(drain(fit_round(painted, tools, config, None)), tools, config))
    save_state(tmp_path / "state.pt", state)
    again = load_state(tmp_path / "state.pt", CPU)
    assert again is not None
    assert (again.round, again.seeds, len(again.views), len(again.crops)) == (
        1,
        state.seeds,
        len(state.views),
        len(state.crops),
    )
    for one, other in (
        (state.trained.means, again.trained.means),
        (state.group, again.group),
        (state.views[1].image, again.views[1].image),
        (state.views[1].source, again.views[1].source),
        (state.crops[0].supervised, again.crops[0].supervised),
        (state.targets[0].image, again.targets[0].image),
        (state.targets[0].disparity_hint, again.targets[0].disparity_hint),
        (state.center, again.center),
        (
            state.training["optimizers"]["sh0"]["state"][0]["exp_avg"],
            again.training["optimizers"]["sh0"]["state"][0]["exp_avg"],
        ),
    ):
        assert torch.equal(one, other)
    assert again.crops[0].box == state.crops[0].box
    assert load_state(tmp_path / "nothing.pt", CPU) is None


class Leaning:
    """Sees in every picture a plane that is nearer at its right side."""

    def __call__(self, images):
        return torch.linspace(0.5, 1.0, images.shape[3]).expand(len(images), 1, images.shape[2], -1).contiguous()
