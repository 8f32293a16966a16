"""Renders against truths: regions, metrics, scorecards."""

from splatpaint.evaluation.metrics import psnr
from splatpaint.evaluation.scorecard import Pair, Scorecard, evaluate, read_scorecard, table

__all__ = ["Pair", "Scorecard", "evaluate", "psnr", "read_scorecard", "table"]
