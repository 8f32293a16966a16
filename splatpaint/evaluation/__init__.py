"""Image metrics by region, multi-view consistency, and distances between sets of images."""

from splatpaint.evaluation.metrics import psnr
from splatpaint.evaluation.scorecard import Pair, Scorecard, evaluate

__all__ = ["Pair", "Scorecard", "evaluate", "psnr"]
