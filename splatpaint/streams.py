"""Streams of random numbers by name: what is drawn depends on the run's seed and on the place in the run alone."""

import torch

MULTIPLIERS = {"round": 1009, "view": 100_003, "epoch": 1_000_003, "step": 1_000_003, "sampler": 10_007}
"""Primes, so that streams of one name do not meet; streams of different names may, which are drawn from for different things.
The draws of published results depend on the values."""


def stream_seed(seed: int, **place: int) -> int:
    """A seed for a place in a run, such as `stream_seed(0, round=1, view=3)`.

    Args:
        seed: of the run.
        place: numbers by the names in `MULTIPLIERS`, from the outer to the inner one.
    """
    for name, number in place.items():
        seed = seed * MULTIPLIERS[name] + number
    return seed


def generator(seed: int, **place: int) -> torch.Generator:
    """The stream of that place from its beginning, on the CPU."""
    return torch.Generator().manual_seed(stream_seed(seed, **place))
