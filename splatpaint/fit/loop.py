"""The optimization loop: sample an example, render, weigh, step."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from splatpaint.events import Events, Progressed
from splatpaint.fit.background_only import BackgroundOnlySteps
from splatpaint.fit.checkpoint import load_checkpoint, save_checkpoint
from splatpaint.fit.density import Density
from splatpaint.fit.exposures import Exposures
from splatpaint.fit.parameters import SplatParameters
from splatpaint.fit.routing import pull
from splatpaint.fit.samplers import Example
from splatpaint.objectives.protocol import Objective, Step
from splatpaint.render.protocol import Rasterizer
from splatpaint.scene.splats import concatenate


@dataclass(frozen=True)
class LoopConfig:
    """How long, and how much is told."""

    steps: int
    sh_every: float = 0.1
    """Share of the steps between two increases of the SH degree; 0 = all degrees are in use from the start."""
    sh_start: float = 0.1
    """Share of the steps that see only the constant color."""
    report_every: int = 25
    save_every: int = 500
    begin: float = 0.0
    """Share of the training that was done before, in rounds of which this is one."""
    end: float = 1.0
    """Share of it that will be done after this one."""
    seed: int = 0
    """Of what objectives draw."""


def optimize(
    parameters: SplatParameters,
    sample: Callable[[int], Example],
    objectives: Sequence[Objective],
    rasterizer: Rasterizer,
    config: LoopConfig,
    *,
    stage: str,
    density: Density | None = None,
    exposures: Exposures | None = None,
    apart: BackgroundOnlySteps | None = None,
    checkpoint: Path | None = None,
    boundary: int = 0,
) -> Events[None]:
    """Trains `parameters` in place.

    Args:
        sample: the example of a step, counted from 1. With a checkpoint it must depend on nothing but the step, so that a
            resumed run sees the same.
        exposures: with which photos among the examples show the splats; found on the way.
        apart: by what `sample` hides splats; kept in the checkpoint.
        checkpoint: where the state is kept every `save_every` steps; continued from if it exists.
        boundary: so many splats, the first, are the boundary, which objectives may reach otherwise than the rest.
    """
    device = parameters.params["means"].device
    companions = {"density": density, "exposures": exposures, "apart": apart}
    companions = {name: companion for name, companion in companions.items() if companion is not None}
    first = 1
    if checkpoint is not None and (state := load_checkpoint(checkpoint, device)) is not None:
        parameters.restore(state["parameters"])
        for name, companion in companions.items():
            companion.restore(state[name])
        first = state["step"] + 1
    for step in range(first, config.steps + 1):
        example = sample(step)
        own = parameters.splats(sh_degree(step, parameters.sh_degree, config))
        shown = own if example.hidden is None else own[~example.hidden]
        scene = shown if example.behind is None else concatenate([example.behind, shown])
        rendered = rasterizer(scene, example.cameras, background=example.background)
        growing = density if example.hidden is None else None
        if growing is not None:
            rendered.means2d.retain_grad()
        if exposures is not None and example.photo is not None:
            exposures.observe(rendered, example.photo, example.target, example.weight)
            rendered = replace(rendered, color=exposures.shown(rendered.color, example.photo))
        given = Step(
            rendered,
            example.target,
            example.weight,
            example.holes,
            own,
            number=step,
            progress=config.begin + (config.end - config.begin) * step / config.steps,
            generator=torch.Generator().manual_seed(config.seed * 1_000_003 + step),
            guide=example.guide,
        )
        losses = pull(parameters, objectives, given, boundary=boundary)
        if growing is not None:
            moved = rendered.means2d.grad
            assert moved is not None, "no objective reaches the geometry of the splats that shall grow"
            growing.observe(
                moved[:, -len(own) :],
                rendered.radii[:, -len(own) :],
                width=example.cameras.width,
                height=example.cameras.height,
            )
        parameters.step(step / config.steps)
        if density is not None and density.due(step, config.steps):
            density.refine(step, config.steps)
        if checkpoint is not None and step % config.save_every == 0 and step < config.steps:
            states = {name: companion.state() for name, companion in companions.items()}
            save_checkpoint(checkpoint, {"step": step, "parameters": parameters.state(), **states})
        if step % config.report_every == 0 or step == config.steps:
            values = {name: float(value.detach()) for name, value in losses.items()}
            yield Progressed(stage, step, config.steps, {**values, "splats": len(parameters)})


def sh_degree(step: int, highest: int, config: LoopConfig) -> int:
    """The SH degree in use: starts at 0 and rises by one every `sh_every`, so that the constant color settles first."""
    share = step / config.steps
    if config.sh_every == 0:
        return highest
    if share < config.sh_start:
        return 0
    return min(highest, 1 + int((share - config.sh_start) / config.sh_every))
