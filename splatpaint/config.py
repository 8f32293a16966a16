"""Conversion between config trees (nested dicts and lists, as in YAML) and nested frozen dataclasses.

Each module defines its own frozen dataclass; this module builds them. A tree contains only the differences from the defaults: a
mapping is merged into the default of its field, a list replaces it. The members of a union of dataclasses are distinguished by
`kind: Literal["..."] = "..."`. Numbers are finite and not negative: no setting means anything below zero. Every error is a
ConfigError that begins with the dotted path of the wrong value.
"""

import difflib
import hashlib
import json
import re
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, Union

import yaml

from splatpaint.errors import ConfigError
from splatpaint.reading import UnreadableError, read_text

Config = TypeVar("Config")
Tree = dict[str, Any]
LARGEST_FILE = 64_000
"""Bytes of a config file; all settings with their defaults have 3,000, and the parser takes a second for so many."""
DEEPEST = 20
"""Levels of nesting in YAML; settings have six."""
MOST_DIGITS = 100
"""Of a whole number."""
SHOWN_CHARACTERS = 100
"""Of a value or a key in an error message."""
LARGEST = 1e30
"""No setting is larger; single precision ends at 3e38."""


def load(cls: type[Config], file: Path | None = None, overrides: Iterable[str] = ()) -> Config:
    """The config: defaults, overridden by a file (if any) and then by `a.b=c` assignments.

    Raises:
        ConfigError: if the file cannot be read, or a key or a value does not fit `cls`.
    """
    config = from_tree(cls, load_tree(file) if file else {})
    for assignment in overrides:
        config = from_tree(cls, override(to_tree(config), assignment))
    return config


def from_tree(cls: type[Config], tree: Mapping[str, Any], where: str = "") -> Config:
    """An instance of the dataclass `cls` with the tree's values in place of the defaults.

    Args:
        cls: a frozen dataclass whose fields are numbers, strings, paths, literals, optionals, tuples, dataclasses, or unions of
            dataclasses that have a `kind`.
        tree: the differences from the defaults.
        where: dotted path of the tree, for error messages.

    Raises:
        ConfigError: on a key that `cls` does not have, a missing key, or a value of the wrong type.
    """
    return _dataclass(cls, tree, where, default=None)


def to_tree(config: Any) -> Any:
    """Plain dicts, lists and scalars that `from_tree` turns back into an equal config; all fields are written out."""
    if is_dataclass(config):
        return {field.name: to_tree(getattr(config, field.name)) for field in fields(config)}
    if isinstance(config, tuple):
        return [to_tree(item) for item in config]
    return str(config) if isinstance(config, Path) else config


def load_tree(path: Path) -> Tree:
    """The mapping in a YAML file.

    Raises:
        ConfigError: if there is no such file, it is not YAML, or it is not a mapping of keys to values.
    """
    try:
        tree = parse(read_text(path, at_most=LARGEST_FILE))
    except UnreadableError as error:
        raise ConfigError(f"the config file {path} cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not valid YAML: {_clipped(' '.join(str(error).split()))}") from error
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ConfigError(f"{path} holds {_shown(tree)}, expected a mapping such as `inpaint: {{steps: 2000}}`")
    return tree


def check_least(config: Any, least: int, *names: str) -> None:
    """Refuses a config of which one of these fields is smaller.

    Raises:
        ConfigError: if one is.
    """
    for name in names:
        if getattr(config, name) < least:
            raise ConfigError(f"{name} is {getattr(config, name)}, expected at least {least}")


def dump(config: Any) -> str:
    """The whole config as YAML text."""
    return yaml.dump(to_tree(config), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


def digest(config: Any) -> str:
    """A hash of 16 hexadecimal digits; equal if all values of the configs are equal."""
    return hashlib.sha256(json.dumps(to_tree(config), sort_keys=True).encode()).hexdigest()[:16]


def override(tree: Tree, assignment: str) -> Tree:
    """A copy of the tree with one `a.b[0].c=value` applied; the value is read as YAML.

    `a.b+=value` appends to a list. Setting a `kind` to something new drops the fields beside it, for they belong to the old
    kind.

    Raises:
        ConfigError: if the assignment has no `=`, or its path leads through a plain value or beyond the end of a list.
    """
    dotted, equals, text = assignment.partition("=")
    dotted, appends = dotted.strip().removesuffix("+"), dotted.strip().endswith("+")
    steps = re.sub(r"\[(\d+)\]", r".\1", dotted).split(".")
    if not equals or not all(steps):
        raise ConfigError(f"{_shown(assignment)} is not of the form key.subkey=value")
    try:
        value = parse(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{_clipped(dotted)}: {_shown(text)} is not a YAML value") from error
    if appends:
        value = [*_list_at(tree, steps, dotted), value]
    return _assigned(tree, steps, value, done="")


def _list_at(tree: Any, steps: Sequence[str], dotted: str) -> list[Any]:
    for step in steps:
        match tree:
            case dict():
                tree = tree.get(step)
            case list() if step.isdigit() and int(step) < len(tree):
                tree = tree[int(step)]
            case _:
                tree = None
    if not isinstance(tree, list):
        raise ConfigError(f"{dotted}: is no list, so nothing can be added to it with +=")
    return tree


def differences(old: Any, new: Any, where: str = "") -> list[str]:
    """`path: old -> new` for every leaf in which two trees differ."""
    if isinstance(old, dict) and isinstance(new, dict):
        return [
            line
            for key in [*old, *(key for key in new if key not in old)]
            for line in differences(old.get(key), new.get(key), _joined(where, key))
        ]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = enumerate(zip(old, new, strict=True))
        return [line for i, (before, after) in pairs for line in differences(before, after, f"{where}[{i}]")]
    return [] if old == new else [f"{where}: {_shown(old)} -> {_shown(new)}"]


class _Loader(yaml.SafeLoader):
    """A loader for the core scalars of YAML 1.2: `1e-4` is a number, `no` and `12:30` are strings. Duplicate keys are errors;
    so are anchors, tags and deep nesting: no config needs them, and a few bytes with them can say gigabytes, or never end."""

    yaml_implicit_resolvers: typing.ClassVar = {}
    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()
        anchor, tag = getattr(event, "anchor", None), getattr(event, "tag", None)
        if anchor is not None or tag is not None:
            what = f"the anchor or alias {anchor!r}" if anchor is not None else f"the tag {tag!r}"
            raise yaml.constructor.ConstructorError(None, None, f"{_clipped(what)} is not supported", event.start_mark)
        if self.depth >= DEEPEST:
            raise yaml.constructor.ConstructorError(None, None, f"more than {DEEPEST} levels of nesting", event.start_mark)
        self.depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if str(key.value) in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key.value!r} is given twice", key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


_SCALARS = {
    "null": (r"~|null|Null|NULL|", "~nN"),
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "int": (r"[-+]?[0-9]+", "-+0123456789"),
    "float": (
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
}
for _tag, (_pattern, _first) in _SCALARS.items():
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), ["", *_first])


def _whole_number(_: Any, node: Any) -> int:
    if len(node.value) > MOST_DIGITS:
        raise yaml.constructor.ConstructorError(None, None, f"a number of {len(node.value)} digits", node.start_mark)
    return int(node.value)


_Loader.add_constructor("tag:yaml.org,2002:int", _whole_number)


class _Dumper(yaml.SafeDumper):
    """A dumper that quotes text that `_Loader` would read as a number."""

    yaml_implicit_resolvers: typing.ClassVar = _Loader.yaml_implicit_resolvers


def parse(text: str) -> Any:
    """The content of YAML text, with the numbers of YAML 1.2 (PyYAML's YAML 1.1 reads `1e-4` as a string).

    Raises:
        yaml.YAMLError: if it is none, or uses what `_Loader` leaves out.
    """
    return yaml.load(text, Loader=_Loader)


def _assigned(tree: Any, steps: Sequence[str], value: Any, done: str) -> Any:
    step, rest = steps[0], steps[1:]
    if isinstance(tree, list):
        if not step.isdigit() or int(step) >= len(tree):
            raise ConfigError(f"{done}: {step!r} is not an index of this list, which has {len(tree)} items")
        i = int(step)
        new = _assigned(tree[i], rest, value, f"{done}[{i}]") if rest else value
        return [*tree[:i], new, *tree[i + 1 :]]
    if tree is not None and not isinstance(tree, dict):
        raise ConfigError(f"{done}: is {_shown(tree)}, which has no key {step!r}")
    block = tree or {}
    if step == "kind" and not rest and block.get("kind") != value:
        return {"kind": value}
    return {**block, step: _assigned(block.get(step), rest, value, _joined(done, step)) if rest else value}


def _dataclass(cls: type[Config], tree: Any, where: str, default: Any) -> Config:
    known: dict[str, Field[Any]] = {field.name: field for field in fields(cls)}  # pyright: ignore[reportArgumentType]
    if not isinstance(tree, Mapping):
        raise ConfigError(f"{_at(where)}{_shown(tree)} is not a mapping of the keys {_listed(known)}")
    for key in tree:
        if key not in known:
            renamed = getattr(cls, "RENAMED", {}).get(key)
            raise ConfigError(f"{_joined(where, key)}: {_unknown(str(key), renamed, known)}")
    hints = typing.get_type_hints(cls)
    values = {}
    for name, field in known.items():
        fallback = getattr(default, name) if isinstance(default, cls) else _default(field)
        if name in tree:
            renamed = getattr(cls, "RENAMED", {}).get(f"{name}={tree[name]}")
            if renamed is not None:
                raise ConfigError(f"{_joined(where, name)}: {tree[name]!r} is now {renamed}")
            values[name] = _value(hints[name], tree[name], _joined(where, name), fallback)
        elif fallback is MISSING:
            raise ConfigError(f"{_joined(where, name)}: is missing and has no default")
        else:
            values[name] = fallback
    try:
        return cls(**values)
    except (ValueError, ConfigError) as error:
        raise ConfigError(f"{_at(where)}{error}") from error


def _default(field: Field[Any]) -> Any:
    return field.default_factory() if field.default_factory is not MISSING else field.default


def _value(hint: Any, value: Any, where: str, default: Any) -> Any:
    origin, choices = typing.get_origin(hint), typing.get_args(hint)
    if is_dataclass(hint) and isinstance(hint, type):
        return _dataclass(hint, value, where, default)
    if origin in (Union, types.UnionType):
        return _union(choices, value, where, default)
    if origin is Literal:
        if not any(value == choice and type(value) is type(choice) for choice in choices):
            raise ConfigError(f"{where}: {_shown(value)} is not one of {_listed(choices)}")
        return value
    if origin is tuple:
        return _tuple(choices, value, where)
    return _scalar(hint, value, where)


def _scalar(hint: Any, value: Any, where: str) -> Any:
    expected = {bool: "true or false", int: "a whole number", float: "a number", str: "text", Path: "a path"}
    if hint not in expected:
        raise TypeError(f"{where}: config fields of type {hint} are not supported")
    if hint is Path and isinstance(value, str):
        return Path(value)
    if type(value) is not hint and not (hint is float and type(value) is int):
        raise ConfigError(f"{where}: {_shown(value)} is not {expected[hint]}")
    return _number(hint, value, where) if hint in (int, float) else value


def _number(hint: Any, value: int | float, where: str) -> int | float:
    if value < 0:
        raise ConfigError(f"{where}: {_shown(value)} is negative, expected 0 or more")
    if not -LARGEST <= value <= LARGEST:  # neither is NaN
        raise ConfigError(f"{where}: {_shown(value)} is no number that can be used, expected one up to {LARGEST:g}")
    return hint(value)


def _tuple(choices: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise ConfigError(f"{where}: {_shown(value)} is not a list")
    hints = [choices[0]] * len(value) if choices[-1] is Ellipsis else choices
    if len(hints) != len(value):
        raise ConfigError(f"{where}: has {len(value)} items, expected {len(hints)}")
    return tuple(_value(hint, item, f"{where}[{i}]", MISSING) for i, (hint, item) in enumerate(zip(hints, value, strict=True)))


def _union(choices: tuple[Any, ...], value: Any, where: str, default: Any) -> Any:
    if value is None and type(None) in choices:
        return None
    alternatives = [choice for choice in choices if choice is not type(None)]
    if len(alternatives) == 1:
        return _value(alternatives[0], value, where, default)
    if isinstance(value, Mapping) and all(is_dataclass(choice) for choice in alternatives):
        return _dataclass(_of_kind(alternatives, value, where, default), value, where, default)
    problems = []
    for choice in alternatives:
        try:
            return _value(choice, value, where, default)
        except ConfigError as error:
            problems.append(str(error).removeprefix(f"{where}: "))
    raise ConfigError(f"{where}: {' and '.join(problems)}")


def _of_kind(alternatives: list[Any], tree: Mapping[str, Any], where: str, default: Any) -> Any:
    kinds = {typing.get_args(typing.get_type_hints(choice)["kind"])[0]: choice for choice in alternatives}
    if "kind" in tree:
        kind = tree["kind"]
        if not isinstance(kind, str) or kind not in kinds:
            raise ConfigError(f"{where}.kind: {_shown(kind)} is not one of {_listed(kinds)}")
        return kinds[kind]
    if type(default) in alternatives:
        return type(default)
    raise ConfigError(f"{where}.kind: is missing, expected one of {_listed(kinds)}")


def _unknown(key: str, renamed: str | None, known: Iterable[str]) -> str:
    if renamed is None:
        return f"unknown key, {_suggestion(key, known)}"
    return f"is now {renamed}" if renamed else "is no setting any more: it is a constant in the code, or gone"


def _suggestion(key: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(key, list(known), n=1)
    return f"did you mean {close[0]!r}?" if close else f"expected one of {_listed(known)}"


def _joined(where: str, key: Any) -> str:
    return f"{where}.{_clipped(str(key))}" if where else _clipped(str(key))


def _clipped(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..."


def _at(where: str) -> str:
    return f"{where}: " if where else ""


def _listed(items: Iterable[Any]) -> str:
    return ", ".join(str(item) for item in items)


def _shown(value: Any) -> str:
    simple = value is None or isinstance(value, str | bool | int | float)
    return _clipped(repr(value) if simple else json.dumps(value, default=str))
