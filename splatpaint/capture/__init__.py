"""Posed photo captures: every common layout in, one `Capture` out."""

from splatpaint.capture.preparation import CaptureConfig, prepare
from splatpaint.capture.summary import CaptureSummary, inspect

__all__ = ["CaptureConfig", "CaptureSummary", "inspect", "prepare"]
