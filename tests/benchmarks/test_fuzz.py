"""Mutated inputs of every kind are read or refused; the whole run is `python -m benchmarks.fuzz --cases 100000`."""

import random
from pathlib import Path

import pytest

from benchmarks.fuzz import fuzz
from benchmarks.fuzz_inputs import KINDS, Kind
from benchmarks.fuzz_mutations import mutated


def test_mutated_inputs_of_every_kind_are_read_or_refused_in_a_sentence():
    quick = [kind for kind in KINDS if kind.name != "prior"]
    tally = fuzz(quick, range(150), seed=1)
    assert not tally.problems, "\n".join(tally.report())
    assert sum(tally.read.values()) + sum(tally.refused.values()) == 150
    assert tally.refused.keys() >= {"transforms", "run", "config"}


def writes_outside(box: Path) -> None:
    (box.parent / "mine.txt").write_text("gone")


def raises(_: Path) -> None:
    raise KeyError("a")


def hangs(_: Path) -> None:
    while True:
        pass


@pytest.mark.parametrize(
    ("read", "problem"), [(writes_outside, "writes outside"), (raises, "KeyError at"), (hangs, "longer than 1 s")]
)
def test_what_the_fuzz_looks_for_is_found(monkeypatch: pytest.MonkeyPatch, read, problem: str):
    monkeypatch.setattr("benchmarks.fuzz.SECONDS", 1)
    kind = Kind("config", 1, ("config/*",), read)
    tally = fuzz([kind], range(2), seed=0)
    (found,) = tally.problems
    assert problem in found
    assert tally.problems[found] == [0, 1]


@pytest.mark.parametrize("name", ["a.json", "a.txt", "a.yaml", "a.npy", "a.ply", "a.png", "a.safetensors"])
def test_mutations_change_files_and_survive_their_own_results(tmp_path: Path, name: str):
    file = tmp_path / name
    seen = set()
    for number in range(60):
        file.unlink(missing_ok=True) if not file.is_dir() else file.rmdir()
        file.write_bytes(b'{"a": [1, "b"], "c": {"d": 2.5}}\nend_header\n' + bytes(20))
        for _ in range(3):
            mutated(file, random.Random(number), tmp_path)
        seen.add(file.read_bytes() if file.is_file() else b"")
    assert len(seen) > 10
