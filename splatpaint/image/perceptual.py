"""LPIPS, the learned perceptual distance, without importing the `lpips` package (whose import needs torchvision).

The linear heads (v0.1) are read from the installed `lpips` distribution, the ImageNet trunks from a local file. A missing file
is an error; there is no fallback. Source: Zhang et al., "The Unreasonable Effectiveness of Deep Features as a
Perceptual Metric", 2018, and the shapes of the published weights.
"""

import os
from importlib import metadata
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import conv2d, interpolate

from splatpaint.errors import WeightsError
from splatpaint.reading import UnreadableError, understanding

Net = Literal["alex", "vgg"]

WEIGHTS_VARIABLE = "SPLATPAINT_WEIGHTS"
"""Environment variable: a folder that holds trunk weights."""
FILE_NAMES: dict[Net, tuple[str, ...]] = {
    "alex": ("alexnet-owt-7be5be79.pth", "lpips_alex_trunk.safetensors"),
    "vgg": ("vgg16-397923af.pth", "lpips_vgg16_trunk_fp16.safetensors"),
}
"""Names of a trunk's file in a folder of weights: torchvision's own name first."""
DOWNLOADS = "https://download.pytorch.org/models/"
"""Server of torchvision's files. The part of a name after the last hyphen is the beginning of its SHA-256."""
MEAN = (0.485, 0.456, 0.406)
"""Mean of ImageNet's sRGB in [0, 1]; LPIPS states the same numbers for [-1, 1]: (-.030, -.088, -.188)."""
STD = (0.229, 0.224, 0.225)
"""Standard deviation of ImageNet's sRGB in [0, 1]; for [-1, 1]: (.458, .448, .450)."""
TAPS: dict[Net, tuple[int, ...]] = {"alex": (1, 4, 7, 9, 11), "vgg": (3, 8, 15, 22, 29)}
"""Indices of the trunk's layers (all ReLUs) whose activations are compared."""


class Lpips(nn.Module):
    """The perceptual distance between images, in [0, ~1]; frozen, differentiable in the images."""

    def __init__(self, net: Net = "alex", *, weights: Path | None = None) -> None:
        """Loads trunk and heads.

        Args:
            net: `alex` (usual for reporting) or `vgg` (usual for optimization; much slower).
            weights: a file or a folder with the trunk. Default: the folder in $SPLATPAINT_WEIGHTS, else torch's hub cache, into
                which a missing trunk is downloaded.

        Raises:
            WeightsError: if the trunk or the linear heads are not on this machine and cannot be downloaded.
        """
        super().__init__()
        self.taps = TAPS[net]
        self.trunk = _alexnet() if net == "alex" else _vgg16()
        _load_trunk(self.trunk, find_trunk(net, weights))
        self.heads = nn.ParameterList(_read_heads(net))
        # On CPUs, bfloat16 convolutions are three times as fast with the channels last.
        self.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    def forward(self, x: Float[Tensor, "v 3 h w"], y: Float[Tensor, "v 3 h w"]) -> Float[Tensor, " v"]:
        """The distance of each pair of images (sRGB in [0, 1]), as published: each layer is averaged over its own grid."""
        return torch.stack([layer.mean(dim=(1, 2, 3)) for layer in self._layers(x, y)]).sum(dim=0)

    def map(self, x: Float[Tensor, "v 3 h w"], y: Float[Tensor, "v 3 h w"]) -> Float[Tensor, "v 1 h w"]:
        """The distance as a map: each layer is resized to the image size, so that a region can be averaged.

        The receptive fields are wide: pixels up to some hundred pixels outside a region influence its mean.
        """
        size = x.shape[-2:]
        stretched = [interpolate(layer, size=size, mode="bilinear", align_corners=False) for layer in self._layers(x, y)]
        return torch.stack(stretched).sum(dim=0)

    def embed(self, images: Float[Tensor, "v 3 h w"]) -> Float[Tensor, "v d"]:
        """One feature vector per image: the trunk's last activations, averaged over the image."""
        return self._activations(images)[-1].mean(dim=(2, 3))

    def _layers(self, x: Tensor, y: Tensor) -> list[Tensor]:
        """Weighted squared differences of unit-length features, one (v, 1, h_l, w_l) map per layer."""
        pairs = zip(self._features(x), self._features(y), self.heads, strict=True)
        return [conv2d((a - b) ** 2, head) for a, b, head in pairs]

    def _features(self, images: Tensor) -> list[Tensor]:
        found = (each.float() for each in self._activations(images))
        return [each / (each.square().sum(dim=1, keepdim=True).sqrt() + 1e-10) for each in found]

    def _activations(self, images: Tensor) -> list[Tensor]:
        mean, std = images.new_tensor(MEAN).view(1, 3, 1, 1), images.new_tensor(STD).view(1, 3, 1, 1)
        activations, found = ((images - mean) / std).contiguous(memory_format=torch.channels_last), []
        for index, layer in enumerate(self.trunk):
            activations = layer(activations)
            if index in self.taps:
                found.append(activations)
        return found


def find_trunk(net: Net, weights: Path | None = None) -> Path:
    """The file of a trunk: `weights`, or found by name in the folder `weights`, $SPLATPAINT_WEIGHTS or torch's hub cache.

    A file that torch's hub cache lacks is downloaded, unless another folder was named.

    Raises:
        WeightsError: if there is none.
    """
    if weights is not None and weights.is_file():
        return weights
    named = weights or os.environ.get(WEIGHTS_VARIABLE)
    folder = Path(named) if named else Path(torch.hub.get_dir()) / "checkpoints"
    for name in FILE_NAMES[net]:
        if (folder / name).is_file():
            return folder / name
    if not named and _download(FILE_NAMES[net][0], folder):
        return folder / FILE_NAMES[net][0]
    raise WeightsError(
        f"LPIPS ({net}) is not available: neither {' nor '.join(FILE_NAMES[net])} is in {folder}"
        f"{'' if named else f' and {DOWNLOADS} cannot be reached'}; put one there or name its folder in ${WEIGHTS_VARIABLE}"
    )


def _download(name: str, folder: Path) -> bool:
    """Downloads torchvision's file of that name; False if the server cannot be reached or the checksum is wrong."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        torch.hub.download_url_to_file(DOWNLOADS + name, str(folder / name), Path(name).stem.split("-")[-1], progress=False)
    except (OSError, RuntimeError):  # unreachable, or another checksum
        return False
    return True


def _load_trunk(trunk: nn.Sequential, path: Path) -> None:
    """Loads the convolution weights of torchvision's file, without the classifier."""
    prefix = "features."
    try:
        with understanding():
            if path.suffix == ".safetensors":
                from safetensors.torch import load_file

                state = load_file(path)
            else:
                state = torch.load(path, map_location="cpu", weights_only=True)
            layers = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
            trunk.load_state_dict({name: value.float() for name, value in layers.items()})
    except UnreadableError as error:
        raise WeightsError(f"the weights {path} cannot be read ({error}): delete the file, or get it again") from error


def _read_heads(net: Net) -> list[Tensor]:
    """One nonnegative weight of shape (1, channels, 1, 1) per compared layer."""
    try:
        path = Path(str(metadata.distribution("lpips").locate_file(f"lpips/weights/v0.1/{net}.pth")))
    except metadata.PackageNotFoundError as missing:
        raise WeightsError(
            f"LPIPS ({net}) is not available: the lpips package, which carries its linear heads, is not installed; "
            "run pip install --no-deps lpips"
        ) from missing
    state = torch.load(path, map_location="cpu", weights_only=True)
    return [state[f"lin{index}.model.1.weight"] for index in range(len(TAPS[net]))]


def _alexnet() -> nn.Sequential:
    """The convolutional part of AlexNet (Krizhevsky, "One weird trick", 2014) up to its last ReLU."""
    return nn.Sequential(
        nn.Conv2d(3, 64, 11, stride=4, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(64, 192, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(192, 384, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(256, 256, 3, padding=1),
        nn.ReLU(),
    )


def _vgg16() -> nn.Sequential:
    """The convolutional part of VGG-16 (Simonyan and Zisserman, 2014, configuration D) up to its last ReLU."""
    layers: list[nn.Module] = []
    channels = 3
    for block, width, depth in zip(range(5), (64, 128, 256, 512, 512), (2, 2, 3, 3, 3), strict=True):
        if block:
            layers.append(nn.MaxPool2d(2, 2))
        for _ in range(depth):
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
            channels = width
    return nn.Sequential(*layers)
