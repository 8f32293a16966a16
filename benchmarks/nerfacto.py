"""Runs nerfstudio's nerfacto, a common NeRF, in a separate environment.

    python -m benchmarks.nerfacto [ENVIRONMENT]

makes that environment and says whether it works; the benchmarks that compare with nerfacto do so themselves when they first
need it. nerfstudio wants other versions (numpy 1) than splatpaint, hence a virtual environment, of some gigabytes. The work is
done by nerfacto_worker.py, which runs in there and knows nothing of splatpaint.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from splatpaint.image.files import read_image

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = ROOT / ".venv-nerfacto"
WORKER = Path(__file__).with_name("nerfacto_worker.py")
REQUIREMENTS = (f"torch=={torch.__version__.split('+')[0]}", "numpy<2", "nerfstudio==1.1.5")


class NerfactoError(Exception):
    """nerfacto cannot be run on this machine, with the reason."""


@dataclass(frozen=True)
class Nerfacto:
    """The renders of a fitted nerfacto."""

    folder: Path
    """Of the drawn views."""
    steps: int
    seconds: float
    """Of training."""

    def color(self, name: str) -> Float[Tensor, "1 3 h w"]:
        """The rendered image of a view."""
        return read_image(self.folder / f"{name}.png")[None]

    def depth(self, name: str) -> Float[Tensor, "1 1 h w"]:
        """The z-depth of a view, in units of the capture's input frame."""
        return torch.from_numpy(np.load(self.folder / f"{name}.npy"))[None, None]


def fit_nerfacto(
    capture: Path,
    poses: Path,
    out: Path,
    *,
    names: Sequence[str],
    seconds: float,
    seed: int,
    environment: Path = ENVIRONMENT,
) -> Nerfacto:
    """Fits nerfacto for the given seconds, unless it is done, and renders views.

    Args:
        capture: a folder as `write_capture` makes it; its photos are fitted.
        poses: a transforms.json with the cameras that are drawn.
        out: where to.
        names: of the views that are drawn.
        seconds: of training.
        seed: of the weights and of the rays.
        environment: nerfstudio's; made if it is not there.

    Raises:
        NerfactoError: if nerfstudio cannot be installed or does not work on this machine.
    """
    done = out / "fitted.json"
    if not done.exists():
        python = prepared(environment)
        arguments = [capture, "--poses", poses, "-o", out, "--seconds", seconds, "--seed", seed, "--draw", *names]
        _call([python, WORKER, *arguments], "nerfacto does not work here")
    record = json.loads(done.read_text())
    return Nerfacto(out, record["steps"], record["seconds"])


def prepared(environment: Path) -> Path:
    """The Python of the environment, which is created if missing.

    Raises:
        NerfactoError: if that fails.
    """
    python, complete = environment / "bin" / "python", environment / ".complete"
    if not complete.exists():
        _call([sys.executable, "-m", "venv", environment], "no virtual environment can be made")
        _call([python, "-m", "pip", "install", "-q", *REQUIREMENTS], "nerfstudio cannot be installed")
        _call([python, WORKER, "--help"], "nerfstudio was installed but cannot be imported")
        complete.touch()
    return python


def _call(command: list[object], failure: str) -> None:
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if result.returncode:
        said = (result.stderr or result.stdout).strip().splitlines()
        raise NerfactoError(f"{failure}: {said[-1] if said else f'exit code {result.returncode}'}")


if __name__ == "__main__":
    where = Path(sys.argv[1]) if len(sys.argv) > 1 else ENVIRONMENT
    try:
        print(f"nerfacto runs with {prepared(where)}")
    except NerfactoError as reason:
        raise SystemExit(f"nerfacto is not available: {reason}") from None
