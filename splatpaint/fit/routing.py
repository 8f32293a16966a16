"""Which loss reaches which splats: gradients are let through by property, and apart for the boundary and the fill."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from splatpaint.fit.parameters import SplatParameters
from splatpaint.objectives.protocol import Objective, Property, Reach, Step

PROPERTY: dict[str, Property] = {
    "means": "geometry",
    "quats": "geometry",
    "scales": "geometry",
    "opacities": "opacity",
    "sh0": "color",
    "shN": "color",
}
"""What the parameters of splats are to a `Reach`."""


def pull(parameters: SplatParameters, objectives: Sequence[Objective], step: Step, *, boundary: int) -> dict[str, Tensor]:
    """Adds every objective's gradient, as far as it reaches, to the parameters'; gives the named losses.

    Objectives of equal reach share one backward pass through the rasterizer. Only those that reach the fill's geometry are felt
    by `means2d`, from which density control learns: what paints textures says nothing of missing splats.

    Args:
        parameters: rendered as `step.rendered`.
        objectives: at least one.
        step: given to each.
        boundary: so many splats, the first, are the boundary.
    """
    groups: dict[Reach, dict[str, Tensor]] = {}
    for objective in objectives:
        groups.setdefault(objective.reach, {}).update(objective(step))
    losses = {reach: torch.stack(list(terms.values())).sum() for reach, terms in groups.items()}
    pulling = [(reach, loss) for reach, loss in losses.items() if loss.requires_grad and (reach.fill or reach.boundary)]
    for left, (reach, loss) in zip(range(len(pulling) - 1, -1, -1), pulling, strict=True):
        if reach == Reach():
            loss.backward(retain_graph=left > 0)
        elif "geometry" in reach.fill:
            _let_through(parameters, loss, reach, boundary, keep_graph=left > 0)
        else:
            with _unfelt(step.rendered.means2d):
                _let_through(parameters, loss, reach, boundary, keep_graph=left > 0)
    return {name: value for terms in groups.values() for name, value in terms.items()}


@contextmanager
def _unfelt(values: Tensor) -> Iterator[None]:
    """Gradients that pass through the values are not kept there."""
    kept = values.grad if values.retains_grad else None
    yield
    if values.retains_grad:
        values.grad = kept


def _let_through(parameters: SplatParameters, loss: Tensor, reach: Reach, boundary: int, *, keep_graph: bool) -> None:
    moved = {name: value for name, value in parameters.params.items() if PROPERTY[name] in {*reach.fill, *reach.boundary}}
    gradients = torch.autograd.grad(loss, list(moved.values()), retain_graph=keep_graph, allow_unused=True)
    for (name, value), gradient in zip(moved.items(), gradients, strict=True):
        if gradient is None:
            continue
        gradient = gradient.clone()
        if PROPERTY[name] not in reach.boundary:
            gradient[:boundary] = 0
        if PROPERTY[name] not in reach.fill:
            gradient[boundary:] = 0
        value.grad = gradient if value.grad is None else value.grad + gradient
