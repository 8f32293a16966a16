"""Masks on photos become votes on splats.

A rasterizer is linear in the features that splats carry, so the weight (alpha times transmittance) with which a splat paints
the pixels of a mask is one vector-Jacobian product: the gradient of `sum(mask * render(features))` in `features`. Splats are
selected by the pixels that they paint, not by where their centers project.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from splatpaint.masks.visibility import DepthView
from splatpaint.render.protocol import Rasterizer
from splatpaint.scene.camera import Cameras
from splatpaint.scene.splats import Splats

MIN_WEIGHT = 1e-3
"""A splat that paints less than this, in pixels of full opacity over all views, is seen by none of them."""


@dataclass(frozen=True, eq=False)
class MaskedView:
    """One view's mask, and how far its outline may be off."""

    camera: Cameras
    """A batch of one."""
    mask: Bool[Tensor, "1 1 h w"]
    """The object."""
    with_margin: Bool[Tensor, "1 1 h w"]
    """The mask and a margin around it as wide as its outline may be off; outside this the photo does not show the object."""
    usable: Bool[Tensor, "1 1 h w"]
    """Pixels that count."""


@dataclass(frozen=True, eq=False)
class Votes:
    """What masks say of splats.

    Weights are alpha times transmittance summed over pixels and views. A vote is one view's weight as a share: a view has one
    vote, however near it was, since close-ups have many pixels and often the worst masks. A view that shows less than a pixel
    of the splat has less than one vote in proportion.
    """

    inside: Float[Tensor, " n"]
    """Weight in pixels inside the masks."""
    outside: Float[Tensor, " n"]
    """Weight in pixels outside the masks."""
    outside_margin: Float[Tensor, " n"]
    """The part of `outside` that is outside the masks' margins too."""
    votes_inside: Float[Tensor, " n"]
    """Number of views that have the splat inside their mask."""
    votes_outside: Float[Tensor, " n"]
    """Number of views that have it outside."""
    votes_outside_margin: Float[Tensor, " n"]
    """Number of views that have it outside mask and margin."""

    def __getitem__(self, index: Bool[Tensor, " n"] | slice) -> "Votes":
        return Votes(**{name: value[index] for name, value in vars(self).items()})

    @property
    def total(self) -> Float[Tensor, " n"]:
        """Weight in all usable pixels."""
        return self.inside + self.outside

    @property
    def share(self) -> Float[Tensor, " n"]:
        """Share of the votes that are inside, in [0, 1]; 0 for a splat that no pixel shows."""
        return self.votes_inside / (self.votes_inside + self.votes_outside).clamp_min(1e-12)

    @property
    def share_outside_margin(self) -> Float[Tensor, " n"]:
        """Share of the votes that are outside mask and margin, in [0, 1]; 0 for a splat that no pixel shows."""
        return self.votes_outside_margin / (self.votes_inside + self.votes_outside).clamp_min(1e-12)


def rendered_weight(
    splats: Splats, camera: Cameras, pixels: Float[Tensor, "1 c h w"], rasterizer: Rasterizer
) -> Float[Tensor, "n c"]:
    """Weight with which every splat paints the pixels of each channel: alpha times transmittance, summed over pixels.

    Args:
        splats: what the camera sees.
        camera: a batch of one.
        pixels: how much each pixel counts, by channel.
        rasterizer: any; one forward and one backward pass.
    """
    features = splats.means.new_zeros(len(splats), pixels.shape[1]).requires_grad_()
    with torch.enable_grad():
        painted = rasterizer(splats.detach(), camera, features=features).color
    (weight,) = torch.autograd.grad(painted, features, grad_outputs=pixels)
    return weight


def lift(splats: Splats, views: Iterable[MaskedView], rasterizer: Rasterizer) -> Votes:
    """Votes of every view on every splat.

    Args:
        splats: what was photographed.
        views: the masks.
        rasterizer: any; one forward and one backward pass a view.
    """
    weight, votes = splats.means.new_zeros(2, len(splats), 3)
    for view in views:
        sides = (torch.cat([view.mask, ~view.mask, ~view.with_margin], dim=1) & view.usable).to(splats.means)
        painted = rendered_weight(splats, view.camera, sides, rasterizer)
        weight += painted
        votes += painted / (painted[:, :2].sum(dim=1, keepdim=True)).clamp_min(1.0)
    return Votes(*weight.unbind(dim=1), *votes.unbind(dim=1))


@dataclass(frozen=True, eq=False)
class Region:
    """Pixels of one view."""

    camera: Cameras
    """A batch of one."""
    inside: Float[Tensor, "1 1 h w"]
    """1 in the region."""
    counted: Float[Tensor, "1 1 h w"]
    """1 where weight counts, inside the region or outside it."""


def rendered_share(splats: Splats, regions: Iterable[Region], rasterizer: Rasterizer) -> Float[Tensor, " n"]:
    """Share of each splat's rendered weight in the counted pixels that is inside the regions, in [0, 1].

    0 for a splat that paints none of the counted pixels.

    Args:
        splats: the scene.
        regions: one a view.
        rasterizer: any; one forward and one backward pass a view.
    """
    weight = splats.means.new_zeros(len(splats), 2)
    for region in regions:
        pixels = torch.cat([region.inside * region.counted, region.counted], dim=1)
        weight += rendered_weight(splats, region.camera, pixels, rasterizer)
    inside, counted = weight.unbind(dim=1)
    return inside / counted.clamp_min(MIN_WEIGHT)


def centers_inside(splats: Splats, views: Iterable[MaskedView]) -> Float[Tensor, " n"]:
    """Share of the views with a splat's center in their frame that have it inside their mask; 0 if none has it in the frame.

    For splats buried in an object, which no pixel shows.
    """
    inside = splats.means.new_zeros(len(splats))
    looked = splats.means.new_zeros(len(splats))
    for view in views:
        sighting = DepthView(view.camera, view.mask.to(splats.means)).sight(splats.means)
        inside += sighting.surface * sighting.in_frame
        looked += sighting.in_frame
    return inside / looked.clamp_min(1)
