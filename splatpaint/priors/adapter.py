"""Low-rank adapters (LoRA) of a denoiser: read, begun, saved in diffusers' format. Several add up."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from torch import nn

from splatpaint.atomic import write_bytes
from splatpaint.errors import PriorError
from splatpaint.priors.networks import Network

Layers = Literal["attention", "all"]
TARGETS: dict[Layers, list[str]] = {
    "attention": ["to_q", "to_k", "to_v", "to_out.0"],
    "all": ["to_q", "to_k", "to_v", "to_out.0", "conv1", "conv2"],
}
"""The attention projections, which is what LoRAs of diffusion models adapt (diffusers' training scripts), or also the residual
blocks' convolutions, which are most of a small denoiser."""
PREFIX = "unet"
"""Of the weights' names in a file, as diffusers' pipelines write them."""


def add_lora(unet: Network, file: Path, name: str) -> None:
    """Puts a LoRA on the `UNet2DConditionModel`, at full strength, beside those that are on it.

    Raises:
        PriorError: if the file cannot be read, or holds nothing that fits the U-Net.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        weights = load_file(file)
    except (OSError, SafetensorError) as error:
        raise PriorError(f"the LoRA {file} cannot be read ({error}): give a .safetensors file in diffusers' format") from error
    adapted = {key.removeprefix(f"{PREFIX}.").split(".lora")[0] for key in weights}
    if not adapted & dict(unet.named_modules()).keys():
        raise PriorError(f"the LoRA {file} has no weights for this prior's denoiser: give one that was trained on it")
    try:
        with _several():
            unet.load_lora_adapter(weights, prefix=PREFIX, adapter_name=name)
    except (RuntimeError, ValueError, KeyError) as error:
        raise PriorError(f"the LoRA {file} does not fit this prior's denoiser: give one that was trained on it") from error
    unet.set_adapters(list(unet.peft_config))


def begin_lora(unet: Network, rank: int, name: str, layers: Layers) -> list[nn.Parameter]:
    """A new LoRA that changes nothing yet; its parameters, in single precision, the only ones of the U-Net that learn."""
    from peft import LoraConfig

    unet.requires_grad_(False)
    with _several():
        wanted = LoraConfig(r=rank, lora_alpha=rank, target_modules=TARGETS[layers], init_lora_weights="gaussian")
        unet.add_adapter(wanted, name)
    unet.set_adapters(list(unet.peft_config))
    learning = []
    for key, parameter in unet.named_parameters():
        parameter.requires_grad_(f".{name}." in key)
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
            learning.append(parameter)
    return learning


@contextmanager
def _several() -> Iterator[None]:
    """peft warns of a second adapter, which here is meant."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Already found a `peft_config` attribute")
        yield


def save_lora(unet: Network, name: str, file: Path) -> None:
    """Writes one of the U-Net's LoRAs; the file is there when it is whole."""
    from peft import get_peft_model_state_dict
    from safetensors.torch import save

    weights = get_peft_model_state_dict(unet, adapter_name=name)
    write_bytes(file, save({f"{PREFIX}.{key}": value.contiguous().cpu() for key, value in weights.items()}))
