"""The splats that an optimization may change, with an Adam for each of their properties.

The dictionaries are keyed and shaped as gsplat's strategy operations expect them, so splats can be duplicated, split and
removed together with their optimizer state.
"""

import math
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Bool, UInt8
from torch import Tensor, nn

from splatpaint.errors import ConfigError
from splatpaint.scene.splats import Splats


@dataclass(frozen=True)
class LearningRates:
    """Adam step sizes a property, per training step (3DGS, Kerbl et al. 2023)."""

    means: float = 1.6e-4
    """World units; a capture's world is scaled so that the median viewing depth is 1. (3DGS scales by how far the cameras are
    apart, which in a forward-facing capture is nearly nothing.)"""
    means_final: float = 1.6e-6
    """World units, reached exponentially at the last step."""
    quats: float = 1e-3
    scales: float = 5e-3
    opacities: float = 5e-2
    sh0: float = 2.5e-3
    shN: float = 1.25e-4

    def __post_init__(self) -> None:
        for name in ("means", "means_final"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} is {getattr(self, name)}, expected more than 0")


BOUNDARY, FILL = 0, 1
"""Groups of trained splats: reconstructed ones that are trained with a fill, and all others."""


class SplatParameters:
    """Trainable splats: leaf tensors, their optimizers, and the `Splats` they stand for.

    Attributes:
        group: (n,) uint8, BOUNDARY or FILL, one label a splat.
    """

    def __init__(self, splats: Splats, rates: LearningRates, *, group: UInt8[Tensor, " n"] | None = None) -> None:
        """
        Args:
            splats: where the training starts.
            rates: one Adam step size a property.
            group: labels; None: all are of the group FILL, as in a reconstruction.
        """
        self.space: Literal["rgb", "latent"] = splats.space
        self.rates = rates
        self.group = torch.full_like(splats.logit_opacities, FILL, dtype=torch.uint8) if group is None else group
        self.params: dict[str, nn.Parameter] = {
            name: nn.Parameter(value.detach().clone().contiguous()) for name, value in _by_name(splats).items()
        }
        self.optimizers: dict[str, torch.optim.Optimizer] = {name: self._adam(name) for name in self.params}

    def _adam(self, name: str) -> torch.optim.Adam:
        return torch.optim.Adam([self.params[name]], lr=getattr(self.rates, name), eps=1e-15, fused=True)

    def __len__(self) -> int:
        return len(self.params["means"])

    def splats(self, sh_degree: int) -> Splats:
        """The current splats with colors cut to `sh_degree`; part of the autograd graph."""
        rest = (sh_degree + 1) ** 2 - 1
        sh0, shN = self.params["sh0"], self.params["shN"]
        return Splats(
            means=self.params["means"],
            quats=self.params["quats"],
            log_scales=self.params["scales"],
            logit_opacities=self.params["opacities"],
            sh=torch.cat([sh0, shN[:, :rest]], dim=1) if rest else sh0,
            space=self.space,
        )

    @property
    def is_fill(self) -> Bool[Tensor, " n"]:
        """Splats of the group FILL."""
        return self.group == FILL

    @property
    def sh_degree(self) -> int:
        """The highest degree there are coefficients for."""
        return math.isqrt(self.params["shN"].shape[1] + 1) - 1

    @torch.no_grad()
    def broken(self) -> int:
        """Number of splats with a number, a size, an inverse of a size, or a square of a coordinate that is not finite."""
        seen = self.params | {"scales": self.params["scales"].abs().exp(), "means": self.params["means"].square()}
        if torch.stack([value.sum() for value in seen.values()]).isfinite().all():  # as cheap as it gets, and usual
            return 0
        each = [value[:, None].flatten(1).isfinite().all(dim=1) for value in seen.values()]
        return int((~torch.stack(each).all(dim=0)).sum())

    @torch.no_grad()
    def assign(self, splats: Splats) -> None:
        """Replaces the splats by as many others; optimizer states stay."""
        for name, value in _by_name(splats).items():
            self.params[name].copy_(value)

    def step(self, progress: float) -> None:
        """One Adam step for every property that has a gradient.

        Args:
            progress: share of the training that is done, in [0, 1]; sets the learning rate of the means.
        """
        decay = (self.rates.means_final / self.rates.means) ** progress
        self.optimizers["means"].param_groups[0]["lr"] = self.rates.means * decay
        for optimizer in self.optimizers.values():
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    def optimizer_state(self) -> dict[str, Any]:
        """The Adam states by property, for `restore_optimizers`."""
        return {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()}

    def restore_optimizers(self, state: Mapping[str, Any]) -> None:
        """Continues from what `optimizer_state` returned, of as many splats; the state itself stays as it is."""
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(deepcopy(state[name]))

    def state(self) -> dict[str, Any]:
        """All that `restore` needs to continue exactly here."""
        return {
            "params": {name: value.detach() for name, value in self.params.items()},
            "group": self.group,
            "optimizers": self.optimizer_state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continues from what `state` returned; the number of splats may differ from the present one."""
        self.group = state["group"]
        for name, value in state["params"].items():
            self.params[name] = nn.Parameter(value.clone())
            self.optimizers[name] = self._adam(name)
        self.restore_optimizers(state["optimizers"])
        count = len(self.splats(self.sh_degree))
        moments = [each for optimizer in self.optimizers.values() for each in optimizer.state.values()]
        if len(self.group) != count or any(len(each["exp_avg"]) != count for each in moments):
            raise ValueError("the state is that of several numbers of splats")


def _by_name(splats: Splats) -> dict[str, Tensor]:
    return {
        "means": splats.means,
        "quats": splats.quats,
        "scales": splats.log_scales,
        "opacities": splats.logit_opacities,
        "sh0": splats.sh[:, :1],
        "shN": splats.sh[:, 1:],
    }
