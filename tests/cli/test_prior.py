from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from splatpaint.image.files import write_image
from splatpaint.priors.load import find_prior
from tests.cli.conftest import Cli
from tests.support.diffusion import save_toy_teacher

TINY_CODEC = {"steps": 2, "width": 8, "encoder_blocks": [0, 1], "decoder_blocks": [1, 0]}
TINY_DENOISER = {"steps": 2, "batch": 4, "widths": [8, 16], "shard_crops": 4, "crop_px": 32}


def settings(values: dict) -> list[str]:
    return [word for key, value in values.items() for word in ("--set", f"{key}={value}")]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for number in range(4):
        write_image(tmp_path / "photos" / f"{number}.png", torch.rand(3, 48, 48))
    return tmp_path / "photos"


@pytest.mark.slow
def test_a_prior_trained_from_the_command_line_is_one_that_fit_takes(cli: Cli, photos: Path, tmp_path: Path):
    teacher = save_toy_teacher(tmp_path / "teacher")
    made = cli("prior", "train-codec", photos, "--teacher", teacher, "-o", tmp_path / "codec", *settings(TINY_CODEC))
    assert made.exit_code == 0, made.output
    codec = tmp_path / "codec" / "vae"
    assert f"splatpaint prior train {photos} --codec {codec} -o PRIOR" in made.output
    result = cli("prior", "train", photos, "--codec", codec, "-o", tmp_path / "prior", *settings(TINY_DENOISER))
    assert result.exit_code == 0, result.output
    assert find_prior(str(tmp_path / "prior")) == tmp_path / "prior"


def test_a_training_that_was_begun_is_continued_only_when_asked(refused: Callable[..., str], photos: Path, tmp_path: Path):
    out = tmp_path / "prior"
    out.mkdir()
    (out / "training.json").write_text("{}")
    assert "add --resume" in refused("prior", "train", photos, "--codec", tmp_path, "-o", out)
    assert "add --resume" in refused("prior", "train-codec", photos, "--teacher", tmp_path, "-o", out)
    assert (out / "training.json").read_text() == "{}"
