"""The settings of the fill, and what follows from them round by round."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from splatpaint.config import check_least
from splatpaint.errors import ConfigError
from splatpaint.fill.novel_views import NovelViewsConfig
from splatpaint.fill.seeding import SeedConfig
from splatpaint.fill.unobserved import UnobservedConfig
from splatpaint.fit.parameters import LearningRates
from splatpaint.objectives.build import ObjectiveConfig
from splatpaint.objectives.disparity import DisparityConfig
from splatpaint.objectives.photometric import PhotometricConfig
from splatpaint.objectives.shape import ShapeConfig

STAGE = "inpaint"
"""The stage's name in events, run folders and settings."""


@dataclass(frozen=True)
class FillConfig:
    """How the holes are painted."""

    RENAMED: ClassVar[dict[str, str]] = {
        "rim_px": "inpaint.boundary_px",
        "rim_share": "inpaint.boundary_share",
        "leash": "inpaint.preserve_observed",
        "pieces": "inpaint.exemplar_weight",
        "reference=beside": "context_view",
        "reference=warped": "warp",
        "min_inside": "",
        "known": "inpaint.objectives, the photometric one with pixels: observed",
        "painted": "inpaint.objectives, the photometric one with pixels: painted",
        "shape": "inpaint.objectives, the one of kind: shape",
        "perceptual": "in a list: --set 'inpaint.objectives+={kind: perceptual, weight: 0.1}'",
        "adversarial": "in a list: --set 'inpaint.objectives+={kind: adversarial, weight: 0.3}'",
        "distill": "in a list: --set 'inpaint.objectives+={kind: distill, weight: 0.1}'",
        "disparity": "inpaint.objectives, the one of kind: disparity",
        "novel": "in a list: --set 'inpaint.samplers+={kind: novel_views, share: 0.2}'",
        "unseen": "inpaint.unobserved",
    }

    rounds: int = 2
    """Number of times that targets are painted and the splats fitted to them."""
    steps: int = 600
    """Training steps a round."""
    strength_first: float = 1.0
    """Noise level of the first round's painting, 1 = pure noise."""
    strength_last: float = 1.0
    """Noise level of the last round's. Below 1 a round begins from the rendering and keeps its mistakes: with the bundled prior
    painting anew is better. A prior that paints other things in every view wants less (MALD-NeRF ends at 0.02)."""
    denoise_steps: int = 6
    """Sampler steps from pure noise; a weaker round takes fewer in proportion, one before a finish other than prior takes
    one."""
    reference: Literal["none", "context_view", "warp"] = "none"
    """How other views are used (see references.py): not at all; a hole is painted beside the view that shows most of it or was
    painted there before; or in the first round what was painted in others is warped into it, and the rest is painted."""
    finish: Literal["auto", "prior", "smooth", "exemplar"] = "auto"
    """How the last round paints: prior = anew; smooth = with colors from around the hole; exemplar = copied from the photo
    around the hole (image/shift_map.py), guided by the colors that the rounds before agree on, one view after the other,
    each prefilled from those before it; auto = prior, but if the prior is one of few steps, as the bundled one, which knows
    colors and not detail, the way that is nearest to the truth on practice holes (see practice.py)."""
    exemplar_weight: float = 0.7
    """Share of the copied pixels in an exemplar finish; the rest is the low-frequency guide. 1 = as crisp as the photos.
    Where practice decides, it decides the share too."""
    views: int = 64
    """Number of views that are painted and fitted at most, evenly spread over those with a hole."""
    context: float = 0.25
    """Views are trained in a crop around their hole, grown by this share of its size on each side, at least
    by `boundary_px`."""
    boundary_px: float = 16.0
    """Width around the holes in which photos supervise fill and boundary splats; pixels of a 480-px image, see `Cameras.px`."""
    boundary_share: float = 0.8
    """A kept splat is trained with the fill if it has this share of its rendered weight in the holes or that near to them.
    1 = none is."""
    preserve_observed: bool = True
    """Whether views stay as they are where their photo shows something farther than `boundary_px` from the holes. Without, what
    the object left there in other splats is mended too, and what mends it shows elsewhere."""
    growth: float = 1.0
    """The fill may grow to so many times its seeds where the gradients are large; 1 = none is added or dropped in training."""
    seed: SeedConfig = field(default_factory=SeedConfig)
    objectives: tuple[ObjectiveConfig, ...] = (
        PhotometricConfig(pixels="observed"),
        PhotometricConfig(pixels="painted"),
        ShapeConfig(),
        DisparityConfig(),
    )
    """What the training minimizes; disparity counts in runs with a depth network. A pixel loss in the holes blurs where views
    disagree: let it count less if the prior paints much detail, beside a perceptual one."""
    samplers: tuple[NovelViewsConfig, ...] = ()
    """Asked for a step's example before the crops are."""
    unobserved: UnobservedConfig = field(default_factory=UnobservedConfig)
    rates: LearningRates = field(
        default_factory=lambda: LearningRates(means=2e-5, means_final=2e-6, scales=2e-3, opacities=2e-2, shN=2e-3)
    )
    """shN = 0 forbids view dependence, in which a fill follows exposures and hides disagreement between views."""

    def __post_init__(self) -> None:
        check_least(self, 1, "rounds", "steps", "denoise_steps", "views")
        if self.growth < 1:
            raise ConfigError(f"growth is {self.growth}, expected at least 1 (no growth)")
        if not 0 <= self.exemplar_weight <= 1:
            raise ConfigError(f"exemplar_weight is {self.exemplar_weight}, expected a share from 0 to 1")


def strength_of_round(number: int, config: FillConfig) -> float:
    """Noise level of a round (from 0): falls with the square root of the rounds done (MALD-NeRF, sec. 3)."""
    share = (number / max(config.rounds - 1, 1)) ** 0.5
    return config.strength_first - (config.strength_first - config.strength_last) * share
