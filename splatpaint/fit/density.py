"""Where to put more splats, and which to drop.

Growth follows a budget: each refinement duplicates or splits the splats with the largest gradient of the losses by their screen
position, as many as a curve towards `max_splats` allows. The operations themselves are gsplat's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from splatpaint.config import check_least
from splatpaint.fit.near_floaters import NearFloaters
from splatpaint.fit.parameters import SplatParameters

SPLIT_SCALE = 0.01
"""Standard deviation in world units (the median viewing depth is 1): larger splats are split, smaller ones duplicated."""
PRUNE_OPACITY = 0.01
"""Splats below this opacity are dropped at a refinement."""


@dataclass(frozen=True)
class DensityConfig:
    """When and how far a set of splats grows."""

    RENAMED: ClassVar[dict[str, str]] = {"split_scale": "", "prune_opacity": ""}

    max_splats: int = 100_000
    """Never more than this."""
    start: float = 0.06
    """Share of the steps after which growth begins."""
    stop: float = 0.6
    """Share of the steps after which the set stays as it is."""
    every: int = 100
    """Steps between refinements."""
    grow_gradient: float = 5e-5
    """Mean norm of the screen-position gradient, in units of half the image, below which a splat never grows. (3DGS has 2e-4 as
    its only brake; here there is a budget, and captures of few views would not come near it.)"""

    def __post_init__(self) -> None:
        check_least(self, 1, "max_splats", "every")


class Density:
    """Statistics and refinements of one set of splats. Boundary splats are neither dropped nor multiplied."""

    def __init__(
        self, config: DensityConfig, parameters: SplatParameters, *, near_floaters: NearFloaters | None = None
    ) -> None:
        self.config, self.near_floaters = config, near_floaters
        self.parameters = parameters
        self.initial = len(parameters)
        self._reset()

    def _reset(self) -> None:
        device = self.parameters.params["means"].device
        self.gradient = torch.zeros(len(self.parameters), device=device)
        self.drawn = torch.zeros(len(self.parameters), device=device)

    def observe(self, means2d_grad: Float[Tensor, "v n 2"], radii: Int[Tensor, "v n"], *, width: int, height: int) -> None:
        """Adds the screen-space gradient of each drawn splat in the last backward pass. To be called before the step."""
        half = torch.tensor([width / 2.0, height / 2.0]).to(means2d_grad)
        visible = radii > 0
        self.gradient += ((means2d_grad * half).norm(dim=-1) * visible).sum(dim=0)
        self.drawn += visible.sum(dim=0)

    def state(self) -> dict[str, Any]:
        """All that `restore` needs to continue exactly here."""
        return {"gradient": self.gradient, "drawn": self.drawn, "initial": self.initial}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continues from what `state` returned."""
        self.gradient, self.drawn, self.initial = state["gradient"], state["drawn"], state["initial"]

    def is_due(self, step: int, total: int) -> bool:
        """Whether `refine` shall be called after this step (counted from 1)."""
        return step % self.config.every == 0 and self.config.start * total <= step <= self.config.stop * total

    def allowance(self, step: int, total: int) -> int:
        """How many splats there may be after this step: a square-root curve from the initial number to the maximum."""
        start, stop = self.config.start * total, self.config.stop * total
        share = min(max((step - start + self.config.every) / max(stop - start, 1.0), 0.0), 1.0)
        return int(self.initial + (max(self.config.max_splats, self.initial) - self.initial) * share**0.5)

    @torch.no_grad()
    def refine(self, step: int, total: int) -> None:
        """Drops faint splats and near floaters, then duplicates or splits those with the strongest screen-space gradient."""
        from gsplat.strategy.ops import duplicate, remove, split

        params, optimizers = self.parameters.params, self.parameters.optimizers
        drop = params["opacities"].sigmoid() < PRUNE_OPACITY
        if self.near_floaters is not None:
            drop |= self.near_floaters.among(params["means"])
        drop &= self.parameters.is_fill
        gradient = self.gradient / self.drawn.clamp_min(1) * self.parameters.is_fill
        state: dict[str, Any] = {"gradient": gradient, "group": self.parameters.group}
        if drop.any() and not drop.all():
            remove(params, optimizers, state, drop)
        grow = self._strongest(state["gradient"], self.allowance(step, total) - len(self.parameters))
        large = params["scales"].max(dim=-1).values.exp() > SPLIT_SCALE
        clone, divide = grow & ~large, grow & large
        if clone.any():
            duplicate(params, optimizers, state, clone)
            divide = torch.cat([divide, divide.new_zeros(int(clone.sum()))])
        if divide.any():
            split(params, optimizers, state, divide)
        self.parameters.group = state["group"]
        self._reset()

    def _strongest(self, gradient: Float[Tensor, " n"], count: int) -> Bool[Tensor, " n"]:
        grow = gradient > self.config.grow_gradient
        if count < int(grow.sum()):
            chosen = torch.topk(gradient, max(count, 0)).indices
            grow = torch.zeros_like(grow)
            grow[chosen] = True
        return grow
