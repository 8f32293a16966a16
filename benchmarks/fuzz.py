"""Reads mutated inputs of every kind, in this process: each is read, or refused in one sentence, soon and within memory.

    python -m benchmarks.fuzz --cases 100000

Counted as problems: an exception that is no error of the user, a case of more than ten seconds, one that takes more than
300 MB, and a file that is written, moved or removed outside the folder of the case. Exits with 1 if there is any. A case is
told by `--seed` and its number, so `--first N --cases 1` repeats one.
"""

import argparse
import contextlib
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from benchmarks.fuzz_inputs import KINDS, Kind, write_inputs
from benchmarks.fuzz_mutations import mutated
from splatpaint.cli.app import sentence
from splatpaint.errors import SplatpaintError

UNTOUCHED = b"not to be touched"
SECONDS = 10
MEGABYTES = 300
ADDRESS_SPACE = 3 * 2**30
"""Bytes of address space that a case may take in addition to what the process has."""
WRITING = {"os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod"}
"""Audit events of what changes files, beside opening them for writing."""


class HangError(BaseException):
    """A case took too long; no `Exception`, so that nobody takes it for an error of the file."""


@dataclass
class Watch:
    """Sees what is written outside of a folder, by the audit events of Python."""

    inside: str
    outside: list[str] = field(default_factory=list)
    active: bool = False

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        """The audit hook."""
        if not self.active:
            return
        paths: tuple[Any, ...] = ()
        if event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            paths = arguments[:1]
        elif event in WRITING:
            paths = arguments[:2] if event in ("os.rename", "os.link") else arguments[:1]
        folder = arguments[-1] if event in ("os.remove", "os.rmdir", "os.mkdir") else -1
        for path in paths:
            if isinstance(path, str | bytes | os.PathLike):
                start = f"/proc/self/fd/{folder}" if isinstance(folder, int) and folder >= 0 else ""
                real = os.path.realpath(os.path.join(start, os.fsdecode(path)))
                if not real.startswith(self.inside) and not real.startswith("/dev/"):
                    self.outside.append(f"{event} {real}")


@dataclass
class Tally:
    """What became of the cases."""

    read: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    problems: dict[str, list[int]] = field(default_factory=dict)
    """Numbers of cases by what went wrong and where."""

    def report(self) -> Iterator[str]:
        """Lines."""
        for name in sorted(self.read.keys() | self.refused.keys()):
            yield f"{name:<12} {self.read[name]:>8} read {self.refused[name]:>8} refused"
        for problem, cases in self.problems.items():
            yield f"{len(cases)} cases, such as {cases[0]}: {problem}"
        yield f"{sum(map(len, self.problems.values()))} problems"


def main() -> None:
    """Runs the cases and prints what became of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", choices=[kind.name for kind in KINDS], action="append", help="of input; default: all")
    arguments = parser.parse_args()
    kinds = [kind for kind in KINDS if not arguments.kind or kind.name in arguments.kind]
    begin = time.monotonic()
    tally = fuzz(kinds, range(arguments.first, arguments.first + arguments.cases), seed=arguments.seed)
    print(*tally.report(), f"{time.monotonic() - begin:.0f} s", sep="\n")
    sys.exit(1 if tally.problems else 0)


def fuzz(kinds: list[Kind], cases: range, *, seed: int) -> Tally:
    """Runs cases, the kinds by their weight.

    Args:
        kinds: of input.
        cases: their numbers.
        seed: of all cases.
    """
    tally = Tally()
    with tempfile.TemporaryDirectory(prefix="fuzz_") as outer:
        box = Path(os.path.realpath(outer)) / "box"
        canary = box.parent / "outside"
        canary.mkdir()
        (canary / "photo.png").write_bytes(UNTOUCHED)
        write_inputs(box, prior=any(kind.name == "prior" for kind in kinds))
        for kind in kinds:
            kind.find(box)
        watch = Watch(f"{box}{os.sep}")
        sys.addaudithook(watch.audit)
        with _bounds():
            for number in cases:
                chance = random.Random(f"{seed} {number}")
                kind = chance.choices(kinds, [kind.weight for kind in kinds])[0]
                problem = run_case(kind, box, canary, chance, watch, tally)
                if [(path.name, path.read_bytes()) for path in canary.iterdir()] != [("photo.png", UNTOUCHED)]:
                    problem = "the folder outside has changed"
                if problem:
                    tally.problems.setdefault(f"{kind.name}: {problem}", []).append(number)
    return tally


def run_case(kind: Kind, box: Path, canary: Path, chance: random.Random, watch: Watch, tally: Tally) -> str | None:
    """Mutates one file of a kind, reads the input, and puts everything back; what went wrong, if anything."""
    file = chance.choice(kind.found)
    whole = file.read_bytes()
    for _ in range(chance.choice([1, 1, 1, 2, 5])):
        mutated(file, chance, canary)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    watch.outside.clear()
    problem, watch.active = None, True
    signal.alarm(SECONDS)
    try:
        with contextlib.redirect_stdout(None), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            kind.read(box)
        tally.read[kind.name] += 1
    except SplatpaintError as error:
        tally.refused[kind.name] += 1
        if not sentence(str(error)):
            problem = f"{type(error).__name__} says nothing"
    except OSError as error:  # the command line says it in a sentence, too
        tally.refused[kind.name] += 1
        problem = None if error.errno else f"OSError at {_place(error)}: {str(error)[:100]!r}"
    except HangError:
        problem = f"takes longer than {SECONDS} s"
    except Exception as error:
        problem = f"{type(error).__name__} at {_place(error)}: {str(error)[:100]!r}"
    finally:
        signal.alarm(0)
        watch.active = False
        if file.is_dir() and not file.is_symlink():
            shutil.rmtree(file)
        file.unlink(missing_ok=True)
        file.write_bytes(whole)
        shutil.rmtree(box / "out", ignore_errors=True)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    if watch.outside:
        problem = f"writes outside: {watch.outside[0]}"
    if grown > MEGABYTES:
        problem = problem or f"takes more than {MEGABYTES} MB"
    return problem


def _place(error: BaseException) -> str:
    """File and line of the innermost frame of this package, and where the error came from below it."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "splatpaint" in frame.filename and "site-packages" not in frame.filename]
    frame = own[-1] if own else frames[-1]
    return f"{Path(frame.filename).name}:{frame.lineno}"


@contextlib.contextmanager
def _bounds() -> Iterator[None]:
    """Bounds time by an alarm and memory by the address space."""

    def too_long(_signum: int, _frame: FrameType | None) -> None:
        raise HangError

    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() if sys.platform == "linux" else 0
    before, handler = resource.getrlimit(resource.RLIMIT_AS), signal.signal(signal.SIGALRM, too_long)
    if size:
        resource.setrlimit(resource.RLIMIT_AS, (size + ADDRESS_SPACE, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
        signal.signal(signal.SIGALRM, handler)


if __name__ == "__main__":
    main()
