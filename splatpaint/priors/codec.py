"""The two autoencoders of diffusers behind one interface."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from splatpaint.priors.networks import Network, diffusers, from_folder, read_settings


class DiffusersCodec:
    """An `AutoencoderKL` or `AutoencoderTiny` that takes pictures in [0, 1] and scales latents as its denoiser expects them.

    Encoding with an `AutoencoderKL` returns the posterior's mean and draws no random numbers. All outputs are float32.
    """

    def __init__(self, vae: Network, *, tiny: bool, mixed: bool = False) -> None:
        """Wraps the autoencoder.

        Args:
            vae: the autoencoder of diffusers.
            tiny: whether it is an `AutoencoderTiny`.
            mixed: whether to multiply in bfloat16: half the time on processors that can; pixels change by about 0.001.
        """
        # Convolutions in channels-last memory take half the time on CPUs, and no more on GPUs.
        self.vae = vae.eval().requires_grad_(False).to(memory_format=torch.channels_last)
        self._tiny, self._mixed = tiny, mixed
        self._scale = float(vae.config.scaling_factor)
        self._shift = float(vae.config.get("shift_factor") or 0.0)
        self.channels = int(vae.config.latent_channels)
        levels = vae.config.encoder_block_out_channels if tiny else vae.config.block_out_channels
        self.stride = 2 ** (len(levels) - 1)

    @classmethod
    def read(cls, folder: Path, device: torch.device, *, mixed: bool = False) -> "DiffusersCodec":
        """Reads the autoencoder in a diffusers folder, in single precision (SDXL's overflows in half).

        Raises:
            PriorError: if the folder holds none that can be read.
        """
        tiny = read_settings(folder / "config.json").get("_class_name") == "AutoencoderTiny"
        kind = diffusers().AutoencoderTiny if tiny else diffusers().AutoencoderKL
        return cls(from_folder(kind, folder, torch_dtype=torch.float32).to(device), tiny=tiny, mixed=mixed)

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return next(self.vae.parameters()).device

    def encode(self, images: Float[Tensor, "v 3 h w"]) -> Float[Tensor, "v c hl wl"]:
        """Latents; differentiable."""
        with self._precision():
            encoded = self.vae.encode(images * 2 - 1)
            latents = encoded.latents if self._tiny else encoded.latent_dist.mean
        return (latents.float() - self._shift) * self._scale

    def decode(self, latents: Float[Tensor, "v c hl wl"]) -> Float[Tensor, "v 3 h w"]:
        """Pictures, not clamped; differentiable."""
        with self._precision():
            decoded = self.vae.decode(latents / self._scale + self._shift).sample
        return decoded.float() / 2 + 0.5

    def features(self, images: Float[Tensor, "v 3 h w"]) -> list[Float[Tensor, "v _ _ _"]]:
        """The encoder's last activations at each resolution, fine to coarse; differentiable."""
        with self._precision():
            layers = self._tiny_features(images) if self._tiny else self._full_features(images * 2 - 1)
        return [layer.float() for layer in layers]

    def _precision(self) -> AbstractContextManager:
        return torch.autocast(self.device.type, torch.bfloat16) if self._mixed else nullcontext()

    def _tiny_features(self, x: Tensor) -> list[Tensor]:
        """A tiny encoder is one sequence: a strided convolution starts each resolution, the last layer makes the latents."""
        activations = []
        for layer in self.vae.encoder.layers[:-1]:
            if isinstance(layer, nn.Conv2d) and layer.stride == (2, 2):
                activations.append(x)
            x = layer(x)
        return [*activations, x]

    def _full_features(self, x: Tensor) -> list[Tensor]:
        """The output of each block of a full encoder; a block ends with its downsampling."""
        x = self.vae.encoder.conv_in(x)
        activations = []
        for block in self.vae.encoder.down_blocks:
            x = block(x)
            activations.append(x)
        return activations
