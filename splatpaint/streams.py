"""Streams of random numbers by name."""

import hashlib

import torch


def stream_seed(seed: int, *name: str | int) -> int:
    """A seed for the stream of that name; other names or seeds give unrelated ones. The same on every machine."""
    words = "/".join(str(part) for part in (seed, *name))
    return int.from_bytes(hashlib.blake2b(words.encode(), digest_size=7).digest(), "big")


def generator(seed: int, *name: str | int) -> torch.Generator:
    """The stream of that name from its beginning, on the CPU."""
    return torch.Generator().manual_seed(stream_seed(seed, *name))
