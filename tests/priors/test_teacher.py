from copy import deepcopy
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from splatpaint.errors import PriorError
from splatpaint.priors.networks import Network, diffusers
from splatpaint.priors.teacher import FIRST_LAYER, TAESD_FILES, read_codec

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def tiny() -> Network:
    torch.manual_seed(0)
    return diffusers().AutoencoderTiny().eval()


def save_as_taesd(model: Network, folder: Path) -> None:
    for part, name in TAESD_FILES.items():
        split = ((key.split(".", 1), value) for key, value in getattr(model, part).layers.state_dict().items())
        save_file({f"{int(layer) + FIRST_LAYER[part]}.{rest}": value for (layer, rest), value in split}, folder / name)


def test_the_files_of_taesd_are_the_tiny_autoencoder_of_diffusers(tiny: Network, tmp_path: Path):
    save_as_taesd(tiny, tmp_path)
    codec, image = read_codec(tmp_path, CPU), torch.rand(1, 3, 16, 24)
    assert (codec.stride, codec.channels) == (8, 4)
    with torch.no_grad():
        latents = deepcopy(tiny).to(memory_format=torch.channels_last).encode(image * 2 - 1).latents
        assert torch.equal(codec.encode(image), latents)
        torch.testing.assert_close(codec.decode(latents), tiny.decode(latents).sample / 2 + 0.5)


@pytest.mark.parametrize("inside", ["", "vae"])
def test_a_folder_of_diffusers_is_read_with_or_without_the_rest_of_its_model(tiny: Network, inside: str, tmp_path: Path):
    tiny.save_pretrained(tmp_path / inside)
    image = torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(read_codec(tmp_path, CPU).encode(image), tiny.encode(image * 2 - 1).latents)


def test_a_folder_without_a_codec_is_refused(tmp_path: Path):
    with pytest.raises(PriorError, match="holds no codec: expected an autoencoder"):
        read_codec(tmp_path, CPU)


def test_a_file_that_is_not_taesds_is_refused(tiny: Network, tmp_path: Path):
    save_as_taesd(tiny, tmp_path)
    save_file({"1.weight": torch.zeros(3)}, tmp_path / TAESD_FILES["decoder"])
    with pytest.raises(PriorError, match=r"taesd_decoder\.safetensors cannot be read as TAESD's decoder"):
        read_codec(tmp_path, CPU)
