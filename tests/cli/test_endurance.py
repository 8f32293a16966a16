"""Whatever happens to a run on its way, it is continued to the same bytes, and says in one sentence what happened."""

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.cli.conftest import Cli
from tests.support.disk import files_of_at_most

Refused = Callable[..., str]
STEPS = ("--set", "reconstruct.steps=40")
SIZES = (600, 4096, 20_000, 60_000, 120_000, 250_000, 1_000_000)
"""Bytes that fit on the disk, from less than a config to more than any file but the largest."""


def products(run: Path) -> dict[str, str]:
    """Digests of all splats and masks that a run made."""
    files = [file for pattern in ("*/splats.safetensors", "*/*/**/*.png", "*/*.json") for file in run.glob(pattern)]
    kept = [file for file in files if not file.relative_to(run).as_posix().startswith("capture/")]
    return {file.relative_to(run).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest() for file in kept}


def test_disks_that_are_full_at_any_size_cost_nothing_but_time(
    cli: Cli, wall: Path, finished: Path, settings: list[str], tmp_path: Path
):
    arguments = ("fit", wall, "-o", tmp_path / "run", "--test-every", "5", *settings, "--resume")
    for size in SIZES:
        with files_of_at_most(size):
            result = cli(*arguments)
        if result.exit_code == 0:  # everything has fitted
            break
        assert result.exit_code == 2, result.output
        assert len(result.stderr.splitlines()) == 1
        assert "File too large" in result.stderr
    assert cli(*arguments).exit_code == 0
    assert products(tmp_path / "run") == products(finished)
    assert not [file for file in (tmp_path / "run").rglob(".*") if file.name != ".lock"]


@pytest.mark.skipif(sys.platform != "linux", reason="these places are Linux's")
@pytest.mark.parametrize("place", ["/proc", "/sys", "/dev/null"])
def test_places_that_cannot_be_written_are_named(refused: Refused, wall: Path, finished: Path, place: str):
    assert f"{place}/run" in refused("fit", wall, "-o", f"{place}/run")
    for arguments in (("export", finished, "-o", f"{place}/scene.ply"), ("render", finished, "-o", f"{place}/renders")):
        assert place in refused(*arguments)


@pytest.mark.parametrize("threads", [2, 5])
def test_a_run_is_the_same_on_any_number_of_threads(
    cli: Cli, wall: Path, finished: Path, settings: list[str], tmp_path: Path, threads: int
):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        assert cli("fit", wall, "-o", tmp_path / "run", "--test-every", "5", *settings).exit_code == 0
    finally:
        torch.set_num_threads(before)
    assert products(tmp_path / "run") == products(finished)


KILLED = """
import os, signal, sys
left = int(sys.argv[1])

def count(event, arguments):
    global left
    if event == "os.rename":
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.{name})

sys.addaudithook(count)
sys.argv = ["splatpaint", *sys.argv[2:]]
from splatpaint.__main__ import main
main()
"""


def command(name: str, renames: int, arguments: list[str]) -> list[str]:
    """A process that is sent a signal when it is about to put so many-th file in its place."""
    return [sys.executable, "-c", KILLED.format(name=name), str(renames), *arguments]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM", "SIGINT"])
def test_a_run_that_is_ended_again_and_again_comes_to_the_same_bytes(
    wall: Path, settings: list[str], tmp_path: Path, name: str
):
    arguments = ["fit", str(wall), "-o", str(tmp_path / "run"), *settings, *STEPS, "--resume"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ended = []
    for renames in (1, 3, 12, 20, 30, 40):
        process = subprocess.run(command(name, renames, arguments), capture_output=True, text=True, env=environment)
        ended.append(process.returncode)
        assert "Traceback" not in process.stderr, process.stderr
    number = getattr(signal, name)
    assert ended[0] == (-number if name == "SIGKILL" else 128 + number)
    assert set(ended) <= {0, ended[0]}
    last = subprocess.run(command(name, 10**9, arguments), capture_output=True, text=True, env=environment)
    assert last.returncode == 0, last.stderr
    straight = ["fit", str(wall), "-o", str(tmp_path / "straight"), *settings, *STEPS]
    whole = subprocess.run(command(name, 10**9, straight), capture_output=True, text=True, env=environment)
    assert whole.returncode == 0, whole.stderr
    assert products(tmp_path / "run") == products(tmp_path / "straight")
