"""Selection of a rasterizer by name."""

from importlib.util import find_spec
from typing import Literal

import torch

from splatpaint.errors import BackendError
from splatpaint.render.protocol import Rasterizer

RasterizerName = Literal["auto", "reference", "native", "cuda"]


def pick_rasterizer(name: RasterizerName, device: torch.device | str) -> Rasterizer:
    """The rasterizer of that name for tensors on that device; "auto" is "cuda" on NVIDIA GPUs and "native" elsewhere.

    Raises:
        BackendError: if it does not work there; there is no fallback.
    """
    device = torch.device(device)
    match name:
        case "auto":
            return pick_rasterizer("cuda" if device.type == "cuda" else "native", device)
        case "reference":
            from splatpaint.render import reference

            return reference.rasterize
        case "native":
            return _native(device)
        case "cuda":
            return _cuda(device)


def _native(device: torch.device) -> Rasterizer:
    if device.type != "cpu":
        raise BackendError(f"the native rasterizer works on the cpu, not on {device.type}: choose another rasterizer or device")
    if find_spec("splatpaint._kernels") is None:
        raise BackendError(
            "the native rasterizer is not built in this installation of splatpaint: "
            "run `pip install .` in its source folder, or choose the (slow) reference rasterizer"
        )
    from splatpaint.render.native import rasterize

    return rasterize


def _cuda(device: torch.device) -> Rasterizer:
    if device.type != "cuda":
        raise BackendError(
            f"the cuda rasterizer works on cuda devices, not on {device.type}: choose another one or the device cuda"
        )
    from splatpaint.render import cuda

    cuda.require_kernels()
    return cuda.rasterize
