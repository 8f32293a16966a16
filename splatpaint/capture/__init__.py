"""Reading of posed photo captures: several common layouts to one `Capture`."""

from splatpaint.capture.cache import last_prepared
from splatpaint.capture.preparation import CaptureConfig, inputs, load_capture, prepare
from splatpaint.capture.summary import CaptureSummary, inspect

__all__ = ["CaptureConfig", "CaptureSummary", "inputs", "inspect", "last_prepared", "load_capture", "prepare"]
