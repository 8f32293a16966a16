"""Errors caused by user input.

Every message is one sentence: what was given, what was expected, where, and what to do. The command line prints it and exits
with code 2. Wrong use of the library by its caller raises ValueError or TypeError instead.
"""


class SplatpaintError(Exception):
    """Base class of errors that the user can cause and fix."""


class CaptureError(SplatpaintError):
    """A capture folder, its cameras, images or points cannot be used."""


class MaskError(SplatpaintError):
    """Masks do not match the capture, or select no pixel or all pixels."""


class ConfigError(SplatpaintError):
    """A config file or an override names something that does not exist or has the wrong type."""


class DivergedError(SplatpaintError):
    """A training came to numbers that are not finite."""


class FormatError(SplatpaintError):
    """A splat file cannot be read or written."""


class PriorError(SplatpaintError):
    """A generative prior cannot be loaded or is of the wrong kind."""


class RunError(SplatpaintError):
    """A run folder cannot be created, resumed or read."""


class BackendError(SplatpaintError):
    """A rasterizer that was asked for by name does not work on this machine."""


class WeightsError(SplatpaintError):
    """Weights of an image metric are not on this machine."""
