"""What the formats with few bits have in common."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8

from splatpaint.errors import FormatError
from splatpaint.scene.splats import Splats

HALF_STEP = 0.5 / 255
"""Opacities in bytes are read within this of 0 and 1, for finite logits."""


def plain_rgb(path: Path, splats: Splats) -> Splats:
    """The splats as float32 on the CPU, without gradients.

    Raises:
        FormatError: if they are not rgb, which only .safetensors files hold.
    """
    if splats.space != "rgb":
        raise FormatError(f"{path} cannot hold {splats.space} splats, only rgb ones: write them to a .safetensors file")
    return splats.detach().to("cpu").to(torch.float32)


def logits_of_bytes(opacities: UInt8[np.ndarray, " n"] | Float[np.ndarray, " n"]) -> Float[torch.Tensor, " n"]:
    """Logits of opacities of which 255 is 1."""
    return torch.logit((torch.from_numpy(opacities.astype(np.float32)) / 255).clamp(HALF_STEP, 1 - HALF_STEP))
