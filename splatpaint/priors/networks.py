"""Imports diffusers and transformers on first use.

They load classes lazily and build configs at run time, which a type checker cannot follow, so both are typed `Any`. Their
logging to the terminal is limited to errors.
"""

from importlib import import_module
from typing import Any

Network = Any
"""A torch module of diffusers or transformers."""


def diffusers() -> Any:
    """The package diffusers."""
    package: Any = import_module("diffusers")
    package.utils.logging.set_verbosity_error()
    return package


def transformers() -> Any:
    """The package transformers."""
    package: Any = import_module("transformers")
    package.utils.logging.set_verbosity_error()
    package.utils.logging.disable_progress_bar()
    return package


def plain_attention() -> Any:
    """diffusers' attention without torch's fused kernels."""
    return import_module("diffusers.models.attention_processor").AttnProcessor()
