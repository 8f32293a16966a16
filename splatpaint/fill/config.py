"""How the holes are painted: the settings of the fill, and what follows from them round by round."""

from dataclasses import dataclass, field
from typing import Literal

from splatpaint.errors import ConfigError
from splatpaint.fill.novel_views import NovelConfig
from splatpaint.fill.seeding import SeedConfig
from splatpaint.fill.unobserved import UnseenConfig
from splatpaint.fit.parameters import LearningRates
from splatpaint.objectives.adversarial import AdversarialConfig
from splatpaint.objectives.disparity import DisparityConfig
from splatpaint.objectives.distill import DistillConfig
from splatpaint.objectives.perceptual import PerceptualConfig
from splatpaint.objectives.photometric import PhotometricConfig
from splatpaint.objectives.shape import ShapeConfig

STAGE = "inpaint"
"""Its events' name."""


@dataclass(frozen=True)
class InpaintConfig:
    """How the holes are painted."""

    rounds: int = 2
    """Repaint and fit this many times."""
    steps: int = 600
    """Training steps a round."""
    strength_first: float = 1.0
    """Noise level of the first round's repainting, 1 = pure noise."""
    strength_last: float = 1.0
    """And of the last one's. Below 1 a round begins from the rendering and keeps what of it is wrong: measured with the bundled
    prior, painting anew, beside surroundings that have been mended since, was better. A prior that paints other things in every
    view wants less (MALD-NeRF ends at 0.02)."""
    denoise_steps: int = 6
    """Sampler steps from pure noise; a weaker round takes fewer in proportion, one before a finish with pieces of the photos
    takes one."""
    reference: Literal["none", "beside", "warped"] = "none"
    """What is done with other views (see references.py): nothing; a hole is painted beside the view that shows most of it or
    was painted there before; or in the first round what was painted in others is warped into it, and the rest is painted."""
    finish: Literal["auto", "prior", "exemplar"] = "auto"
    """How the last round paints. prior = anew; exemplar = with pieces of the photos (image/shift_map.py), chosen also by the
    colors that the rounds before agreed on, one view after the other, each beginning with what was finished in others;
    auto = exemplar if the prior is one of few steps, as the bundled one, which knows colors and not detail."""
    pieces: float = 0.7
    """So much of a finish with pieces is theirs; the rest are the colors that they were chosen by. No piece is what was there:
    measured, a little haze over it is nearer to that and looks no less like it."""
    views: int = 64
    """At most this many views, evenly spread over those with a hole, are painted and fitted."""
    context: float = 0.25
    """Views are trained in a window around their hole, grown by this share of its size on each side, by `boundary_px` at least."""
    boundary_px: int = 16
    """So far around the holes the photos teach the fill and the boundary what is there."""
    boundary_share: float = 0.8
    """A kept splat belongs to the boundary if this share of what it paints is in the holes or that near to them."""
    leash: bool = True
    """Where a photo shows something farther than `boundary_px` from the holes, its view stays (see fill/preservation.py).
    Without, what the object left there in other splats is mended too, and what mends it shows elsewhere."""
    growth: float = 1.0
    """The fill may grow to so many times its seeds, where the losses pull; 1 = no splat is added or dropped while it learns."""
    min_inside: float = 0.3
    """Fill splats go, before the training and after it, that paint less than this share of their pixels into holes: a seed that
    looks right from afar may stand before the lens of a nearer camera."""
    seed: SeedConfig = field(default_factory=SeedConfig)
    known: PhotometricConfig = field(default_factory=lambda: PhotometricConfig(holes=0.0))
    """Around the holes the rendering shall be as the photo shows it, farther away as it was."""
    painted: PhotometricConfig = field(default_factory=lambda: PhotometricConfig(known=0.0))
    """In the holes it shall be as painted. A pixel loss blurs where views disagree (see objectives/perceptual): let it count
    less if the prior paints much detail."""
    perceptual: PerceptualConfig = field(default_factory=PerceptualConfig)
    shape: ShapeConfig = field(default_factory=ShapeConfig)
    adversarial: AdversarialConfig = field(default_factory=AdversarialConfig)
    distill: DistillConfig = field(default_factory=DistillConfig)
    disparity: DisparityConfig = field(default_factory=DisparityConfig)
    novel: NovelConfig = field(default_factory=NovelConfig)
    unseen: UnseenConfig = field(default_factory=UnseenConfig)
    rates: LearningRates = field(
        default_factory=lambda: LearningRates(means=2e-5, means_final=2e-6, scales=2e-3, opacities=2e-2, shN=2e-3)
    )
    """Photos differ in exposure, which only view dependence (shN) can follow. It is also where a fill hides disagreement
    between views: 0 forbids it."""

    def __post_init__(self) -> None:
        for name in ("rounds", "steps", "denoise_steps", "views"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}, expected at least 1")
        if self.growth < 1:
            raise ConfigError(f"growth is {self.growth}, expected at least 1 (no growth)")
        if not 0 <= self.pieces <= 1:
            raise ConfigError(f"pieces is {self.pieces}, expected a share from 0 to 1")


def name_of_round(number: int, config: InpaintConfig) -> str:
    """As events call it."""
    return f"{STAGE} {number + 1}/{config.rounds}"


def seed_of_round(seed: int, number: int) -> int:
    """Another one for every round of every run."""
    return seed * 1009 + number


def strength_of_round(number: int, config: InpaintConfig) -> float:
    """Noise level of a round (from 0): falls with the square root of the rounds done (MALD-NeRF, sec. 3)."""
    share = (number / max(config.rounds - 1, 1)) ** 0.5
    return config.strength_first - (config.strength_first - config.strength_last) * share
