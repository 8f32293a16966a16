"""What was found in a splat file: its splats, and what there is to say about them."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from splatpaint.scene.splats import Splats

FLAT_LOG_SCALE = -20.0
"""In place of ln 0, an axis without extent: 2e-9 of the file's unit, far below a pixel, with finite gradients."""
OPAQUE_LOGIT = 15.0
"""In place of the infinite logits of opacities 0 and 1: within 3e-7 of them, with finite gradients."""
NO_ROTATION = 1e-12
"""Quaternions shorter than this cannot be normalized in single precision."""

ANTIALIASED = (
    "its splats were trained with antialiased (mip) rendering, which no rasterizer here has: what is thin looks thicker here"
    " than where they were trained, the more so in small pictures"
)
"""Said of files that ask for it by a comment or a flag."""


@dataclass(frozen=True, eq=False)
class Found:
    """The splats of a file, in file order and unfiltered, and what a reader found out about them."""

    splats: Splats
    notes: tuple[str, ...] = ()
    """What was not as usual and how it was read, or what was left out; each reads on after the name of the file."""
    antialiased: bool = False
    """Whether the file asks for antialiased rendering (`SplatRenderMode: mip`, the flag of .spz, `antialias` of .sog)."""


def usable(found: Found) -> Found:
    """The same without splats that are no splats, and with finite numbers in place of legal infinite ones.

    Opacities of exactly 0 or 1 have infinite logits, and axes without extent infinite log scales: these are limits that other
    programs write, and are replaced by large finite numbers. Splats with other numbers that are not finite are left out, and
    splats without a rotation, which are often the zeros of a buffer that was never filled.
    """
    splats = found.splats
    limits, flat = splats.logit_opacities.isinf(), splats.log_scales == -torch.inf
    splats = replace(
        splats,
        logit_opacities=torch.where(limits, OPAQUE_LOGIT * splats.logit_opacities.sign(), splats.logit_opacities),
        log_scales=splats.log_scales.masked_fill(flat, FLAT_LOG_SCALE),
    )
    finite, turned = finite_rows(splats), splats.quats.norm(dim=1) > NO_ROTATION
    kept, unturned = finite & turned, splats[finite & ~turned]
    zeros = int((~torch.stack([_flat(tensor).any(dim=1) for tensor in unturned.tensors().values()]).any(dim=0)).sum())
    said = {
        "are exactly opaque or transparent, and stay so": limits & kept,
        "have no extent along some axis, and stay flat": flat.any(dim=1) & kept,
        "have numbers that are not finite, and were dropped": ~finite,
        f"have a rotation of zero ({zeros} of them are rows of zeros), and were dropped": finite & ~turned,
    }
    notes = [f"{int(rows.sum())} of {len(splats)} splats {what}" for what, rows in said.items() if rows.any()]
    return replace(found, splats=splats if kept.all() else splats[kept], notes=(*found.notes, *notes))


def finite_rows(splats: Splats) -> Bool[Tensor, " n"]:
    """Which splats have finite values only."""
    return torch.stack([_flat(tensor).isfinite().all(dim=1) for tensor in splats.tensors().values()]).all(dim=0)


def _flat(tensor: Tensor) -> Float[Tensor, "n m"]:
    """Everything about a splat in one row."""
    return tensor[:, None].flatten(1)
