"""Expansion moves by minimum cut (Boykov et al. 2001, Fast Approximate Energy Minimization via Graph Cuts, sec. 5)."""

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order, maximum_flow

UNITS = 10_000
"""Integer capacity of an edge of cost 1."""
MAX_CAPACITY = 2**28
"""Largest capacity of an edge; larger costs are clamped. Capacities are 32-bit integers."""


def best_switch(
    stay: Float[ndarray, " n"],
    switch: Float[ndarray, " n"],
    first: Int[ndarray, " e"],
    second: Int[ndarray, " e"],
    neither: Float[ndarray, " e"],
    first_only: Float[ndarray, " e"],
    second_only: Float[ndarray, " e"],
) -> Bool[ndarray, " n"]:
    """The choice between staying and switching, for each of n nodes, that minimizes the sum of unary and pairwise costs.

    Args:
        stay: unary cost of each node if it stays.
        switch: unary cost of each node if it switches.
        first: index of the first node of each coupled pair.
        second: index of the second node.
        neither: pairwise cost if neither node switches. The cost is 0 if both switch.
        first_only: pairwise cost if only the first node switches.
        second_only: pairwise cost if only the second node switches. The result is optimal if `first_only + second_only` is at
            least `neither` in every pair (submodular costs).

    Returns:
        True for the nodes that switch.
    """
    count = len(stay)
    staying, switching = stay.copy(), switch.copy()
    # neither + (first_only - neither) x_1 - first_only x_2 + (first_only + second_only - neither) (1 - x_1) x_2
    np.add.at(switching, first, first_only - neither)
    np.add.at(switching, second, -first_only)
    smaller = np.minimum(staying, switching)
    source, sink = np.full(count, count), np.full(count, count + 1)
    each = np.arange(count)
    starts, ends = np.concatenate([source, each, first]), np.concatenate([each, sink, second])
    costs = np.concatenate([switching - smaller, staying - smaller, np.maximum(first_only + second_only - neither, 0)])
    capacities = np.minimum(np.rint(costs * UNITS), MAX_CAPACITY).astype(np.int32)
    used = capacities > 0
    graph = coo_array((capacities[used], (starts[used], ends[used])), shape=(count + 2, count + 2)).tocsr()
    residual = graph - maximum_flow(graph, count, count + 1).flow
    residual.data = np.maximum(residual.data, 0)
    residual.eliminate_zeros()
    switched = np.ones(count + 2, dtype=bool)
    switched[breadth_first_order(residual, count, return_predecessors=False)] = False
    return switched[:count]
