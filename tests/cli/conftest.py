"""A tiny capture (a striped wall with a ball in front of it), a toy prior, and a run of both."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from splatpaint.cli.app import main
from tests.support.diffusion import save_toy_prior
from tests.support.walls import write_wall

QUICK = {
    "reconstruct.steps": 10,
    "inpaint.rounds": 1,
    "inpaint.steps": 4,
    "inpaint.denoise_steps": 1,
}

Cli = Callable[..., Result]


@pytest.fixture
def cli() -> Cli:
    """Runs the command line in this process."""

    def run(*arguments: str | Path) -> Result:
        result = CliRunner().invoke(main, [str(argument) for argument in arguments])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


@pytest.fixture
def refused(cli: Cli) -> Callable[..., str]:
    """Runs a command that must fail as a user error does, and gives what it says."""

    def run(*arguments: str | Path) -> str:
        result = cli(*arguments)
        assert result.exit_code == 2, result.output
        said = result.stderr.splitlines()
        assert len(said) == 1, result.stderr
        assert said[0].startswith("Error: ")
        return said[0].removeprefix("Error: ")

    return run


@pytest.fixture(scope="session")
def wall(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The capture; not to be changed."""
    return write_wall(tmp_path_factory.mktemp("wall"))


@pytest.fixture
def capture(wall: Path, tmp_path: Path) -> Path:
    """A copy of the capture, to be spoiled."""
    return shutil.copytree(wall, tmp_path / "capture")


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Arguments that make `fit` quick."""
    prior = save_toy_prior(tmp_path_factory.mktemp("prior"), "bundled")
    return ["--prior", str(prior), *(word for key, value in QUICK.items() for word in ("--set", f"{key}={value}"))]


@pytest.fixture(scope="session")
def finished(wall: Path, settings: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the capture; not to be changed."""
    out = tmp_path_factory.mktemp("runs") / "finished"
    result = CliRunner().invoke(
        main, ["fit", str(wall), "-o", str(out), "--test-every", "5", *settings], catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    return out
