"""Training steps made by hand."""

import torch
from torch import Tensor

from splatpaint.objectives.protocol import Step
from splatpaint.render.protocol import Rendered
from splatpaint.scene.splats import Splats
from tests.support.scenes import splat_at


def step_of(
    color: Tensor,
    target: Tensor,
    *,
    weight: Tensor | None = None,
    holes: Tensor | None = None,
    alpha: Tensor | None = None,
    splats: Splats | None = None,
    number: int = 1,
    progress: float = 1.0,
    disparity_hint: Tensor | None = None,
    seed: int = 0,
) -> Step:
    """A step whose rendering is the given picture; every pixel counts and none is a hole unless said otherwise."""
    solid, ones = torch.ones_like(color[:, :1]).detach(), torch.ones_like(target[:, :1]).detach()
    splats = splats or splat_at((0.0, 0.0, 1.0))
    rendered = Rendered(
        color=color,
        alpha=solid if alpha is None else alpha,
        depth=solid,
        means2d=torch.zeros(len(color), len(splats), 2),
        radii=torch.ones(len(color), len(splats), dtype=torch.int32),
    )
    return Step(
        rendered,
        target,
        ones if weight is None else weight,
        0 * ones if holes is None else holes,
        splats,
        number=number,
        progress=progress,
        generator=torch.Generator().manual_seed(seed),
        disparity_hint=disparity_hint,
    )
