"""Reads the teacher codec of a distillation: a diffusers folder, or the two files of TAESD."""

from pathlib import Path

import torch

from splatpaint.errors import PriorError
from splatpaint.priors.codec import DiffusersCodec
from splatpaint.priors.networks import diffusers
from splatpaint.reading import in_short

TAESD_FILES = {"encoder": "taesd_encoder.safetensors", "decoder": "taesd_decoder.safetensors"}
"""Files of the tiny autoencoder for Stable Diffusion 1 and 2 (github.com/madebyollin/taesd)."""
FIRST_LAYER = {"encoder": 0, "decoder": 1}
"""Number of the first layer in those files. The decoder's layer 0 is a clamp, which diffusers has outside of the layers."""


def read_codec(path: Path, device: torch.device) -> DiffusersCodec:
    """A trained autoencoder.

    Args:
        path: folder of an autoencoder in diffusers' layout, of a model with one in `vae`, or of `TAESD_FILES`.
        device: of the result.

    Raises:
        PriorError: if the folder holds no autoencoder, or one that cannot be read.
    """
    for folder in (path, path / "vae"):
        if (folder / "config.json").exists():
            return DiffusersCodec.read(folder, device)
    if all((path / name).exists() for name in TAESD_FILES.values()):
        return DiffusersCodec(_read_taesd(path).to(device), tiny=True)
    raise PriorError(
        f"{path} holds no codec: expected an autoencoder in diffusers' layout (config.json), a model with a vae folder, "
        f"or {' and '.join(TAESD_FILES.values())}"
    )


def _read_taesd(folder: Path) -> torch.nn.Module:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    model = diffusers().AutoencoderTiny()
    for part, name in TAESD_FILES.items():
        try:
            layers = {_renumbered(key, FIRST_LAYER[part]): value for key, value in load_file(folder / name).items()}
            getattr(model, part).layers.load_state_dict(layers)
        except (OSError, SafetensorError, RuntimeError, ValueError) as error:
            raise PriorError(f"{folder / name} cannot be read as TAESD's {part} ({in_short(error)})") from error
    return model


def _renumbered(key: str, first: int) -> str:
    layer, rest = key.split(".", 1)
    return f"{int(layer) - first}.{rest}"
