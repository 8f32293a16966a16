"""Renders against truths: regions, metrics, scorecards."""

from splatpaint.evaluation.metrics import psnr
from splatpaint.evaluation.scorecard import Pair, Scorecard, evaluate

__all__ = ["Pair", "Scorecard", "evaluate", "psnr"]
