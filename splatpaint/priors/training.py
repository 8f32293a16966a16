"""A network in training, its optimizer, running average and checkpoint: what both halves of the prior's training share."""

import copy
import os
from contextlib import AbstractContextManager
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from splatpaint.errors import PriorError
from splatpaint.priors.networks import Network

WARMUP_STEPS = 50
COOLDOWN_SHARE = 1 / 3
"""Of all steps, over which the learning rate falls to zero: long enough to gain what a cosine gains, and the first part of a
run does not depend on its length."""
AVERAGE_DECAY = 0.999
"""Of the running average of the weights at its slowest; it starts faster (Polyak averaging with warm-up)."""
LARGEST_GRADIENT = 1.0
CURVE_FILE = "losses.csv"
CURVE_EVERY = 100
"""Steps whose mean loss is one line of a curve."""


def draws(seed: int, step: int) -> tuple[np.random.Generator, torch.Generator]:
    """The random streams of one step. They depend on nothing before it, so a continued run sees what an unbroken one sees."""
    rng = np.random.default_rng([seed, step])
    return rng, torch.Generator().manual_seed(int(rng.integers(2**62)))


def diverged(stage: str, step: int, learning_rate: float) -> PriorError:
    """What to say when a loss is no longer a number."""
    return PriorError(f"training the {stage} diverged at step {step}: lower its learning rate (now {learning_rate:g})")


class Training:
    """Steps a network: mixed precision and device by accelerate, AdamW, a running average, atomic checkpoints.

    A checkpoint that exists at `path` is continued. Without a path it is saved beside another, and restored from there.
    """

    def __init__(self, model: Network, learning_rate: float, steps: int, precision: str, path: Path | None) -> None:
        from accelerate import Accelerator
        from accelerate.state import AcceleratorState

        # accelerate keeps one state a process and would refuse a second training of another precision.
        AcceleratorState._reset_state()
        self._accelerator = Accelerator(mixed_precision=precision)
        self.device = self._accelerator.device
        self.model = model.to(self.device).train()
        self._average = copy.deepcopy(model).eval().requires_grad_(False)
        self._optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, betas=(0.9, 0.99), weight_decay=1e-3)
        self._learning_rate, self._steps, self._path = learning_rate, steps, path
        self.step = 0
        self._losses: list[float] = []
        self.beside: dict | None = None
        """State of what was saved beside it, if it is continued."""
        if path is not None and path.exists():
            state = torch.load(path, map_location=self.device, weights_only=True)
            self.restore(state)
            self.beside = state.get("beside")

    def autocast(self) -> AbstractContextManager:
        """The mixed precision that forward passes run in."""
        return self._accelerator.autocast()

    def update(self, loss: Tensor) -> float:
        """One optimizer step; the loss as a number."""
        for group in self._optimizer.param_groups:
            group["lr"] = self._learning_rate * self._rate()
        self._optimizer.zero_grad()
        self._accelerator.backward(loss)
        nn.utils.clip_grad_norm_(self.model.parameters(), LARGEST_GRADIENT)
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
        """Everything that changes."""
        return {
            "model": self.model.state_dict(),
            "average": self._average.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "step": self.step,
            "losses": self._losses,
        }

    def restore(self, state: dict) -> None:
        """What `state` gave."""
        self.model.load_state_dict(state["model"])
        self._average.load_state_dict(state["average"])
        self._optimizer.load_state_dict(state["optimizer"])
        self.step, self._losses = state["step"], list(state["losses"])

    def write_curve(self, file: Path) -> None:
        """The loss by step, each line the mean of those up to it."""
        pieces = [self._losses[begin : begin + CURVE_EVERY] for begin in range(0, len(self._losses), CURVE_EVERY)]
        steps = (min((number + 1) * CURVE_EVERY, len(self._losses)) for number in range(len(pieces)))
        lines = [f"{step},{sum(piece) / len(piece):.6f}" for step, piece in zip(steps, pieces, strict=True)]
        file.write_text("\n".join(["step,loss", *lines]) + "\n")

    def save(self, beside: "Training | None" = None) -> None:
        """Writes the checkpoint, with another training's state in it; a crash while writing leaves the previous one."""
        assert self._path is not None, "what has no file is saved beside something that has"
        self._path.parent.mkdir(parents=True, exist_ok=True)
        partial = self._path.with_suffix(".partial")
        whole = BytesIO()
        torch.save(self.state() | ({"beside": beside.state()} if beside else {}), whole)
        partial.write_bytes(whole.getbuffer())  # written by Python, a full disk is an OSError and says so
        os.replace(partial, self._path)
