import numpy as np
import pytest

from splatpaint.formats.smallest_three import SMALL_MAX, with_largest, without_largest


@pytest.mark.parametrize("length", [1e-6, 1.0, 50.0])
def test_quaternions_come_back_up_to_length_and_sign(length: float):
    quats = np.random.default_rng(0).normal(size=(500, 4)).astype("f4")
    quats = np.concatenate([quats, np.eye(4, dtype="f4"), -np.eye(4, dtype="f4"), np.full((1, 4), 0.5, dtype="f4")]) * length
    largest, others = without_largest(quats)
    assert np.abs(others).max() <= SMALL_MAX + 1e-6
    got = with_largest(largest, others)
    unit = quats / np.linalg.norm(quats, axis=1, keepdims=True)
    assert np.abs((got * unit).sum(axis=1)).min() > 1 - 1e-6


def test_a_rotation_of_zero_is_one_in_the_end():
    assert np.isfinite(with_largest(*without_largest(np.zeros((2, 4), dtype="f4")))).all()
