"""The state of an interrupted optimization on disk."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch

from splatpaint.atomic import write_tensors
from splatpaint.errors import RunError
from splatpaint.reading import UnreadableError, read_tensors, understanding


@runtime_checkable
class Stateful(Protocol):
    """What a checkpoint carries beside the splats: discriminators, density control, exposures."""

    def state(self) -> dict[str, Any]:
        """All that `restore` needs to continue exactly here: tensors and plain values."""
        ...

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continues from what `state` returned."""
        ...


def save_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Writes tensors and plain values, together with the state of torch's random generator.

    Raises:
        OSError: if the file cannot be written; the previous one is then still there.
    """
    write_tensors(path, {**state, "random": torch.get_rng_state()})


def load_checkpoint(path: Path, device: torch.device) -> dict[str, Any] | None:
    """What `save_checkpoint` wrote, with the random generator put back; None if there is no such file.

    Raises:
        RunError: if the file is not a checkpoint.
    """
    if not path.exists():
        return None
    with restoring(path):
        state = read_tensors(path, device)
        torch.set_rng_state(state.pop("random").cpu())
        return state


@contextmanager
def restoring(path: Path) -> Iterator[None]:
    """Within it a checkpoint is taken apart: whatever it lacks, or has in another shape, is an error of the file.

    Raises:
        RunError: if the block cannot be run to its end.
    """
    try:
        with understanding():
            yield
    except UnreadableError as error:
        raise RunError(
            f"{path} is no checkpoint that can be continued ({error}): delete it to start its stage again"
        ) from error
