"""The training loop's state that codec and denoiser share: network, optimizer, running average, checkpoint."""

import copy
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from splatpaint.atomic import write_tensors, write_text
from splatpaint.errors import PriorError
from splatpaint.priors.networks import Network
from splatpaint.reading import UnreadableError, read_tensors, understanding

WARMUP_STEPS = 50
"""Steps over which the learning rate rises from zero."""
COOLDOWN_SHARE = 1 / 3
"""Share of all steps, at the end, over which the learning rate falls to zero. It gains what a cosine schedule gains, and the
first part of a run does not depend on its length."""
AVERAGE_DECAY = 0.999
"""Largest decay of the running average of the weights; it starts smaller (Polyak averaging with warm-up)."""
MAX_GRADIENT_NORM = 1.0
CURVE_FILE = "losses.csv"
CURVE_EVERY = 100
"""Steps whose mean loss is one line of the loss curve."""


def step_generators(seed: int, step: int) -> tuple[np.random.Generator, torch.Generator]:
    """The random generators of one step. They depend on seed and step alone, so a resumed training draws the same numbers."""
    rng = np.random.default_rng([seed, step])
    return rng, torch.Generator().manual_seed(int(rng.integers(2**62)))


def diverged(stage: str, step: int, learning_rate: float) -> PriorError:
    """The error for a loss that is not finite."""
    return PriorError(f"training the {stage} diverged at step {step}: lower its learning rate (now {learning_rate:g})")


class Training:
    """A network in training: mixed precision and device by accelerate, AdamW, running average, atomic checkpoints.

    Attributes:
        device: chosen by accelerate.
        model: the network.
        step: optimizer steps done.
        companion: state of the training that was saved in the same checkpoint; None if there was none.
    """

    def __init__(self, model: Network, learning_rate: float, steps: int, precision: str, path: Path | None) -> None:
        """Sets up the training, and restores it if its checkpoint exists.

        Args:
            model: the network.
            learning_rate: highest learning rate.
            steps: optimizer steps in all.
            precision: accelerate's mixed precision, "no" or "bf16".
            path: of the checkpoint; None = it is saved in another training's checkpoint, and restored from there.
        """
        from accelerate import Accelerator
        from accelerate.state import AcceleratorState

        # accelerate keeps one state per process and refuses a second training of another precision.
        AcceleratorState._reset_state()
        self._accelerator = Accelerator(mixed_precision=precision)
        self.device = self._accelerator.device
        self.model = model.to(self.device).train()
        self._average = copy.deepcopy(model).eval().requires_grad_(False)
        self._optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, betas=(0.9, 0.99), weight_decay=1e-3)
        self._learning_rate, self._steps, self._path = learning_rate, steps, path
        self.step = 0
        self._losses: list[float] = []
        self.companion: dict | None = None
        if path is not None and path.exists():
            try:
                with understanding():
                    state = read_tensors(path, self.device)
                    self.restore(state)
                    self.companion = state.get("companion")
            except UnreadableError as error:
                raise PriorError(
                    f"{path} is no checkpoint that can be continued ({error}): delete it to start the training again"
                ) from error

    def autocast(self) -> AbstractContextManager:
        """The mixed precision of forward passes."""
        return self._accelerator.autocast()

    def update(self, loss: Tensor) -> float:
        """One optimizer step; returns the loss."""
        for group in self._optimizer.param_groups:
            group["lr"] = self._learning_rate * self._rate()
        self._optimizer.zero_grad()
        self._accelerator.backward(loss)
        nn.utils.clip_grad_norm_(self.model.parameters(), MAX_GRADIENT_NORM)
        self._optimizer.step()
        self.step += 1
        decay = min(AVERAGE_DECAY, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for slow, fast in zip(self._average.parameters(), self.model.parameters(), strict=True):
                slow.lerp_(fast, 1 - decay)
        self._losses.append(float(loss.detach()))
        return self._losses[-1]

    def _rate(self) -> float:
        left = (self._steps - self.step) / (self._steps * COOLDOWN_SHARE)
        return min(1.0, (self.step + 1) / WARMUP_STEPS, left)

    def averaged(self) -> Network:
        """The network with the running average of its weights."""
        return self._average

    def state(self) -> dict:
        """The state that `restore` takes."""
        return {
            "model": self.model.state_dict(),
            "average": self._average.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "step": self.step,
            "losses": self._losses,
        }

    def restore(self, state: dict) -> None:
        """Continues from a state that `state` returned."""
        self.model.load_state_dict(state["model"])
        self._average.load_state_dict(state["average"])
        self._optimizer.load_state_dict(state["optimizer"])
        self.step, self._losses = state["step"], list(state["losses"])

    def write_curve(self, file: Path) -> None:
        """Writes the loss by step as CSV; each line is the mean of the steps since the line before."""
        pieces = [self._losses[begin : begin + CURVE_EVERY] for begin in range(0, len(self._losses), CURVE_EVERY)]
        steps = (min((number + 1) * CURVE_EVERY, len(self._losses)) for number in range(len(pieces)))
        lines = [f"{step},{sum(piece) / len(piece):.6f}" for step, piece in zip(steps, pieces, strict=True)]
        write_text(file, "\n".join(["step,loss", *lines]) + "\n")

    def save(self, companion: "Training | None" = None) -> None:
        """Writes the checkpoint, with the state of a second training in it if one is given.

        Raises:
            OSError: if it cannot be written; the previous one is then still there.
        """
        assert self._path is not None, "a training without a file is saved as another's companion"
        write_tensors(self._path, self.state() | ({"companion": companion.state()} if companion else {}))
