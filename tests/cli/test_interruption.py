"""A run survives Ctrl-C and kill at any moment."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from splatpaint.cli.interruption import INTERRUPTED, interruptible, resumable
from splatpaint.events import Events, Progressed

STEPS = 1000
"""Of the reconstruction: its only checkpoint is at half of them."""


def start(arguments: list[str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "splatpaint", *arguments]
    # One thread: the scene is tiny, and threads that wait for each other are at the mercy of whatever else runs.
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, preexec_fn=enable_sigint
    )


def enable_sigint() -> None:
    """Shells ignore SIGINT for background jobs; child processes inherit that from a test run in the background."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def wait_until(happened: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 200
    while not happened():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "nothing happened for minutes"
        time.sleep(0.005)


def events(run: Path) -> list[dict]:
    file = run / "events.jsonl"
    if not file.exists():
        return []
    complete = [line for line in file.read_text().splitlines(keepends=True) if line.endswith("}\n")]
    return [json.loads(line) for line in complete]


def reconstructed_steps(run: Path) -> list[int]:
    return [event["done"] for event in events(run) if event["stage"] == "reconstruct" and event["event"] == "Progressed"]


@pytest.mark.slow
def test_an_interrupted_and_a_killed_run_are_continued_to_the_end(wall: Path, settings: list[str], tmp_path: Path):
    run = tmp_path / "run"
    arguments = ["fit", str(wall), "-o", str(run), *settings, "--set", f"reconstruct.steps={STEPS}"]

    interrupted = start(arguments)
    wait_until(lambda: bool(reconstructed_steps(run)), interrupted)
    interrupted.send_signal(signal.SIGINT)
    _, said = interrupted.communicate(timeout=120)
    assert interrupted.returncode == INTERRUPTED
    assert said.strip().endswith("--resume")
    assert said.startswith("interrupted; continue with: splatpaint fit ")

    killed = start([*arguments, "--resume"])
    wait_until((run / "reconstruct" / "checkpoint.pt").exists, killed)
    killed.kill()
    killed.communicate(timeout=120)
    assert not (run / "reconstruct" / "splats.safetensors").exists()
    before = len(reconstructed_steps(run))

    finished = start([*arguments, "--resume"])
    said, errors = finished.communicate(timeout=300)
    assert finished.returncode == 0, errors
    continued = reconstructed_steps(run)[before:]
    assert continued[0] > STEPS / 2, "the checkpoint was not used"
    assert continued[-1] == STEPS
    assert (run / "inpaint" / "splats.safetensors").exists()
    assert (run / "pictures" / "contact-sheet.png").exists()


AT_IMPORT = """
import os, signal, sys

class Interrupts:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)
sys.meta_path.insert(0, Interrupts())
sys.argv = ["splatpaint", *{arguments!r}]
from splatpaint.__main__ import main
main()
"""


@pytest.mark.parametrize(
    ("module", "command"),
    [("splatpaint.cli.app", "info"), ("click", "info"), ("splatpaint.cli.commands.prior", "fit"), ("numpy", "info"),
     ("torch", "fit"), ("torch._C", "info"), ("PIL.Image", "info"), ("splatpaint.capture", "fit"), ("rich.progress", "fit")],
)  # fmt: skip
def test_ctrl_c_during_an_import_ends_without_a_traceback(wall: Path, tmp_path: Path, module: str, command: str):
    arguments = [command, str(wall)] + (["-o", str(tmp_path / "run")] if command == "fit" else [])
    script = AT_IMPORT.format(module=module, arguments=arguments)
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert ended.returncode == INTERRUPTED, ended.stderr
    assert ended.stderr.startswith("interrupted")
    assert len(ended.stderr.splitlines()) == 1, ended.stderr


@pytest.mark.usefixtures("sigint_enabled")
@pytest.mark.parametrize("error", [ImportError, SystemError, RuntimeError])
def test_what_a_library_makes_of_ctrl_c_is_no_error(capsys: pytest.CaptureFixture[str], error: type[Exception]):
    def command() -> None:
        with interruptible():
            try:
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(1)
            except KeyboardInterrupt:
                raise error("numpy.core failed to import") from None

    with pytest.raises(SystemExit) as ended:
        command()
    assert ended.value.code == INTERRUPTED
    assert capsys.readouterr().err == "interrupted\n"


@pytest.mark.usefixtures("sigint_enabled")
def test_errors_without_a_signal_are_errors():
    with pytest.raises(ZeroDivisionError), interruptible():
        _ = 1 / 0


class Finalized:
    """Python drops what its finalizer raises."""

    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0)


def test_a_terminated_run_ends_as_an_interrupted_one(wall: Path, settings: list[str], tmp_path: Path):
    """As `kill`, a container that is stopped or a cluster asks for it."""
    run = tmp_path / "run"
    terminated = start(["fit", str(wall), "-o", str(run), *settings, "--set", f"reconstruct.steps={STEPS}"])
    wait_until(lambda: bool(reconstructed_steps(run)), terminated)
    terminated.terminate()
    _, said = terminated.communicate(timeout=120)
    assert terminated.returncode == 128 + signal.SIGTERM
    assert said.startswith("interrupted; continue with: splatpaint fit ")
    assert len(said.splitlines()) == 1, "no stack trace of a library"


def test_pycolmap_keeps_the_previous_termination_handler():
    script = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(7)); "
    script += "from splatpaint.capture.triangulate import import_pycolmap; import_pycolmap(); "
    script += "signal.raise_signal(signal.SIGTERM)"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (7, "")


@pytest.fixture
def sigint_enabled() -> Iterator[None]:
    """SIGINT is not ignored, as it may be in a test run in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("sigint_enabled")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_ctrl_c_during_a_finalizer_stops_the_command_at_the_next_event(capsys: pytest.CaptureFixture[str]):
    def stage() -> Events[None]:
        yield Progressed("stage", 0, 3)
        thing = Finalized()
        del thing
        yield Progressed("stage", 1, 3)
        yield Progressed("stage", 2, 3)

    def command() -> None:
        with resumable() as interruption:
            for event in interruption.stop_on_signal(stage()):
                seen.append(event)

    before, seen = signal.getsignal(signal.SIGINT), []
    with pytest.raises(SystemExit) as ended:
        command()
    assert ended.value.code == INTERRUPTED
    assert capsys.readouterr().err.startswith("interrupted; continue with: splatpaint ")
    assert [event.done for event in seen] == [0, 1]
    assert signal.getsignal(signal.SIGINT) is before
