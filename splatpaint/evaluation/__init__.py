"""Renders against truths: regions, metrics, scorecards."""

from splatpaint.evaluation.metrics import psnr
from splatpaint.evaluation.scorecard import Pair, Scorecard, evaluate, table

__all__ = ["Pair", "Scorecard", "evaluate", "psnr", "table"]
