"""Where the C++ kernels take over from torch."""

from importlib.util import find_spec

import torch
from torch import Tensor


def runs_in_kernels(images: Tensor) -> bool:
    """Whether the kernels take these images: float32 on the CPU, in an installation that has kernels."""
    return images.device.type == "cpu" and images.dtype == torch.float32 and find_spec("splatpaint._kernels") is not None
