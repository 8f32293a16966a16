from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from splatpaint.image.files import write_image
from splatpaint.priors.load import find_prior
from tests.cli.conftest import Cli

TINY = {
    "codec.steps": 2,
    "codec.width": 8,
    "denoiser.steps": 2,
    "denoiser.widths": [8, 16],
    "denoiser.attended": 1,
    "denoiser.crops": 16,
    "denoiser.crop_px": 32,
}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for number in range(4):
        write_image(tmp_path / "photos" / f"{number}.png", torch.rand(3, 48, 48))
    return tmp_path / "photos"


@pytest.mark.slow
def test_a_prior_trained_from_the_command_line_is_one_that_fit_takes(cli: Cli, photos: Path, tmp_path: Path):
    settings = [word for key, value in TINY.items() for word in ("--set", f"{key}={value}")]
    result = cli("prior", "train", photos, "-o", tmp_path / "prior", *settings)
    assert result.exit_code == 0, result.output
    assert find_prior(str(tmp_path / "prior")) == tmp_path / "prior"


def test_a_training_that_was_begun_is_continued_only_when_asked(refused: Callable[..., str], photos: Path, tmp_path: Path):
    out = tmp_path / "prior"
    out.mkdir()
    (out / "training.json").write_text("{}")
    assert "add --resume" in refused("prior", "train", photos, "-o", out)
    assert (out / "training.json").read_text() == "{}"
