"""Splats out of a run, in the frame and at the scale of the capture's own poses, checked by reading them back."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from splatpaint.events import Events, Measured, Noted, Progressed, Saved
from splatpaint.formats import FormatOptions, link_target, read_splats, write_splats
from splatpaint.formats.offset import NO_OFFSET, Offset, as_text, read_offset, sidecar
from splatpaint.render.protocol import Rasterizer
from splatpaint.scene.frames import in_input_frame, in_world
from splatpaint.scene.splats import Splats
from splatpaint.scene.views import Similarity, View

STAGE = "export"

FAITHFUL_DB = 40.0
"""Below this, against renders of the run's own splats, the file deserves a warning: pixels are off by 2 to 3 levels of 255."""
FAR = 100.0
"""Viewing distances from the origin beyond which single precision is off by more than 1e-5 of a viewing distance, and so by a
thousandth of the distance between cameras as close as those of a video."""
ROUND = 10.0
"""Offsets are rounded to a power of ten that is at least as many viewing distances."""
IDENTICAL_DB = 100.0
"""Reported for renders that do not differ, in place of infinity."""


def offset_for(world_from_input: Similarity) -> Offset:
    """A round place of the input frame near its splats, if these lie too far out for single precision, else zero."""
    if max(map(abs, world_from_input.shift)) < FAR:
        return NO_OFFSET
    digits = -math.ceil(math.log10(ROUND / world_from_input.scale))
    x, y, z = (float(round(-shift / world_from_input.scale, digits)) for shift in world_from_input.shift)
    return x, y, z


@torch.no_grad()
def export(
    splats: Splats,
    world_from_input: Similarity,
    out: Path,
    *,
    views: Sequence[View],
    rasterizer: Rasterizer,
    device: torch.device,
    options: FormatOptions | None = None,
) -> Events[Path]:
    """Writes the splats in the input's frame, reads the file back and renders it from the given views as a self-check.

    Args:
        splats: in the capture's (normalized) world.
        world_from_input: what is to be undone.
        out: the file; its suffix is its format. A file that is there is replaced; a link is followed.
        views: where to render from for the check, at least one.
        rasterizer: paints splats on `device`.
        device: where to render.
        options: of the format.

    Raises:
        FormatError: if the format is unknown, or the file cannot be written.
    """
    offset = offset_for(world_from_input)
    options = replace(options or FormatOptions(), offset=offset)
    write_splats(link_target(out), in_input_frame(splats, world_from_input.from_place(offset)), options)
    if offset != NO_OFFSET:
        yield Noted(
            STAGE,
            f"the capture lies far from its origin: to the coordinates in {out} {as_text(offset)} is to be added, as "
            f"{sidecar(link_target(out)).name} says",
        )
    read_back = in_world(read_splats(out, options), world_from_input.from_place(read_offset(link_target(out))))
    ours, theirs = splats.to(device), read_back.to(device)
    scores = []
    for view in views:
        camera = view.camera.to(device)
        error = rasterizer(ours, camera).color.clamp(0, 1) - rasterizer(theirs, camera).color.clamp(0, 1)
        mse = float(error.square().mean())
        scores.append(min(IDENTICAL_DB, -10 * math.log10(max(mse, 1e-30))))
        yield Progressed(STAGE, len(scores), len(views))
    if not min(scores) >= FAITHFUL_DB:
        yield Noted(
            STAGE,
            f"{out} renders at only {min(scores):.1f} dB against the run's splats: its format loses detail here",
            "warning",
        )
    yield Measured(STAGE, {"splats": float(len(splats)), "self_check_psnr": min(scores)})
    yield Saved(STAGE, f"{len(splats)} splats", out)
    return out
