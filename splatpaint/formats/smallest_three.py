"""Quaternions without their largest component, which follows from the others up to a sign that turns nothing."""

import numpy as np
from jaxtyping import Float, Int64

SMALL_MAX = 2**-0.5
"""No component of a unit quaternion but the largest is larger."""
LENGTH_MIN = 1e-12
"""Shorter quaternions are not normalized."""


def without_largest(quats: Float[np.ndarray, "n 4"]) -> tuple[Int64[np.ndarray, " n"], Float[np.ndarray, "n 3"]]:
    """The index of the largest component of each quaternion, and the others, signed as if the largest were positive."""
    quats = quats / np.maximum(np.linalg.norm(quats, axis=1, keepdims=True), LENGTH_MIN)
    largest = np.abs(quats).argmax(axis=1)
    quats = quats * np.where(np.take_along_axis(quats, largest[:, None], axis=1) < 0, -1, 1)
    return largest, quats[np.arange(4) != largest[:, None]].reshape(-1, 3)


def with_largest(largest: Int64[np.ndarray, " n"], others: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 4"]:
    """Unit quaternions, the inverse of `without_largest`."""
    quats = np.empty((len(others), 4), dtype=np.float32)
    is_largest = np.arange(4) == largest[:, None]
    quats[is_largest] = np.sqrt(np.maximum(1 - np.square(others).sum(axis=1), 0))
    quats[~is_largest] = others.ravel()
    return quats
