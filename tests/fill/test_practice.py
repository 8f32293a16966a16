"""Which way practice chooses, on textures, and that the choice stays with the state."""

from dataclasses import replace

import pytest
import torch

from splatpaint.events import Measured, Noted, drain
from splatpaint.fill import practice as practicing
from splatpaint.fill.config import FillConfig
from splatpaint.fill.phases import plan_fill
from splatpaint.fill.practice import WAYS, PracticeScore, best_way, choose_finish
from splatpaint.fill.state import load_state, save_state
from splatpaint.fill.tools import Tools
from splatpaint.fill.views import ObservedView
from splatpaint.fill.ways import Way
from splatpaint.image.files import write_image
from splatpaint.priors.noise import Denoised
from splatpaint.render.reference import rasterize
from splatpaint.scene.camera import Cameras
from splatpaint.scene.photos import Photos
from tests.fill.test_phases import CPU, QUICK, fill_events
from tests.support.gaussian_prior import GaussianPrior
from tests.support.walls import holed_wall


class BlotchyPrior(GaussianPrior):
    """A prior of few steps whose mean has a pattern that is nowhere in the photos."""

    def __init__(self) -> None:
        super().__init__(mu=torch.full((1, 3, 1, 1), 0.5), s=0.02)
        self.max_steps = 2

    def denoise(self, noisy, t, given, *, guidance=None):
        given = super().denoise(noisy, t, given, guidance=guidance)
        rows, columns = (torch.arange(extent) // 3 % 2 for extent in noisy.shape[2:])
        return Denoised(given.clean + 0.2 * (rows[:, None] ^ columns), given.noise)


def view_of(image: torch.Tensor, *, observed: torch.Tensor | None = None) -> ObservedView:
    """A flat surface with a square hole that looks like the image."""
    height, width = image.shape[2:]
    camera = Cameras(K=torch.eye(3)[None], cam_from_world=torch.eye(4)[None], width=width, height=height)
    one, hole = torch.ones(1, 1, height, width), torch.zeros(1, 1, height, width)
    hole[..., 24:44, 30:50] = 1
    return ObservedView.of(
        camera,
        image,
        depth=one,
        alpha=one,
        observed=one if observed is None else observed,
        unobserved=hole,
        support_removed=torch.zeros_like(one),
    )


def gradient(shape=(72, 110)) -> torch.Tensor:
    rows, columns = torch.meshgrid(*(torch.linspace(0, 1, extent) for extent in shape), indexing="ij")
    return torch.stack([0.2 + 0.5 * columns, 0.3 + 0.3 * rows, 0.4 + 0.2 * (rows + columns) / 2])[None]


def checks(shape=(72, 110)) -> torch.Tensor:
    rows, columns = (torch.arange(extent) // 4 % 2 for extent in shape)
    return 0.25 + 0.5 * (rows[:, None] ^ columns).float().expand(1, 3, *shape)


DEFAULTS = FillConfig()


def chosen(views, *, config=DEFAULTS, seed=0):
    events = []
    way = drain(choose_finish(views, Tools(BlotchyPrior(), rasterize, CPU, seed), config), show=events.append)
    return way, events


def test_a_plain_surface_is_filled_smoothly_and_the_event_says_so():
    way, events = chosen([view_of(gradient())])
    assert way == Way("smooth")
    (note,) = (event for event in events if isinstance(event, Noted))
    assert note.message.startswith("plain surface: smooth fill, ")
    assert note.message.endswith(" dB on 1 practice holes")
    values = {name: value for event in events if isinstance(event, Measured) for name, value in event.values.items()}
    assert values["practice/holes"] == 1
    assert f"{values['practice/psnr/smooth']:.1f} dB" in note.message
    assert {f"practice/{what}/{each.name}" for what in ("psnr", "distance") for each in WAYS} < set(values)


def test_a_strong_texture_is_filled_with_pieces():
    way, events = chosen([view_of(checks())])
    assert way is not None
    assert way.kind == "pieces"
    assert any("textured surface" in event.message for event in events if isinstance(event, Noted))


def test_the_choice_depends_on_the_seed_alone():
    views = [view_of(checks() + 0.05 * torch.rand(1, 3, 72, 110))]
    first, again = chosen(views, seed=3), chosen(views, seed=3)
    assert first[0] == again[0]
    assert first[1] == again[1]


def test_without_room_for_practice_pieces_are_copied_as_by_default_and_the_event_says_why():
    observed = torch.zeros(1, 1, 72, 110)
    observed[..., 20:48, 26:54] = 1
    way, events = chosen([view_of(gradient(), observed=observed)], config=FillConfig(exemplar_weight=0.55))
    assert way == Way("pieces", 0.55)
    (note,) = events
    assert "room for a practice hole" in note.message


def test_of_ways_that_are_about_as_near_the_one_that_looks_nearest_is_taken():
    smooth, prior, pieces = WAYS[:3]

    def best(*psnr: float) -> Way:
        distances = (0.3, 0.2, 0.1)
        return best_way({way: PracticeScore(*each) for way, *each in zip(WAYS[:3], psnr, distances, strict=True)})

    loss = practicing.MAX_LOSS_DB
    assert best(30.0, 30.0, 30.1 - loss) == pieces
    assert best(30.0, 30.0, 29.9 - loss) == prior
    assert best(30.0, 29.9 - loss, 29.9 - loss) == smooth


@pytest.fixture
def wall(tmp_path):
    """A striped wall whose photos show it beside the holes too."""
    scene, removal = holed_wall(tmp_path)
    for view in scene.capture.views:
        write_image(view.image, rasterize(scene.wall, view.camera).color[0].clamp(0, 1))
    return scene, removal


def test_the_choice_is_saved_with_the_state_and_a_resumed_fill_does_not_practice_again(wall, tmp_path, monkeypatch):
    scene, removal = wall
    tools = Tools(BlotchyPrior(), rasterize, CPU)
    monkeypatch.setattr(practicing, "practice_holes", lambda _views: [])
    config = replace(QUICK, steps=1, exemplar_weight=0.25)
    state = drain(plan_fill(Photos(scene.capture.views, CPU), removal, tools, config))
    assert state is not None
    assert state.finish == Way("pieces", 0.25)
    file = tmp_path / "checkpoint.pt"
    for way in (Way("smooth"), None, Way("pieces", 0.25)):
        save_state(file, replace(state, finish=way))
        loaded = load_state(file, CPU)
        assert loaded is not None
        assert loaded.finish == way

    def never(*_):
        raise AssertionError("practiced again")

    monkeypatch.setattr(practicing, "practiced_way", never)
    drain(fill_events(scene, removal, tools.prior, config, checkpoint=file))
