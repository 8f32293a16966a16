import time
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Literal

import pytest
import yaml

from splatpaint.config import differences, digest, dump, from_tree, load, load_tree, override, parse, to_tree
from splatpaint.errors import ConfigError


@dataclass(frozen=True)
class Distill:
    kind: Literal["distill"] = "distill"
    weight: float = 1.0


@dataclass(frozen=True)
class Photometric:
    kind: Literal["photometric"] = "photometric"
    ssim: float = 0.2


@dataclass(frozen=True)
class Round:
    steps: int = 100
    objectives: tuple[Distill | Photometric, ...] = (Photometric(),)

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps is {self.steps}, expected at least 1")


@dataclass(frozen=True)
class Paint:
    rounds: tuple[Round, ...] = (Round(), Round(steps=50))
    crop: tuple[int, int] = (64, 64)
    folder: Path | None = None
    prompt: str = ""
    strict: bool = True
    first: Distill | Photometric = field(default_factory=lambda: Distill(weight=3.0))
    level: Literal[0, 1, "all"] = 0
    size: int | Literal["auto"] = "auto"


@dataclass(frozen=True)
class Whole:
    seed: int = 0
    rate: float = 1e-3
    paint: Paint = field(default_factory=lambda: Paint(prompt="grass"))


def refused(cls: type, tree: dict) -> str:
    with pytest.raises(ConfigError) as caught:
        from_tree(cls, tree)
    return str(caught.value)


def test_an_empty_tree_gives_the_defaults():
    assert from_tree(Whole, {}) == Whole()


def test_a_tree_round_trips_through_yaml_text():
    config = from_tree(Whole, {"rate": 5e-5, "paint": {"folder": "a/b", "crop": [1, 2], "rounds": [{"objectives": []}]}})
    assert from_tree(Whole, parse(dump(config))) == config
    assert to_tree(config)["paint"]["folder"] == "a/b"


def test_text_that_looks_like_a_number_stays_text():
    config = Paint(prompt="1e-4")
    assert from_tree(Paint, parse(dump(config))) == config


def test_a_partial_mapping_is_merged_onto_the_default_of_its_field_not_of_its_class():
    paint = from_tree(Whole, {"paint": {"strict": False}}).paint
    assert paint.prompt == "grass"
    assert not paint.strict


def test_a_union_member_without_kind_is_the_one_of_the_default():
    assert from_tree(Paint, {"first": {}}).first == Distill(weight=3.0)
    assert from_tree(Paint, {"first": {"kind": "photometric"}}).first == Photometric()


def test_the_kind_chooses_among_the_dataclasses_of_a_union():
    rounds = from_tree(Paint, {"rounds": [{"objectives": [{"kind": "distill", "weight": 2}, {"kind": "photometric"}]}]}).rounds
    assert rounds == (Round(objectives=(Distill(weight=2.0), Photometric())),)


def test_whole_numbers_are_taken_for_numbers_but_not_the_reverse():
    rate = from_tree(Whole, {"rate": 1}).rate
    assert rate == 1.0
    assert isinstance(rate, float)
    assert refused(Whole, {"seed": 1.5}) == "seed: 1.5 is not a whole number"


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        (
            {"paint": {"rounds": [{}, {"objectives": [{"kind": "sdss"}]}]}},
            "paint.rounds[1].objectives[0].kind: 'sdss' is not one of distill, photometric",
        ),
        (
            {"paint": {"rounds": [{"objectives": [{}]}]}},
            "paint.rounds[0].objectives[0].kind: is missing, expected one of distill",
        ),
        ({"pant": {}}, "pant: unknown key, did you mean 'paint'?"),
        ({"xyzzy": 1}, "xyzzy: unknown key, expected one of seed, rate, paint"),
        ({"paint": {"rounds": [{"stesp": 3}]}}, "paint.rounds[0].stesp: unknown key, did you mean 'steps'?"),
        ({"paint": {"rounds": [{"steps": 0}]}}, "paint.rounds[0]: steps is 0, expected at least 1"),
        ({"paint": {"rounds": 3}}, "paint.rounds: 3 is not a list"),
        ({"paint": {"crop": [1, 2, 3]}}, "paint.crop: has 3 items, expected 2"),
        ({"paint": {"crop": [1, "x"]}}, "paint.crop[1]: 'x' is not a whole number"),
        ({"paint": {"strict": 1}}, "paint.strict: 1 is not true or false"),
        ({"paint": {"prompt": None}}, "paint.prompt: None is not text"),
        ({"paint": {"folder": 4}}, "paint.folder: 4 is not a path"),
        ({"paint": {"level": True}}, "paint.level: True is not one of 0, 1, all"),
        ({"paint": {"size": "big"}}, "paint.size: 'big' is not a whole number and 'big' is not one of auto"),
        ({"paint": "x"}, "paint: 'x' is not a mapping of the keys"),
        ({"seed": True}, "seed: True is not a whole number"),
    ],
)
def test_errors_begin_with_the_dotted_path(tree: dict, message: str):
    assert refused(Whole, tree).startswith(message)


def test_numbers_are_read_as_yaml_1_2_reads_them():
    assert parse("[1e-4, 1E3, .5, 2., -3, 007, .inf]") == [1e-4, 1000.0, 0.5, 2.0, -3, 7, float("inf")]
    assert parse("[no, on, 12:30, 1_000, null, ~, true]") == ["no", "on", "12:30", "1_000", None, None, True]


def test_a_key_given_twice_is_an_error(tmp_path: Path):
    file = tmp_path / "twice.yaml"
    file.write_text("seed: 1\nseed: 2\n")
    with pytest.raises(ConfigError, match="'seed' is given twice"):
        load_tree(file)


@pytest.mark.parametrize(("text", "message"), [("[1, 2]", "expected a mapping"), ("a: [", "is not valid YAML")])
def test_a_file_that_is_no_mapping_is_refused_in_one_line(tmp_path: Path, text: str, message: str):
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        load_tree(file)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"nowhere\.yaml cannot be read"):
        load_tree(tmp_path / "nowhere.yaml")


def test_an_empty_file_says_nothing(tmp_path: Path):
    file = tmp_path / "empty.yaml"
    file.write_text("# only a comment\n")
    assert load_tree(file) == {}


def test_assignments_reach_into_the_defaults_and_later_ones_win(tmp_path: Path):
    file = tmp_path / "some.yaml"
    file.write_text("paint:\n  prompt: moss\nrate: 1e-2\n")
    config = load(Whole, file, ["paint.rounds[1].steps=7", "rate=1e-4", "paint.rounds.0.steps=9", "rate=2e-4"])
    assert [r.steps for r in config.paint.rounds] == [9, 7]
    assert (config.rate, config.paint.prompt) == (2e-4, "moss")


def test_an_assignment_leaves_the_tree_it_was_given_alone():
    tree = {"a": {"b": [1, 2]}}
    assert override(tree, "a.b[0]=5") == {"a": {"b": [5, 2]}}
    assert tree == {"a": {"b": [1, 2]}}


def test_a_new_kind_drops_the_fields_of_the_old_one():
    config = load(Paint, overrides=["first.kind=photometric", "first.ssim=.5"])
    assert config.first == Photometric(ssim=0.5)


def test_a_whole_block_can_be_assigned():
    config = load(Paint, overrides=["rounds=[{steps: 3, objectives: [{kind: distill}]}]"])
    assert config.rounds == (Round(steps=3, objectives=(Distill(),)),)


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("seed", "'seed' is not of the form key.subkey=value"),
        ("=3", "'=3' is not of the form"),
        ("paint..x=3", "'paint..x=3' is not of the form"),
        ("seed.x=3", "seed: is 0, which has no key 'x'"),
        ("paint.rounds[2].steps=3", "paint.rounds: '2' is not an index of this list, which has 2 items"),
        ("paint.rouds=3", "paint.rouds: unknown key, did you mean 'rounds'?"),
        ("seed=[", "seed: '[' is not a YAML value"),
    ],
)
def test_assignments_that_fit_nothing_are_refused(assignment: str, message: str):
    with pytest.raises(ConfigError) as caught:
        load(Whole, overrides=[assignment])
    assert str(caught.value).startswith(message)


def test_a_digest_depends_on_values_only():
    assert digest(Whole()) == digest(from_tree(Whole, yaml.safe_load(dump(Whole()))))
    assert digest(Whole()) != digest(Whole(seed=1))


def test_differences_name_every_changed_leaf():
    old, new = to_tree(Whole()), to_tree(load(Whole, overrides=["seed=4", "paint.rounds[1].steps=7", "paint.crop=[1, 2]"]))
    assert differences(old, new) == [
        "seed: 0 -> 4",
        "paint.rounds[1].steps: 50 -> 7",
        "paint.crop[0]: 64 -> 1",
        "paint.crop[1]: 64 -> 2",
    ]
    assert differences(old, old) == []


@pytest.mark.parametrize("text", [".nan", ".inf", "-.inf", "1e31", "1e400", "1" + "0" * 40, "-1e400"])
def test_numbers_that_are_not_finite_or_absurd_are_refused(text: str):
    for key in ("rate", "paint.first.weight"):
        with pytest.raises(ConfigError, match=rf"^{key.replace('.', '[.]')}: ") as caught:
            load(Whole, overrides=[f"{key}={text}"])
        assert len(str(caught.value)) < 200


@pytest.mark.parametrize("assignment", ["seed=-1", "rate=-1e-9", "paint.crop=[1, -2]", "paint.first.weight=-1"])
def test_no_number_is_negative(assignment: str):
    with pytest.raises(ConfigError, match="is negative, expected 0 or more"):
        load(Whole, overrides=[assignment])


NINEFOLD = [f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]" for a, b in pairwise("abcdefgh")]
HOSTILE = {
    "bomb": "\n".join(["a: &a [x,x,x,x,x,x,x,x,x]", *NINEFOLD]),
    "cycle": "a: &a [*a]",
    "merge": "a: &a {seed: 1}\nb: {<<: *a}",
    "tag": "seed: !!python/object/apply:os.system ['true']",
    "core tag": "seed: !!int 'x'",
    "own tag": "seed: !x 1",
    "deep": "[" * 50_000,
    "deep mapping": "".join(" " * n + f"k{n}:\n" for n in range(200)),
    "long number": "seed: " + "9" * 20_000,
    "long key": "k" * 50_000 + ": 1",
    "long value": "seed: " + "v" * 50_000,
    "large": "# " + "x" * 70_000,
    "key of a list": "? [1, 2]\n: 3",
    "no text": "\x01",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_yaml_that_says_more_than_it_holds_is_refused_at_once_and_in_short(tmp_path: Path, kind: str):
    (tmp_path / "a.yaml").write_text(HOSTILE[kind])
    begin = time.process_time()
    with pytest.raises(ConfigError) as caught:
        load(Whole, tmp_path / "a.yaml")
    assert time.process_time() - begin < 2
    assert len(str(caught.value)) < 500 + len(str(tmp_path))
    if kind not in ("large", "no text"):
        with pytest.raises(ConfigError) as caught:
            load(Whole, overrides=[f"paint={HOSTILE[kind]}"])
        assert len(str(caught.value)) < 500
