"""Lossless .safetensors files of splats, in any precision and color space."""

import json
import struct
from pathlib import Path

import torch

from splatpaint.atomic import write_bytes
from splatpaint.errors import FormatError
from splatpaint.formats.offset import NO_OFFSET, WORD, Offset, as_text
from splatpaint.reading import UnreadableError, understanding
from splatpaint.scene.splats import Splats

FORMAT = "splatpaint splats 1"
"""Format name in the metadata of the file, next to the color space."""


def write_checkpoint(path: Path, splats: Splats, offset: Offset = NO_OFFSET) -> None:
    """Writes the splats, and what is to be added to their coordinates, if anything; the file is replaced atomically.

    Raises:
        OSError: if the file cannot be written.
    """
    from safetensors.torch import save

    # safetensors refuses tensors that share memory, as slices of one parameter do.
    tensors = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for name, tensor in splats.tensors().items()
    }
    metadata = {"format": FORMAT, "space": splats.space}
    if offset != NO_OFFSET:
        metadata[WORD] = as_text(offset)
    write_bytes(path, _ordered(save(tensors, metadata=metadata)))


def _ordered(content: bytes) -> bytes:
    """The file with its metadata in the order of their names; safetensors writes them in another order every time."""
    (length,) = struct.unpack_from("<Q", content)
    header = json.loads(content[8 : 8 + length])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode().ljust(length)
    return content[:8] + text + content[8 + length :]


def read_checkpoint(path: Path) -> Splats:
    """The splats that `write_checkpoint` wrote, on the CPU.

    Raises:
        FormatError: if the file is damaged or holds something else.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (safe_open is no dict)
    except (SafetensorError, OSError, ValueError) as error:
        raise FormatError(f"{path} cannot be read as .safetensors ({error})") from error
    if metadata.get("format") != FORMAT:
        raise FormatError(f"{path} holds no splats: its metadata says {metadata.get('format')!r}, expected {FORMAT!r}")
    try:
        with understanding():
            space = metadata["space"]
            if space not in ("rgb", "latent") or not all(tensor.is_floating_point() for tensor in tensors.values()):
                raise UnreadableError(f"its space is {space!r}, or its numbers are whole")
            return Splats(**tensors, space=space)
    except UnreadableError as error:
        raise FormatError(f"{path} holds no splats ({error})") from error
