"""What can go wrong because of what a user gave us.

Every message is one sentence that says what was given, what was expected, where, and what to do. The command line prints it and
exits with code 2. What a *caller* of the library gets wrong is a plain ValueError or TypeError instead.
"""


class SplatpaintError(Exception):
    """Root of every error that a user can cause and mend."""


class CaptureError(SplatpaintError):
    """A capture folder, its cameras, images or points cannot be used."""


class MaskError(SplatpaintError):
    """Masks do not match the capture, or mark nothing, or everything."""


class ConfigError(SplatpaintError):
    """A config file or an override names something that does not exist or has the wrong type."""


class FormatError(SplatpaintError):
    """A splat file cannot be read or written."""


class PriorError(SplatpaintError):
    """A generative prior cannot be loaded or is of the wrong kind."""


class RunError(SplatpaintError):
    """A run folder cannot be created, resumed or read."""


class BackendError(SplatpaintError):
    """A rasterizer that was asked for by name does not work on this machine."""


class WeightsError(SplatpaintError):
    """Weights of a network that judges pictures are not on this machine."""
