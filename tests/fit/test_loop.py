import pytest
import torch

from splatpaint.errors import DivergedError
from splatpaint.events import Progressed, SceneChanged, drain
from splatpaint.fit.checkpoint import load_checkpoint
from splatpaint.fit.density import Density, DensityConfig
from splatpaint.fit.exposures import Exposures
from splatpaint.fit.loop import LoopConfig, optimize, sh_degree
from splatpaint.fit.parameters import LearningRates, SplatParameters
from splatpaint.fit.samplers import Example, first_example
from splatpaint.objectives.photometric import Photometric, PhotometricConfig
from splatpaint.render.reference import rasterize
from tests.support.scenes import cloud, orbit, splat_at

CAMERAS = orbit(4, width=16, height=12, focal=14.0)
PIXELS = Photometric(PhotometricConfig())


def examples(truth):
    ones = torch.ones(1, 1, 12, 16)

    def sample(step: int) -> Example:
        camera = CAMERAS[step % 4]
        return Example(camera, (0.6 + 0.1 * (step % 4)) * rasterize(truth, camera).color, ones, 0 * ones, photo=step % 4)

    return sample


def start() -> SplatParameters:
    splats = cloud(12, degree=1, seed=1)
    splats.sh[:] = 0
    return SplatParameters(splats, LearningRates(sh0=0.05))


def test_the_loss_falls():
    parameters = start()
    sample = examples(cloud(12, seed=1))
    events = list(optimize(parameters, [sample], [PIXELS], rasterize, LoopConfig(steps=60, report_every=1), stage="fit"))
    losses = [event.values["photometric"] for event in events if isinstance(event, Progressed)]
    assert len(losses) == 60
    assert sum(losses[-4:]) < 0.5 * sum(losses[:4])


def test_an_interrupted_training_ends_where_a_straight_one_does(tmp_path):
    def train(steps_before_the_kill: int | None) -> SplatParameters:
        parameters = start()
        density = Density(DensityConfig(every=10, start=0.1, stop=0.7, max_splats=20), parameters)
        exposures = Exposures(4, torch.device("cpu"))
        config = LoopConfig(steps=40, save_every=15, report_every=1)
        checkpoint = tmp_path / f"{steps_before_the_kill}.pt"
        for attempt in (steps_before_the_kill, None):
            torch.manual_seed(0)
            events = optimize(
                parameters, [examples(cloud(12, seed=1))], [PIXELS], rasterize, config,
                stage="fit", density=density, exposures=exposures, checkpoint=checkpoint,
            )  # fmt: skip
            for event in events:
                if isinstance(event, Progressed) and event.done == attempt:
                    parameters = start()
                    density = Density(density.config, parameters)
                    exposures = Exposures(4, torch.device("cpu"))
                    break
            if attempt is None:
                break
        return parameters

    straight, resumed = train(None), train(35)
    assert len(straight) > 12
    for name, value in straight.splats(1).tensors().items():
        assert torch.equal(value, resumed.splats(1).tensors()[name]), name


def test_frozen_splats_are_drawn_and_do_not_move():
    frozen = splat_at((0.0, 0.0, 0.0), scale=1.0, opacity=0.99)
    before = {name: value.clone() for name, value in frozen.tensors().items()}
    ones = torch.ones(1, 1, 12, 16)
    alone = rasterize(frozen, CAMERAS[0]).color
    parameters = start()
    sample = lambda _: Example(CAMERAS[0], alone, ones, 0 * ones, frozen=frozen)  # noqa: E731
    drain(optimize(parameters, [sample], [PIXELS], rasterize, LoopConfig(steps=5), stage="fit"))
    assert all(torch.equal(value, before[name]) for name, value in frozen.tensors().items())


def test_all_sh_degrees_can_be_in_use_from_the_start():
    assert sh_degree(1, 2, LoopConfig(steps=100, sh_every=0.0)) == 2


def test_the_sh_degree_rises_in_turn_and_stops_at_the_highest():
    config = LoopConfig(steps=100, sh_start=0.2, sh_every=0.2)
    assert [sh_degree(step, 2, config) for step in (1, 19, 20, 39, 40, 60, 100)] == [0, 0, 1, 1, 2, 2, 2]


def test_the_scene_can_be_looked_at_after_every_step_and_the_training_be_stopped_there():
    around = splat_at((0.0, 0.0, 0.0), opacity=0.9)
    parameters = start()
    events = optimize(
        parameters, [examples(cloud(12, seed=1))], [PIXELS], rasterize, LoopConfig(steps=9), stage="fit", surroundings=around
    )
    looks = []
    for event in events:
        assert isinstance(event, SceneChanged)
        looks.append(event.splats())
        if len(looks) == 3:
            events.close()
    assert len(looks) == 3, "no step was done after the generator was closed"
    assert [len(scene) for scene in looks] == [13] * 3
    assert not torch.equal(looks[0].sh, looks[2].sh)
    for name, value in parameters.splats(1).tensors().items():
        assert torch.equal(looks[2].tensors()[name][1:], value), "the last look shows what has been learned"


def test_a_scene_that_was_looked_at_does_not_change_with_later_steps():
    events = optimize(start(), [examples(cloud(12, seed=1))], [PIXELS], rasterize, LoopConfig(steps=4), stage="fit")
    scene = next(event.splats() for event in events if isinstance(event, SceneChanged))
    before = {name: value.clone() for name, value in scene.tensors().items()}
    drain(events)
    assert all(torch.equal(value, before[name]) for name, value in scene.tensors().items())


def test_samplers_are_asked_in_turn():
    one, other = (Example(CAMERAS[place], *[torch.ones(1, 3, 12, 16)] * 1, *[torch.ones(1, 1, 12, 16)] * 2) for place in (0, 1))
    samplers = [lambda step: one if step % 2 else None, lambda _: other]
    assert [first_example(samplers, step) is one for step in (1, 2, 3)] == [True, False, True]
    with pytest.raises(ValueError, match="step 4"):
        first_example(samplers[:1], 4)


def diverging(name: str) -> SplatParameters:
    """Splats of which one property goes by far too fast."""
    rates = {"means": 1e30, "means_final": 1e30} if name == "means" else {name: 1e30}
    splats = cloud(12, degree=1, seed=1)
    return SplatParameters(splats, LearningRates(**rates))


@pytest.mark.parametrize("name", ["means", "scales", "sh0"])
@pytest.mark.parametrize("report_every", [1, 25])
def test_a_training_that_diverges_stops_with_step_loss_and_what_to_lower(tmp_path, name, report_every):
    config = LoopConfig(steps=50, report_every=report_every, save_every=10, calmed_by="inpaint.rates")
    events = optimize(
        diverging(name), [examples(cloud(12, seed=1))], [PIXELS], rasterize, config,
        stage="fit", checkpoint=tmp_path / "state.pt",
    )  # fmt: skip
    with pytest.raises(DivergedError, match=r"^fit: .* by step \d+ of 50 \(losses: photometric .*; \d+ of 12 .* lower inpaint"):
        drain(events)
    if (tmp_path / "state.pt").exists():  # kept before anything was wrong
        state = load_checkpoint(tmp_path / "state.pt", torch.device("cpu"))
        assert state is not None
        assert all(value.isfinite().all() for value in state["parameters"]["params"].values())


def test_what_is_not_finite_is_found_where_no_loss_shows_it():
    """Rasterizers leave such splats out, so the loss goes on as if nothing had happened."""
    parameters = start()
    with torch.no_grad():
        parameters.params["means"][1:, 0] = torch.nan
    config = LoopConfig(steps=30, report_every=10)
    with pytest.raises(DivergedError, match=r"by step 10 of 30 .* 11 of 12 splats are not finite"):
        drain(optimize(parameters, [examples(cloud(12, seed=1))], [PIXELS], rasterize, config, stage="fit"))
