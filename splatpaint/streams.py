"""Streams of random numbers by name: what is drawn depends on the run's seed and on the place in the run alone."""

import torch

from splatpaint.errors import ConfigError

MULTIPLIERS = {"round": 1009, "view": 100_003, "epoch": 1_000_003, "step": 1_000_003, "sampler": 10_007}
"""Primes, so that streams of one name do not meet; streams of different names may, which are drawn from for different things.
The draws of published results depend on the values."""

SEEDS = 2**32
"""Seeds of runs are below this; numpy takes no others."""


def check_seed(seed: int) -> None:
    """Refuses a number that is no seed of a run.

    Raises:
        ConfigError: if it is none.
    """
    if not 0 <= seed < SEEDS:
        raise ConfigError(f"seed is {seed}, expected a whole number from 0 to {SEEDS - 1}")


def stream_seed(seed: int, **place: int) -> int:
    """A seed for a place in a run, such as `stream_seed(0, round=1, view=3)`.

    Args:
        seed: of the run.
        place: numbers by the names in `MULTIPLIERS`, from the outer to the inner one.
    """
    for name, number in place.items():
        seed = seed * MULTIPLIERS[name] + number
    return seed % 2**63  # torch takes no larger ones


def generator(seed: int, **place: int) -> torch.Generator:
    """The stream of that place from its beginning, on the CPU."""
    return torch.Generator().manual_seed(stream_seed(seed, **place))
