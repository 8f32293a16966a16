"""FLIP, the difference that a person sees when flipping between two pictures (Andersson et al., HPG 2020)."""

import torch
from jaxtyping import Float
from torch import Tensor

from splatpaint.errors import WeightsError


class Flip:
    """NVIDIA's own implementation (the flip-evaluator package), at its standard viewing conditions: 67 pixels a degree."""

    def __init__(self) -> None:
        """Looks for the package.

        Raises:
            WeightsError: if it is not installed.
        """
        try:
            import flip_evaluator
        except ImportError as missing:
            raise WeightsError("FLIP is not available: pip install flip-evaluator") from missing
        self._evaluate = flip_evaluator.evaluate

    def map(self, x: Float[Tensor, "1 3 h w"], truth: Float[Tensor, "1 3 h w"]) -> Float[Tensor, "1 1 h w"]:
        """The perceived error at every pixel, 0 to 1; pictures are sRGB in [0, 1]."""
        reference, test = (picture[0].permute(1, 2, 0).clamp(0, 1).cpu().contiguous().numpy() for picture in (truth, x))
        errors, _, _ = self._evaluate(reference, test, "LDR", applyMagma=False)
        return torch.from_numpy(errors).to(x)[None, None, :, :, 0]
