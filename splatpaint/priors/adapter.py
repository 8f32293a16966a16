"""Low-rank adapters (LoRA, Hu et al. 2022) of a denoiser, in diffusers' format. Several on one denoiser add up."""

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
"""Module names by choice: attention projections (as in diffusers' training scripts), or also the convolutions of residual
blocks, which hold most of a small denoiser's weights."""
PREFIX = "unet"
"""First part of the weight names in a file, as in diffusers' pipelines."""


def add_lora(unet: Network, file: Path, name: str) -> None:
    """Adds a LoRA to the `UNet2DConditionModel`, at scale 1, to those that it has.

    Raises:
        PriorError: if the file cannot be read, or its weights do not fit the U-Net.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        weights = load_file(file)
    except (OSError, SafetensorError, ValueError) as error:
        raise PriorError(f"the LoRA {file} cannot be read ({error}): give a .safetensors file in diffusers' format") from error
    adapted = {key.removeprefix(f"{PREFIX}.").split(".lora")[0] for key in weights}
    if not adapted & dict(unet.named_modules()).keys():
        raise PriorError(f"the LoRA {file} has no weights for this prior's denoiser: give one that was trained on it")
    try:
        with _second_adapter_allowed():
            unet.load_lora_adapter(weights, prefix=PREFIX, adapter_name=name)
    except Exception as error:  # what peft makes of weights that do not fit
        raise PriorError(f"the LoRA {file} does not fit this prior's denoiser: give one that was trained on it") from error
    unet.set_adapters(list(unet.peft_config))


def init_lora(unet: Network, rank: int, name: str, layers: Layers) -> list[nn.Parameter]:
    """Adds a new LoRA that changes no output yet. Returns its float32 parameters, the only trainable ones of the U-Net."""
    from peft import LoraConfig

    unet.requires_grad_(False)
    with _second_adapter_allowed():
        config = LoraConfig(r=rank, lora_alpha=rank, target_modules=TARGETS[layers], init_lora_weights="gaussian")
        unet.add_adapter(config, name)
    unet.set_adapters(list(unet.peft_config))
    trainable = []
    for key, parameter in unet.named_parameters():
        parameter.requires_grad_(f".{name}." in key)
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
            trainable.append(parameter)
    return trainable


@contextmanager
def _second_adapter_allowed() -> Iterator[None]:
    """Silences peft's warning of a second adapter, which is intended here."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Already found a `peft_config` attribute")
        yield


def save_lora(unet: Network, name: str, file: Path) -> None:
    """Writes one of the U-Net's LoRAs as .safetensors, whole or not at all.

    Raises:
        OSError: if the file cannot be written.
    """
    from peft import get_peft_model_state_dict
    from safetensors.torch import save

    weights = get_peft_model_state_dict(unet, adapter_name=name)
    write_bytes(file, save({f"{PREFIX}.{key}": value.contiguous().cpu() for key, value in weights.items()}))
