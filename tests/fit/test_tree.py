from dataclasses import dataclass

import torch
from torch import Tensor

from splatpaint.fit.tree import from_tree, to_tree


@dataclass(frozen=True, eq=False)
class Leaf:
    values: Tensor
    name: str | None = None


@dataclass(frozen=True, eq=False)
class Branch:
    leaves: tuple[Leaf, ...]
    best: Leaf | None
    rest: dict
    size: tuple[float, ...] = (1.0, 2.0)


def test_a_tree_becomes_what_it_was():
    branch = Branch((Leaf(torch.arange(3)), Leaf(torch.ones(2), "b")), None, {"betas": (0.9, 0.999), "steps": [1, 2]})
    again = from_tree(Branch, to_tree(branch))
    assert isinstance(again.leaves[1], Leaf)
    assert torch.equal(again.leaves[0].values, torch.arange(3))
    assert (again.leaves[1].name, again.leaves[0].name, again.best) == ("b", None, None)
    assert again.rest == {"betas": (0.9, 0.999), "steps": [1, 2]}
    assert again.size == (1.0, 2.0)


def test_a_tree_is_made_of_plain_values():
    tree = to_tree(Branch((Leaf(torch.ones(1), "a"),), Leaf(torch.zeros(1)), {}))
    assert type(tree) is dict
    assert type(tree["leaves"][0]) is dict
    assert tree["best"]["name"] is None
