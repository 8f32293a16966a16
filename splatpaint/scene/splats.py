"""3D Gaussian splats, as parameters before activation."""

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

SH_C0 = 0.28209479177387814
"""The constant spherical harmonic: sqrt(1 / 4 pi). An rgb splat's base color is .5 + SH_C0 * dc."""


@dataclass(frozen=True, eq=False)
class Splats:
    """A set of splats. Every field has the splat index first."""

    means: Float[Tensor, "n 3"]
    """Centers in world units."""
    quats: Float[Tensor, "n 4"]
    """Rotations wxyz; need not be unit length."""
    log_scales: Float[Tensor, "n 3"]
    """ln(one standard deviation in world units) along each rotated axis."""
    logit_opacities: Float[Tensor, " n"]
    """Opacity before the sigmoid."""
    sh: Float[Tensor, "n k c"]
    """Color as spherical-harmonic coefficients, DC first; k = (degree + 1)^2 with degree 0 to 3."""
    space: Literal["rgb", "latent"] = "rgb"
    """rgb colors are .5 + SH, clamped below at 0; latent colors are the SH sum itself, unclamped."""

    def __post_init__(self) -> None:
        n = len(self.means)
        expected = {"means": (n, 3), "quats": (n, 4), "log_scales": (n, 3), "logit_opacities": (n,)}
        for name, shape in expected.items():
            if tuple(getattr(self, name).shape) != shape:
                raise ValueError(f"{name} has shape {tuple(getattr(self, name).shape)}, expected {shape}")
        if self.sh.ndim != 3 or len(self.sh) != n or self.sh.shape[1] not in (1, 4, 9, 16):
            raise ValueError(f"sh has shape {tuple(self.sh.shape)}, expected ({n}, 1 | 4 | 9 | 16, channels)")

    def __len__(self) -> int:
        return len(self.means)

    def __getitem__(self, index: Bool[Tensor, " n"] | Int[Tensor, " m"] | slice) -> "Splats":
        return replace(self, **{name: value[index] for name, value in self.tensors().items()})

    @property
    def sh_degree(self) -> int:
        """Degree of the spherical harmonics, 0 to 3."""
        return {1: 0, 4: 1, 9: 2, 16: 3}[self.sh.shape[1]]

    @property
    def opacities(self) -> Float[Tensor, " n"]:
        """Opacities in (0, 1)."""
        return torch.sigmoid(self.logit_opacities)

    @property
    def scales(self) -> Float[Tensor, "n 3"]:
        """Standard deviations in world units."""
        return torch.exp(self.log_scales)

    def tensors(self) -> dict[str, Tensor]:
        """The tensor fields by name, in declaration order."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name != "space"}

    def to(self, target: torch.device | torch.dtype | str) -> "Splats":
        """The same splats on another device or in another precision."""
        return replace(self, **{name: value.to(target) for name, value in self.tensors().items()})

    def detach(self) -> "Splats":
        """The same splats, detached from the autograd graph."""
        return replace(self, **{name: value.detach() for name, value in self.tensors().items()})

    def with_sh_degree(self, degree: int) -> "Splats":
        """The same splats with coefficients truncated, or padded with zeros, to the given degree."""
        terms = (degree + 1) ** 2
        have = self.sh.shape[1]
        if terms <= have:
            return replace(self, sh=self.sh[:, :terms])
        padding = self.sh.new_zeros(len(self), terms - have, self.sh.shape[2])
        return replace(self, sh=torch.cat([self.sh, padding], dim=1))


def concatenate(parts: Iterable[Splats]) -> Splats:
    """All splats of all parts in order, padded to the highest SH degree among them.

    Raises:
        ValueError: if there are no parts, or their color spaces or channel counts differ.
    """
    sets = list(parts)
    if not sets:
        raise ValueError("no splats to concatenate")
    if len({(part.space, part.sh.shape[2]) for part in sets}) > 1:
        raise ValueError("splats of different color spaces cannot be concatenated")
    degree = max(part.sh_degree for part in sets)
    sets = [part.with_sh_degree(degree) for part in sets]
    return replace(sets[0], **{name: torch.cat([part.tensors()[name] for part in sets]) for name in sets[0].tensors()})
