"""Which of many coupled pixels shall change together: a minimum cut (Boykov et al. 2001, Fast Approximate Energy Minimization
via Graph Cuts, sec. 5: the expansion move)."""

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order, maximum_flow

UNITS = 10_000
"""Capacities are whole numbers: so many make a cost of one."""
MOST = 2**28
"""Of them; no cost is higher."""


def best_switch(
    stay: Float[ndarray, " n"],
    switch: Float[ndarray, " n"],
    first: Int[ndarray, " e"],
    second: Int[ndarray, " e"],
    neither: Float[ndarray, " e"],
    first_only: Float[ndarray, " e"],
    second_only: Float[ndarray, " e"],
) -> Bool[ndarray, " n"]:
    """Which of n elements switch, at the least sum of costs.

    Args:
        stay: cost of every element if it stays.
        switch: and if it switches.
        first: of every pair of elements that are coupled, one.
        second: the other.
        neither: what the pair costs beside if neither switches; if both do it costs nothing.
        first_only: if only the first does.
        second_only: if only the second does. With `first_only` at least as much as `neither`, or the result is not the best.
    """
    count = len(stay)
    staying, switching = stay.copy(), switch.copy()
    # neither + (first_only - neither) x_1 - first_only x_2 + (first_only + second_only - neither) (1 - x_1) x_2
    np.add.at(switching, first, first_only - neither)
    np.add.at(switching, second, -first_only)
    least = np.minimum(staying, switching)
    source, sink = np.full(count, count), np.full(count, count + 1)
    each = np.arange(count)
    starts, ends = np.concatenate([source, each, first]), np.concatenate([each, sink, second])
    costs = np.concatenate([switching - least, staying - least, np.maximum(first_only + second_only - neither, 0)])
    capacities = np.minimum(np.rint(costs * UNITS), MOST).astype(np.int32)
    used = capacities > 0
    graph = coo_array((capacities[used], (starts[used], ends[used])), shape=(count + 2, count + 2)).tocsr()
    rest = graph - maximum_flow(graph, count, count + 1).flow
    rest.data = np.maximum(rest.data, 0)
    rest.eliminate_zeros()
    switched = np.ones(count + 2, dtype=bool)
    switched[breadth_first_order(rest, count, return_predecessors=False)] = False
    return switched[:count]
