"""Masks on photos become votes on splats.

A rasterizer is linear in the features that splats carry, so the weight with which a splat paints the pixels of a mask is one
vector-Jacobian product: the gradient of `sum(mask * render(features))` in `features`. Nothing is segmented by where centers
fall.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from splatpaint.render.protocol import Rasterizer
from splatpaint.scene.camera import Cameras
from splatpaint.scene.splats import Splats


@dataclass(frozen=True, eq=False)
class Ballot:
    """One view's say."""

    camera: Cameras
    """A batch of one."""
    mask: Float[Tensor, "1 1 h w"]
    """In [0, 1]."""
    usable: Float[Tensor, "1 1 h w"]
    """Which pixels count at all."""


@dataclass(frozen=True, eq=False)
class Votes:
    """With what weight (alpha times transmittance, summed over pixels and views) splats paint the two sides of the masks."""

    inside: Float[Tensor, " n"]
    outside: Float[Tensor, " n"]

    @property
    def total(self) -> Float[Tensor, " n"]:
        """Weight over all usable pixels."""
        return self.inside + self.outside

    @property
    def share(self) -> Float[Tensor, " n"]:
        """Share of the weight that falls inside the masks, in [0, 1]; 0 for a splat that no pixel shows."""
        return self.inside / self.total.clamp_min(1e-12)


def lift(splats: Splats, ballots: Iterable[Ballot], rasterizer: Rasterizer) -> Votes:
    """Votes of every view on every splat.

    Args:
        splats: what was photographed.
        ballots: one a view.
        rasterizer: any; one forward and one backward pass a view.
    """
    features = splats.means.new_zeros(len(splats), 2).requires_grad_()
    votes = splats.means.new_zeros(len(splats), 2)
    scene = splats.detach()
    for ballot in ballots:
        painted = rasterizer(scene, ballot.camera, features=features).color
        sides = torch.cat([ballot.mask * ballot.usable, (1 - ballot.mask) * ballot.usable], dim=1)
        (weights,) = torch.autograd.grad(painted, features, grad_outputs=sides)
        votes += weights
    return Votes(inside=votes[:, 0], outside=votes[:, 1])


def centers_inside(splats: Splats, ballots: Iterable[Ballot]) -> Float[Tensor, " n"]:
    """Share of the views that look at a splat's center, seen or hidden, and have it inside their mask; 0 if none looks there.

    For splats buried in an object, on which no pixel can vote.
    """
    inside = splats.means.new_zeros(len(splats))
    looked = splats.means.new_zeros(len(splats))
    for ballot in ballots:
        pixels, depth = ballot.camera.project(splats.means)
        column, row = pixels[0].floor().long().unbind(-1)
        height, width = ballot.mask.shape[2:]
        looks = (depth[0] > 0) & (column >= 0) & (column < width) & (row >= 0) & (row < height)
        inside[looks] += ballot.mask[0, 0, row[looks], column[looks]]
        looked += looks
    return inside / looked.clamp_min(1)
