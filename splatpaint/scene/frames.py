"""Transformation of splats between the input frame of a capture and the normalized world."""

import math
from dataclasses import replace

from splatpaint.scene.splats import Splats
from splatpaint.scene.views import Similarity


def in_input_frame(splats: Splats, world_from_input: Similarity) -> Splats:
    """The splats transformed to the input frame. The similarity has no rotation, so colors are unchanged."""
    return replace(
        splats,
        means=world_from_input.undo(splats.means),
        log_scales=splats.log_scales - math.log(world_from_input.scale),
    )


def in_world(splats: Splats, world_from_input: Similarity) -> Splats:
    """The inverse of `in_input_frame`."""
    return replace(
        splats,
        means=world_from_input.apply(splats.means),
        log_scales=splats.log_scales + math.log(world_from_input.scale),
    )
