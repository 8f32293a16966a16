"""Keeps what learns near the holes.

A photo that shows the scene well away from every hole says that nothing is to change there. Where its view changes all the
same, those who did it are taken back: the rim to what it was, the fill by making it smaller, and where that does not help, in
the end by dropping it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool
from torch import Tensor

from splatpaint.fit.fill_seeds import Surroundings
from splatpaint.masks.lift import Ballot, lift
from splatpaint.render.protocol import Rasterizer
from splatpaint.scene.splats import Splats, concatenate
from splatpaint.stages.inpaint_config import InpaintConfig
from splatpaint.stages.remove import MIN_WEIGHT
from splatpaint.stages.rim import near

CHANGED = 1 / 255
"""A color that differs by no more is the same in a picture of 8 bits."""
SMALLER = 0.6
"""A fill splat that changes a photo's view elsewhere is scaled by this."""
TIMES = 4
"""So often is something taken back in one go, before the fit goes on."""


@dataclass(frozen=True, eq=False)
class Leash:
    """Holds what learns: first the rim, then the fill."""

    rim: Splats
    """As it was kept."""
    frozen: Splats
    """The other kept splats."""
    views: Sequence[Surroundings]
    """They say where nothing is to change."""
    rasterizer: Rasterizer
    config: InpaintConfig

    @torch.no_grad()
    def taken_back(self, learned: Splats) -> Splats:
        """What learned, as many: those taken back that change a photo's view away from the holes. Some fill may still do so."""
        for _ in range(TIMES):
            guilty = self._changing(learned)
            if not guilty.any():
                break
            fill = learned[len(self.rim) :]
            sizes = fill.log_scales + math.log(SMALLER) * guilty[len(self.rim) :, None]
            learned = concatenate([self._back(learned, guilty), replace(fill, log_scales=sizes)])
        return learned

    @torch.no_grad()
    def cut(self, learned: Splats) -> Splats:
        """What learned, without the fill that changes a photo's view away from the holes, so that none does any more."""
        while (guilty := self._changing(learned)).any():
            fill = learned[len(self.rim) :]
            learned = concatenate([self._back(learned, guilty), fill[~guilty[len(self.rim) :]]])
        return learned

    def _changing(self, learned: Splats) -> Bool[Tensor, " n"]:
        """What of it changes a view where its photo shows something away from the holes.

        The fill is innocent until the rim is what it was: much of it shows beside what the rim changes.
        """
        before, after = concatenate([self.frozen, self.rim]), concatenate([self.frozen, learned])
        moved = torch.ones(len(learned), dtype=torch.bool, device=learned.means.device)
        moved[: len(self.rim)] = _differ(learned[: len(self.rim)], self.rim)
        guilty = torch.zeros_like(moved)
        for view in self.views:
            elsewhere = view.seen * (1 - near(view, self.config))
            if not elsewhere.any():
                continue
            was, now = (self.rasterizer(scene, view.camera).color.clamp(0, 1) for scene in (before, after))
            changed = ((now - was).abs().amax(dim=1, keepdim=True) > CHANGED) * elsewhere
            if changed.any():
                votes = lift(after, [Ballot(view.camera, changed, changed, changed)], self.rasterizer)
                guilty |= moved & (votes.inside[len(self.frozen) :] > MIN_WEIGHT)
        if guilty[: len(self.rim)].any():
            guilty[len(self.rim) :] = False
        return guilty

    def _back(self, learned: Splats, guilty: Bool[Tensor, " n"]) -> Splats:
        """The rim, with the guilty as they were."""
        places = torch.arange(len(self.rim), device=guilty.device)
        return concatenate([learned[: len(self.rim)], self.rim])[places + len(self.rim) * guilty[: len(self.rim)]]


def _differ(some: Splats, others: Splats) -> Bool[Tensor, " n"]:
    """Which are not the same, bit for bit."""
    values = zip(some.tensors().values(), others.tensors().values(), strict=True)
    return torch.stack([(one != other)[..., None].flatten(1).any(dim=1) for one, other in values]).any(dim=0)
