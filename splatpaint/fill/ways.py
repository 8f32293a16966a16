"""The ways to paint a hole for the last time: smoothly, as the prior painted it, or with pieces of the photo."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from splatpaint.image.harmonic import harmonic_fill
from splatpaint.image.shift_map import shift_map_inpaint
from splatpaint.priors.cloning import poisson_clone
from splatpaint.priors.protocol import PriorQuery, Reference


@dataclass(frozen=True)
class Way:
    """One way to paint a hole."""

    kind: Literal["smooth", "prior", "pieces"]
    """smooth = the harmonic fill; prior = as the prior painted it before; pieces = copied from the photo."""
    exemplar_weight: float = 0.0
    """Share of the copied pixels; the rest is as the prior painted it. 0 but for pieces."""

    @property
    def name(self) -> str:
        """Short, for names of metrics: `smooth`, `prior`, `pieces-0.7`."""
        return f"{self.kind}-{self.exemplar_weight:g}" if self.kind == "pieces" else self.kind

    @property
    def sentence(self) -> str:
        """What surface it suits, and how it fills, in words."""
        match self.kind:
            case "smooth":
                return "plain surface: smooth fill"
            case "prior":
                return "soft surface: fill as the prior expects it on average"
            case "pieces":
                return f"textured surface: fill with {self.exemplar_weight:.0%} pieces of the photos"


@dataclass(frozen=True, eq=False)
class HolePainter:
    """A picture with a hole, which can be painted in every way. What several ways need is computed once."""

    query: PriorQuery
    """One picture and its hole."""
    source: Float[Tensor, "1 1 h w"]
    """1 where pixels may be copied from."""
    painted: Float[Tensor, "1 3 h w"]
    """The picture as the prior painted it, or as the splats that were fitted to that show it."""
    seed: int
    """Of the generator of what is drawn at random."""
    decay_px: float
    """See `shift_map_inpaint`."""

    def paint(self, way: Way) -> Float[Tensor, "1 3 h w"]:
        """The picture with its hole painted; known pixels are bit-identical."""
        match way.kind:
            case "smooth":
                return harmonic_fill(self.query.images, self.query.holes)
            case "prior":
                return self.guide
            case "pieces":
                return torch.lerp(self.guide, self._copied, way.exemplar_weight)

    @cached_property
    def guide(self) -> Float[Tensor, "1 3 h w"]:
        """What was painted before, made to meet the picture at the boundary."""
        query = self.query
        return poisson_clone(query.images, query.holes, Reference(self.painted, torch.zeros_like(query.holes)))

    @cached_property
    def _copied(self) -> Float[Tensor, "1 3 h w"]:
        generator = torch.Generator().manual_seed(self.seed)
        query = self.query
        return shift_map_inpaint(
            query.images, query.holes, self.source, guide=self.guide, generator=generator, decay_px=self.decay_px
        )
