from itertools import product

import numpy as np

from splatpaint.image.min_cut import best_switch


def energy(switched, stay, switch, first, second, neither, first_only, second_only) -> float:
    one, other = switched[first], switched[second]
    paired = np.select([~one & ~other, one & ~other, ~one & other], [neither, first_only, second_only], 0.0)
    return float(np.where(switched, switch, stay).sum() + paired.sum())


def random_costs(seed: int) -> tuple[np.ndarray, ...]:
    """Ten nodes with random pairs and submodular random costs."""
    rng = np.random.default_rng(seed)
    pairs = np.array([(i, j) for i in range(10) for j in range(i) if rng.random() < 0.4])
    first_only, second_only = rng.random((2, len(pairs)))
    neither = rng.random(len(pairs)) * (first_only + second_only)
    return (*rng.random((2, 10)), pairs[:, 0], pairs[:, 1], neither, first_only, second_only)


def test_no_other_choice_costs_less():
    some = 0
    for seed in range(20):
        given = random_costs(seed)
        found = best_switch(*given)
        least = min(energy(np.array(each), *given) for each in product([False, True], repeat=10))
        assert abs(energy(found, *given) - least) < 1e-2, f"seed {seed}"
        some += int(found.any() and not found.all())
    assert some > 3, "the costs decide nothing"


def test_coupled_nodes_switch_together():
    stay, switch = np.array([1.0, 0.0, 0.1]), np.array([0.0, 0.2, 0.0])
    first, second, nothing = np.array([0, 1]), np.array([1, 2]), np.zeros(2)
    assert best_switch(stay, switch, first, second, nothing, nothing, nothing).tolist() == [True, False, True]
    apart = np.full(2, 0.5)
    assert best_switch(stay, switch, first, second, nothing, apart, apart).all()


def test_uncoupled_nodes_take_their_cheaper_choice():
    none = np.zeros(0, dtype=int)
    free = np.zeros(0)
    assert best_switch(np.array([1.0, 0.0]), np.array([0.0, 1.0]), none, none, free, free, free).tolist() == [True, False]
