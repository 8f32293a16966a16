"""Splats between the frame of a capture's own poses and the normalized world."""

import math
from dataclasses import replace

from splatpaint.scene.splats import Splats
from splatpaint.scene.views import Similarity


def in_input_frame(splats: Splats, world_from_input: Similarity) -> Splats:
    """The splats as the input's poses see them: moved and scaled; a similarity without rotation changes no color."""
    return replace(
        splats,
        means=world_from_input.undo(splats.means),
        log_scales=splats.log_scales - math.log(world_from_input.scale),
    )


def in_world(splats: Splats, world_from_input: Similarity) -> Splats:
    """The reverse of `in_input_frame`."""
    return replace(
        splats,
        means=world_from_input.apply(splats.means),
        log_scales=splats.log_scales + math.log(world_from_input.scale),
    )
