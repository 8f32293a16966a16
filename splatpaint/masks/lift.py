"""Masks on photos become votes on splats.

A rasterizer is linear in the features that splats carry, so the weight with which a splat paints the pixels of a mask is one
vector-Jacobian product: the gradient of `sum(mask * render(features))` in `features`. Nothing is segmented by where centers
fall.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from splatpaint.render.protocol import Rasterizer
from splatpaint.scene.camera import Cameras
from splatpaint.scene.splats import Splats


@dataclass(frozen=True, eq=False)
class MaskedView:
    """One view's say."""

    camera: Cameras
    """A batch of one."""
    mask: Float[Tensor, "1 1 h w"]
    """In [0, 1]."""
    near: Float[Tensor, "1 1 h w"]
    """The mask and as much around it as its outline may be off; outside this the photo surely does not show the object."""
    usable: Float[Tensor, "1 1 h w"]
    """Which pixels count at all."""


@dataclass(frozen=True, eq=False)
class Votes:
    """What the photos say of splats. Weights are alpha times transmittance, summed over pixels."""

    inside: Float[Tensor, " n"]
    """Weight with which the splat paints pixels inside the masks, over all views."""
    outside: Float[Tensor, " n"]
    """The same for pixels outside them."""
    votes_inside: Float[Tensor, " n"]
    """How many views have the splat inside their masks.

    A view has one vote, however near it was: close-ups have many pixels, and often the worst masks. One that shows less than a
    pixel of the splat has less in proportion, one that has it on both sides divides its vote.
    """
    votes_outside: Float[Tensor, " n"]
    """How many views have it outside."""
    clear: Float[Tensor, " n"]
    """The part of `outside` that is not near the masks either."""
    votes_outside_margin: Float[Tensor, " n"]
    """How many views have it clear of their masks."""

    def __getitem__(self, index: Bool[Tensor, " n"] | slice) -> "Votes":
        return Votes(**{name: value[index] for name, value in vars(self).items()})

    @property
    def total(self) -> Float[Tensor, " n"]:
        """Weight over all usable pixels."""
        return self.inside + self.outside

    @property
    def share(self) -> Float[Tensor, " n"]:
        """Share of the votes that are votes_inside, in [0, 1]; 0 for a splat that no pixel shows."""
        return self.votes_inside / (self.votes_inside + self.votes_outside).clamp_min(1e-12)

    @property
    def clear_share(self) -> Float[Tensor, " n"]:
        """Share of the votes that are votes_outside well clear of the masks, in [0, 1]; 0 for a splat that no pixel shows."""
        return self.votes_outside_margin / (self.votes_inside + self.votes_outside).clamp_min(1e-12)


def rendered_weight(
    splats: Splats, camera: Cameras, pixels: Float[Tensor, "1 c h w"], rasterizer: Rasterizer
) -> Float[Tensor, "n c"]:
    """The weight with which every splat paints the pixels, by channel.

    Args:
        splats: what the camera sees.
        camera: a batch of one.
        pixels: how much each counts.
        rasterizer: any; one forward and one backward pass.
    """
    features = splats.means.new_zeros(len(splats), pixels.shape[1]).requires_grad_()
    with torch.enable_grad():
        painted = rasterizer(splats.detach(), camera, features=features).color
    (weight,) = torch.autograd.grad(painted, features, grad_outputs=pixels)
    return weight


def lift(splats: Splats, masked_views: Iterable[MaskedView], rasterizer: Rasterizer) -> Votes:
    """Votes of every view on every splat.

    Args:
        splats: what was photographed.
        masked_views: one a view.
        rasterizer: any; one forward and one backward pass a view.
    """
    weight, votes = splats.means.new_zeros(2, len(splats), 3)
    for masked in masked_views:
        sides = torch.cat([masked.mask, 1 - masked.mask, 1 - masked.near], dim=1) * masked.usable
        painted = rendered_weight(splats, masked.camera, sides, rasterizer)
        weight += painted
        votes += painted / (painted[:, :2].sum(dim=1, keepdim=True)).clamp_min(1.0)
    (inside, outside, clear), (votes_inside, votes_outside, votes_outside_margin) = weight.unbind(dim=1), votes.unbind(dim=1)
    return Votes(inside, outside, votes_inside, votes_outside, clear, votes_outside_margin)


def centers_inside(splats: Splats, masked_views: Iterable[MaskedView]) -> Float[Tensor, " n"]:
    """Share of the views that look at a splat's center, seen or hidden, and have it inside their mask; 0 if none looks there.

    For splats buried in an object, on which no pixel can vote.
    """
    inside = splats.means.new_zeros(len(splats))
    looked = splats.means.new_zeros(len(splats))
    for masked in masked_views:
        pixels, depth = masked.camera.project(splats.means)
        column, row = pixels[0].floor().long().unbind(-1)
        height, width = masked.mask.shape[2:]
        looks = (depth[0] > 0) & (column >= 0) & (column < width) & (row >= 0) & (row < height)
        inside[looks] += masked.mask[0, 0, row[looks], column[looks]]
        looked += looks
    return inside / looked.clamp_min(1)
