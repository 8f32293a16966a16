"""FLIP, the difference perceived when alternating between two images (Andersson et al., HPG 2020)."""

import torch
from jaxtyping import Float
from torch import Tensor

from splatpaint.errors import WeightsError


class Flip:
    """NVIDIA's implementation (package flip-evaluator) at its default viewing conditions: 67 pixels per degree."""

    def __init__(self) -> None:
        """Imports the package.

        Raises:
            WeightsError: if it is not installed.
        """
        try:
            import flip_evaluator
        except ImportError as missing:
            raise WeightsError("FLIP is not available: pip install flip-evaluator") from missing
        self._evaluate = flip_evaluator.evaluate

    def map(self, x: Float[Tensor, "1 3 h w"], truth: Float[Tensor, "1 3 h w"]) -> Float[Tensor, "1 1 h w"]:
        """The perceived error per pixel, in [0, 1]; images are sRGB in [0, 1]."""
        reference, test = (image[0].permute(1, 2, 0).clamp(0, 1).cpu().contiguous().numpy() for image in (truth, x))
        errors, _, _ = self._evaluate(reference, test, "LDR", applyMagma=False)
        return torch.from_numpy(errors).to(x)[None, None, :, :, 0]
