"""Everything that can be set about a run, in one tree."""

from dataclasses import dataclass, field
from typing import Literal

from splatpaint.capture import CaptureConfig
from splatpaint.fill.config import FillConfig
from splatpaint.masks.selection import RemoveConfig
from splatpaint.priors.customize import CustomizeConfig
from splatpaint.priors.depth import DepthConfig
from splatpaint.priors.load import PriorConfig
from splatpaint.stages.reconstruct import ReconstructConfig
from splatpaint.streams import check_seed


@dataclass(frozen=True)
class RunConfig:
    """A run: capture to reconstruction to removal to fill, the prior learning the scene in between."""

    seed: int = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto = cuda where torch finds a usable GPU, else cpu."""
    rasterizer: Literal["auto", "reference", "native", "cuda"] = "auto"
    """auto = gsplat's CUDA kernels on a GPU, our own SIMD kernels elsewhere."""
    capture: CaptureConfig = field(default_factory=lambda: CaptureConfig(max_resolution=480))
    """At the default resolution a run takes minutes on two CPU cores; `--max-resolution` takes it further."""
    reconstruct: ReconstructConfig = field(default_factory=ReconstructConfig)
    remove: RemoveConfig = field(default_factory=RemoveConfig)
    prior: PriorConfig = field(default_factory=PriorConfig)
    depth: DepthConfig = field(default_factory=DepthConfig)
    customize: CustomizeConfig = field(default_factory=CustomizeConfig)
    inpaint: FillConfig = field(default_factory=FillConfig)

    def __post_init__(self) -> None:
        check_seed(self.seed)
