"""The optimization loop: sample an example, render, weigh, step."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from splatpaint.errors import DivergedError
from splatpaint.events import Events, Progressed, SceneChanged
from splatpaint.fit.checkpoint import Stateful, load_checkpoint, restoring, save_checkpoint
from splatpaint.fit.density import Density
from splatpaint.fit.exposures import Exposures
from splatpaint.fit.parameters import SplatParameters
from splatpaint.fit.routing import backward_routed
from splatpaint.fit.samplers import Sampler, first_example
from splatpaint.objectives.protocol import Objective, Step
from splatpaint.render.protocol import Rasterizer
from splatpaint.scene.splats import Splats, concatenate
from splatpaint.streams import generator


@dataclass(frozen=True)
class LoopConfig:
    """How long a training is, and how often it reports."""

    steps: int
    sh_every: float = 0.1
    """Share of the steps between two increases of the SH degree; 0 = all degrees are in use from the start."""
    sh_start: float = 0.1
    """Share of the steps that see only the constant color."""
    report_every: int = 25
    """Steps between two reports of the losses."""
    save_every: int = 500
    """Steps between two checkpoints."""
    round: int = 0
    """Number, from 1, of the round that this training is; 0 = there are no rounds."""
    rounds: int = 0
    """Number of rounds in all."""
    seed: int = 0
    """Of what objectives draw."""
    calmed_by: str = "the weights of its objectives"
    """The settings to lower if the training diverges."""

    def progress(self, step: int) -> float:
        """Share of the training, over all rounds, that is done after a step."""
        begin, end = ((self.round - 1) / self.rounds, self.round / self.rounds) if self.rounds else (0.0, 1.0)
        return begin + (end - begin) * step / self.steps


def optimize(
    parameters: SplatParameters,
    samplers: Sequence[Sampler],
    objectives: Sequence[Objective],
    rasterizer: Rasterizer,
    config: LoopConfig,
    *,
    stage: str,
    density: Density | None = None,
    exposures: Exposures | None = None,
    surroundings: Splats | None = None,
    checkpoint: Path | None = None,
) -> Events[None]:
    """Trains `parameters` in place.

    After every step an event gives a look at the scene, so closing the generator stops between two steps. Whenever it reports,
    refines or keeps its state, losses and splats have to be finite.

    Args:
        parameters: the trained splats.
        samplers: asked in order for the example of a step.
        objectives: their sum is minimized.
        rasterizer: any.
        config: see there.
        stage: name of the stage in events.
        density: grows and prunes the splats.
        exposures: of the photos among the examples; estimated on the way.
        surroundings: splats that belong to the scene and are not trained, for who looks at it.
        checkpoint: where the state is kept every `save_every` steps; continued from if it exists.

    Raises:
        DivergedError: if a loss or a splat is not finite.
        RunError: if the checkpoint is damaged.
    """
    device = parameters.params["means"].device
    carried: dict[str, object] = {"density": density, "exposures": exposures}
    carried |= {f"objective {place}": objective for place, objective in enumerate(objectives)}
    stateful = {name: each for name, each in carried.items() if isinstance(each, Stateful)}
    first = 1
    if checkpoint is not None and (state := load_checkpoint(checkpoint, device)) is not None:
        with restoring(checkpoint):
            parameters.restore(state["parameters"])
            for name, each in stateful.items():
                each.restore(state[name])
            first = int(state["step"]) + 1

    def scene_now() -> Splats:
        trained = parameters.splats(parameters.sh_degree).detach()  # shares memory with what the next step changes
        return concatenate([trained[:0] if surroundings is None else surroundings, trained])

    for step in range(first, config.steps + 1):
        example = first_example(samplers, step)
        trained = parameters.splats(sh_degree(step, parameters.sh_degree, config))
        scene = trained if example.frozen is None else concatenate([example.frozen, trained])
        rendered = rasterizer(scene, example.cameras, background=example.background)
        if density is not None:
            rendered.means2d.retain_grad()
        if exposures is not None and example.photo is not None:
            exposures.observe(rendered, example.photo, example.target, example.weight)
            rendered = replace(rendered, color=exposures.shown(rendered.color, example.photo))
        given = Step(
            rendered,
            example.target,
            example.weight,
            example.holes,
            trained,
            number=step,
            progress=config.progress(step),
            generator=generator(config.seed, step=step),
            disparity_hint=example.disparity_hint,
        )
        losses = backward_routed(parameters, objectives, given)
        if density is not None:
            gradient = rendered.means2d.grad
            assert gradient is not None, "no objective trains the geometry of the splats that shall grow"
            density.observe(
                gradient[:, -len(trained) :],
                rendered.radii[:, -len(trained) :],
                width=example.cameras.width,
                height=example.cameras.height,
            )
        parameters.step(step / config.steps)
        reports = step % config.report_every == 0 or step == config.steps
        refines = density is not None and density.is_due(step, config.steps)
        keeps = checkpoint is not None and step % config.save_every == 0 and step < config.steps
        if reports or refines or keeps:  # not at every step: a GPU would have to be waited for
            _refuse_diverged(losses, parameters, config, step=step, stage=stage)
        if density is not None and refines:
            density.refine(step, config.steps)
        if checkpoint is not None and keeps:
            states = {name: each.state() for name, each in stateful.items()}
            save_checkpoint(checkpoint, {"step": step, "parameters": parameters.state(), **states})
        yield SceneChanged(stage, scene_now)
        if reports:
            values = {name: float(value.detach()) for name, value in losses.items()} | {"splats": len(parameters)}
            part = "fit" if config.rounds else ""
            yield Progressed(stage, step, config.steps, values, part=part, round=config.round, rounds=config.rounds)


def _refuse_diverged(
    losses: Mapping[str, Tensor], parameters: SplatParameters, config: LoopConfig, *, step: int, stage: str
) -> None:
    values = {name: float(value.detach()) for name, value in losses.items()}
    broken = parameters.broken()
    if broken or not all(math.isfinite(value) for value in values.values()):
        shown = ", ".join(f"{name} {value:.4g}" for name, value in values.items())
        raise DivergedError(
            f"{stage}: the training diverged by step {step} of {config.steps} (losses: {shown}; {broken} of {len(parameters)}"
            f" splats are not finite): lower {config.calmed_by}, or see whether the poses fit the photos"
        )


def sh_degree(step: int, highest: int, config: LoopConfig) -> int:
    """The SH degree in use: starts at 0 and rises by one every `sh_every`, so that the constant color settles first."""
    share = step / config.steps
    if config.sh_every == 0:
        return highest
    if share < config.sh_start:
        return 0
    return min(highest, 1 + int((share - config.sh_start) / config.sh_every))
