"""Frozen dataclasses of tensors as nested dicts and lists, which a checkpoint can hold, and back."""

import dataclasses
import types
import typing
from typing import Any


def to_tree(value: Any) -> Any:
    """Dataclasses as dicts of their fields, all the way down; tensors and plain values as they are."""
    match value:
        case _ if dataclasses.is_dataclass(value):
            return {each.name: to_tree(getattr(value, each.name)) for each in dataclasses.fields(value)}
        case dict():
            return {name: to_tree(item) for name, item in value.items()}
        case tuple():
            return tuple(to_tree(item) for item in value)
        case list():
            return [to_tree(item) for item in value]
        case _:
            return value


def from_tree(hint: Any, tree: Any) -> Any:
    """The value whose `to_tree` the tree is.

    Args:
        hint: its type: a dataclass, a tuple of one kind of item (`tuple[Item, ...]`), an optional, or anything else for a value
            that is taken as it is.
        tree: from `to_tree`.

    Raises:
        KeyError: if the tree has a field that the dataclass does not have.
        TypeError: if it lacks one.
    """
    origin, choices = typing.get_origin(hint), typing.get_args(hint)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        hints = typing.get_type_hints(hint)
        return hint(**{name: from_tree(hints[name], item) for name, item in tree.items()})
    if origin is tuple:
        return tuple(from_tree(choices[0], item) for item in tree)
    if origin in (typing.Union, types.UnionType):
        return None if tree is None else from_tree(next(choice for choice in choices if choice is not type(None)), tree)
    return tree
