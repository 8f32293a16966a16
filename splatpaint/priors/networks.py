"""Imports diffusers and transformers on first use.

They load classes lazily and build configs at run time, which a type checker cannot follow, so both are typed `Any`. Their
logging to the terminal is limited to errors.
"""

import re
from importlib import import_module
from pathlib import Path
from typing import Any

from splatpaint.errors import PriorError
from splatpaint.reading import UnreadableError, read_json, understanding

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
"""Names of models on the Hugging Face hub: owner/name. A path that begins with a dot, a slash or `~` is none."""
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


def from_folder(kind: Any, folder: Path, **options: Any) -> Any:
    """A network, scheduler or tokenizer of diffusers or transformers from a folder on this machine; no hub is ever asked.

    Args:
        kind: the class.
        folder: of the files.
        options: of the class's `from_pretrained`.

    Raises:
        PriorError: if the folder holds none, or one that is damaged.
    """
    try:
        with understanding():
            return kind.from_pretrained(folder, local_files_only=True, **options)
    except UnreadableError as error:
        raise PriorError(
            f"{folder} cannot be loaded as {kind.__name__} ({error}): complete the folder, or name another"
        ) from error


def read_settings(file: Path) -> dict[str, Any]:
    """The JSON object in a file of a prior.

    Raises:
        PriorError: if there is none.
    """
    try:
        settings = read_json(file)
        if not isinstance(settings, dict):
            raise UnreadableError("it is no object")
    except UnreadableError as error:
        raise PriorError(f"{file} cannot be read ({error}): complete the folder, or name another") from error
    return settings
