"""Which loss changes which splats: gradients are routed by property, and apart for boundary and fill splats."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from splatpaint.fit.parameters import SplatParameters
from splatpaint.objectives.protocol import Objective, Property, Step, TrainableProperties

PROPERTY: dict[str, Property] = {
    "means": "geometry",
    "quats": "geometry",
    "scales": "geometry",
    "opacities": "opacity",
    "sh0": "color",
    "shN": "color",
}
"""The property that each parameter of splats belongs to."""


def backward_routed(parameters: SplatParameters, objectives: Sequence[Objective], step: Step) -> dict[str, Tensor]:
    """Adds the gradient of every objective to the parameters that it trains; returns the named losses.

    Objectives that train the same properties share one backward pass through the rasterizer. Only those that train the
    geometry of fill splats leave a gradient at `means2d`, which density control reads: losses on texture do not tell where
    splats are missing.

    Args:
        parameters: rendered as `step.rendered`.
        objectives: at least one.
        step: given to each.
    """
    terms: dict[TrainableProperties, dict[str, Tensor]] = {}
    for objective in objectives:
        _add(terms.setdefault(objective.trains, {}), objective(step))
    losses = {trains: torch.stack(list(named.values())).sum() for trains, named in terms.items()}
    routed = [(trains, loss) for trains, loss in losses.items() if loss.requires_grad and (trains.fill or trains.boundary)]
    for left, (trains, loss) in zip(range(len(routed) - 1, -1, -1), routed, strict=True):
        if trains == TrainableProperties():
            loss.backward(retain_graph=left > 0)
        elif "geometry" in trains.fill:
            _backward_to(parameters, loss, trains, keep_graph=left > 0)
        else:
            with _gradient_unchanged(step.rendered.means2d):
                _backward_to(parameters, loss, trains, keep_graph=left > 0)
    total: dict[str, Tensor] = {}
    for named in terms.values():
        _add(total, named)
    return total


def _add(terms: dict[str, Tensor], more: Mapping[str, Tensor]) -> None:
    """Adds terms to others in place; those of one name are summed."""
    for name, value in more.items():
        terms[name] = terms[name] + value if name in terms else value


@contextmanager
def _gradient_unchanged(values: Tensor) -> Iterator[None]:
    """Gradients that pass through the values within the block are not kept there."""
    kept = values.grad if values.retains_grad else None
    yield
    if values.retains_grad:
        values.grad = kept


def _backward_to(parameters: SplatParameters, loss: Tensor, trains: TrainableProperties, *, keep_graph: bool) -> None:
    trained = {name: value for name, value in parameters.params.items() if PROPERTY[name] in {*trains.fill, *trains.boundary}}
    gradients = torch.autograd.grad(loss, list(trained.values()), retain_graph=keep_graph, allow_unused=True)
    for (name, value), gradient in zip(trained.items(), gradients, strict=True):
        if gradient is None:
            continue
        gradient = gradient.clone()
        if PROPERTY[name] not in trains.boundary:
            gradient[~parameters.is_fill] = 0
        if PROPERTY[name] not in trains.fill:
            gradient[parameters.is_fill] = 0
        value.grad = gradient if value.grad is None else value.grad + gradient
