"""A prior in a folder comes from that folder alone: whatever is wrong with it, no hub is asked."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from splatpaint.errors import PriorError
from splatpaint.priors.adapter import add_lora, init_lora, save_lora
from splatpaint.priors.depth import DepthConfig, find_depth
from splatpaint.priors.load import PriorConfig, find_prior, load_prior, predicts_noise, read_traits
from tests.support.diffusion import save_toy_prior

CPU = torch.device("cpu")


def broken_scheduler(folder: Path) -> None:
    (folder / "scheduler" / "scheduler_config.json").write_text("{")


def no_scheduler(folder: Path) -> None:
    (folder / "scheduler" / "scheduler_config.json").unlink()


def cut_weights(folder: Path) -> None:
    file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])


def no_weights(folder: Path) -> None:
    (folder / "vae" / "diffusion_pytorch_model.safetensors").unlink()


def broken_unet(folder: Path) -> None:
    (folder / "unet" / "config.json").write_text("[1, 2]")


def other_channels(folder: Path) -> None:
    file = folder / "vae" / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "latent_channels": "4"}))


def other_widths(folder: Path) -> None:
    file = folder / "unet" / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "block_out_channels": [8, -16]}))


def broken_traits(folder: Path) -> None:
    (folder / "splatpaint.json").write_text('{"native_px": "wide"}')


DAMAGES = [broken_scheduler, no_scheduler, cut_weights, no_weights, broken_unet, other_channels, other_widths, broken_traits]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_prior_is_refused_by_the_name_of_its_folder(tmp_path: Path, damage: Callable[[Path], None]):
    folder = save_toy_prior(tmp_path / "prior", "bundled")
    damage(folder)
    with pytest.raises(PriorError, match="prior") as caught:
        load_prior(PriorConfig(name=str(folder)), CPU)
    assert len(str(caught.value)) < 1000
    assert "\n" not in str(caught.value)


ONLINE = """
import os, sys
sys.addaudithook(lambda event, arguments: os._exit(9) if event in ("socket.connect", "socket.getaddrinfo") else None)
import torch
from splatpaint.errors import SplatpaintError
from splatpaint.priors.load import PriorConfig, load_prior
for name in sys.argv[1:]:
    try:
        load_prior(PriorConfig(name=name), torch.device("cpu"))
    except SplatpaintError as error:
        print(error)
"""


@pytest.mark.slow
def test_no_hub_is_asked_for_what_a_folder_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    folders = []
    for family, damage in (("bundled", broken_scheduler), ("sd1", no_scheduler), ("bundled", no_weights)):
        folders.append(save_toy_prior(tmp_path / damage.__name__, family))
        damage(folders[-1])
    names = [*map(str, folders), "./missing", "../missing/too", "~/missing", "/missing/prior"]
    ended = subprocess.run([sys.executable, "-c", ONLINE, *names], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert len(ended.stdout.splitlines()) == len(names)


@pytest.mark.parametrize("name", ["./missing", "../missing", "~nobody-at-all/prior", "/missing/prior", ".hidden/prior"])
def test_a_path_is_never_taken_for_the_name_of_a_model(name: str):
    with pytest.raises(PriorError, match="neither 'bundled', nor a folder that exists"):
        find_prior(name)
    with pytest.raises(PriorError, match="neither 'none', a folder"):
        find_depth(DepthConfig(name=name))


@pytest.mark.parametrize("text", ["", "[]", "{", "\xff"])
def test_damaged_settings_are_refused_by_file(tmp_path: Path, text: str):
    (tmp_path / "scheduler").mkdir()
    for file in (tmp_path / "scheduler" / "scheduler_config.json", tmp_path / "splatpaint.json"):
        file.write_bytes(text.encode("latin-1"))
    with pytest.raises(PriorError, match=r"scheduler_config\.json cannot be read"):
        predicts_noise(tmp_path)
    with pytest.raises(PriorError, match=r"splatpaint\.json cannot be read"):
        read_traits(tmp_path / "splatpaint.json")


@pytest.mark.parametrize("spoil", ["cut", "empty", "renamed", "reshaped"])
def test_a_damaged_lora_is_refused_by_file(tmp_path: Path, spoil: str):
    from safetensors.torch import load_file, save_file

    prior = load_prior(PriorConfig(name=str(save_toy_prior(tmp_path / "prior", "bundled"))), CPU)
    init_lora(prior.unet, 2, "scene", "attention")
    file = tmp_path / "lora.safetensors"
    save_lora(prior.unet, "scene", file)
    weights = load_file(file)
    if spoil == "cut":
        file.write_bytes(file.read_bytes()[:-100])
    elif spoil == "empty":
        file.write_bytes(b"")
    elif spoil == "renamed":
        save_file({key.replace("blocks", "nothing"): value for key, value in weights.items()}, file)
    else:
        save_file({key: value[:1, :1].contiguous() for key, value in weights.items()}, file)
    other = load_prior(PriorConfig(name=str(tmp_path / "prior")), CPU)
    with pytest.raises(PriorError, match=r"lora\.safetensors"):
        add_lora(other.unet, file, "given")
