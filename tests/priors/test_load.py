import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import LCMScheduler, UNet2DConditionModel
from peft import LoraConfig, get_peft_model_state_dict
from safetensors.torch import save_file

from splatpaint.errors import PriorError
from splatpaint.priors import load
from splatpaint.priors.latent import PriorTraits
from splatpaint.priors.load import PREFERRED, PriorConfig, chosen_prior, find_prior, load_prior, read_traits
from splatpaint.priors.protocol import Prior, PriorQuery
from tests.support.diffusion import save_toy_prior

CPU = torch.device("cpu")
FAMILIES = ["sd1", "sd2", "sdxl", "bundled"]


def query(side: int = 32, prompt: str | None = None) -> PriorQuery:
    generator = torch.Generator().manual_seed(3)
    holes = torch.zeros(2, 1, side, side)
    holes[:, :, side // 4 : side // 2, side // 4 : side // 2] = 1
    return PriorQuery(torch.rand(2, 3, side, side, generator=generator), holes, prompt)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_loads_and_denoises(tmp_path, family):
    prior = load_prior(PriorConfig(name=str(save_toy_prior(tmp_path, family))), CPU)
    assert isinstance(prior, Prior)
    given = prior.condition(query())
    noisy = torch.randn(2, 4, 32 // prior.codec.stride, 32 // prior.codec.stride)
    t = torch.tensor([100, 700])
    found = prior.denoise(noisy, t, given)
    restored = prior.noise.add_noise(found.clean, found.noise, t)
    assert torch.allclose(restored, noisy, atol=1e-4), "clean and noise together make the noisy latents"


@pytest.mark.parametrize("family", ["sd1", "sd2", "sdxl"])
def test_guidance_extrapolates_from_the_empty_prompt_through_the_given_one(tmp_path, family):
    prior = load_prior(PriorConfig(name=str(save_toy_prior(tmp_path, family))), CPU)
    noisy, t = torch.randn(2, 4, 4, 4), torch.tensor([500, 500])
    given = prior.condition(query(prompt="moss"))
    noises = [prior.denoise(noisy, t, given, guidance=scale).noise for scale in (0.0, 1.0, 3.0)]
    assert not torch.allclose(noises[0], noises[1], atol=1e-6), "the prompt matters"
    assert torch.allclose(noises[2], noises[0] + 3 * (noises[1] - noises[0]), atol=1e-4)


def test_the_configured_prompt_and_guidance_stand_in_for_a_query_without_them(tmp_path):
    folder = str(save_toy_prior(tmp_path, "sd1"))
    plain, set_up = (
        load_prior(PriorConfig(name=folder), CPU),
        load_prior(PriorConfig(name=folder, prompt="moss", guidance=2.0), CPU),
    )
    noisy, t = torch.randn(2, 4, 4, 4), torch.tensor([500, 500])
    asked = plain.denoise(noisy, t, plain.condition(query(prompt="moss")), guidance=2.0)
    configured = set_up.denoise(noisy, t, set_up.condition(query()))
    assert torch.equal(asked.noise, configured.noise)


def test_a_prior_with_a_blank_start_answers_pure_noise_with_one_mean(tmp_path):
    blank = load_prior(PriorConfig(str(save_toy_prior(tmp_path / "bundled", "bundled"))), CPU)
    holes = torch.zeros(1, 1, 32, 32)
    holes[..., 8:24, 8:24] = 1
    given = blank.condition(PriorQuery(torch.rand(1, 3, 32, 32), holes))
    one, other = (torch.randn(given.channels[:, 1:].shape, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    last = torch.tensor([len(blank.noise) - 1])
    assert torch.equal(blank.denoise(one, last, given).clean, blank.denoise(other, last, given).clean)
    assert torch.equal(blank.denoise(one, last, given).noise, one)
    lower = last // 2
    assert not torch.equal(blank.denoise(one, lower, given).clean, blank.denoise(other, lower, given).clean)


def test_only_processors_multiply_bfloat16_in_a_way_that_pays(monkeypatch):
    assert not load.multiplies_bfloat16(torch.device("cuda"))
    flags = Path("/proc/cpuinfo")
    if flags.exists():
        assert load.multiplies_bfloat16(CPU) == ("avx512_bf16" in flags.read_text())
    monkeypatch.delattr(torch.cpu, "_is_avx512_bf16_supported", raising=False)
    assert not load.multiplies_bfloat16(CPU), "a release of torch that does not say"


@pytest.mark.parametrize("able", [True, False])
def test_the_autoencoder_is_mixed_on_processors_that_are_faster_so(tmp_path, monkeypatch, able):
    """Asked for single precision it is exact, whatever the processor; what comes out is single precision always."""
    monkeypatch.setattr(load, "multiplies_bfloat16", lambda _: able)
    folder, pictures = str(save_toy_prior(tmp_path, "bundled")), query().images
    auto, exact = (load_prior(PriorConfig(name=folder, dtype=dtype), CPU).codec for dtype in ("auto", "float32"))
    latents = exact.encode(pictures)
    for mixed, single in (
        (auto.encode(pictures), latents),
        (auto.decode(latents), exact.decode(latents)),
        (auto.features(pictures)[-1], exact.features(pictures)[-1]),
    ):
        assert mixed.dtype == torch.float32
        torch.testing.assert_close(mixed, single, rtol=0.05, atol=0.02)
        assert torch.equal(mixed, single) != able


def test_half_precision_networks_answer_in_single_precision(tmp_path):
    folder = str(save_toy_prior(tmp_path, "sd1"))
    t = torch.tensor([500, 500])
    noisy = torch.randn(2, 4, 4, 4)
    answers = []
    for dtype in ("float32", "bfloat16"):
        prior = load_prior(PriorConfig(name=folder, dtype=dtype), CPU)
        answers.append(prior.denoise(noisy, t, prior.condition(query())).noise)
    assert answers[1].dtype == torch.float32
    assert 0 < (answers[0] - answers[1]).abs().max() < 0.1


def test_the_codec_scales_shifts_and_strides_as_its_family_says(tmp_path):
    for family, stride in (("sd1", 8), ("bundled", 4)):
        prior = load_prior(PriorConfig(name=str(save_toy_prior(tmp_path / family, family))), CPU)
        images = torch.rand(1, 3, 32, 48)
        latents = prior.codec.encode(images)
        assert prior.codec.stride == stride
        assert latents.shape == (1, prior.codec.channels, 32 // stride, 48 // stride)
        assert prior.codec.decode(latents).shape == images.shape


@pytest.mark.parametrize("family", ["sd1", "bundled"])
def test_codec_features_are_differentiable_and_coarsen(tmp_path, family):
    codec = load_prior(PriorConfig(name=str(save_toy_prior(tmp_path, family))), CPU).codec
    images = torch.rand(1, 3, 32, 32, requires_grad=True)
    features = codec.features(images)
    sides = [feature.shape[-1] for feature in features]
    assert len(sides) >= 3
    assert sides == sorted(sides, reverse=True)
    sum(feature.square().mean() for feature in features).backward()
    assert images.grad is not None
    assert images.grad.abs().sum() > 0


def test_a_text_to_image_model_is_refused(tmp_path):
    save_toy_prior(tmp_path, "sd1", in_channels=4)
    with pytest.raises(PriorError, match=r"text-to-image model.*takes 4 channels where 9 are needed"):
        load_prior(PriorConfig(name=str(tmp_path)), CPU)


def test_a_folder_without_a_unet_is_refused(tmp_path):
    with pytest.raises(PriorError, match=r"has no unet/config\.json"):
        load_prior(PriorConfig(name=str(tmp_path)), CPU)


def test_a_folder_without_weights_is_refused_by_name(tmp_path):
    save_toy_prior(tmp_path, "sd1")
    (tmp_path / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(PriorError, match="cannot be loaded") as caught:
        load_prior(PriorConfig(name=str(tmp_path)), CPU)
    assert "\n" not in str(caught.value)


def test_a_name_that_is_nothing_is_refused():
    with pytest.raises(PriorError, match="neither 'bundled', nor a folder that exists, nor a hub id"):
        load_prior(PriorConfig(name="no such prior"), CPU)


def test_an_unreachable_hub_is_said_at_once(tmp_path):
    program = (
        "import torch\nfrom splatpaint.errors import PriorError\nfrom splatpaint.priors.load import PriorConfig, find_folder\n"
        "try:\n    find_folder('nobody/nothing')\nexcept PriorError as error:\n    print(error)\n"
    )
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    result = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=60)
    assert "'nobody/nothing' is not in the local cache and cannot be had from the hub" in result.stdout, result.stderr


def saved_lora(unet_folder: Path, file: Path) -> None:
    """A LoRA with random weights for the U-Net, as diffusers saves one."""
    unet = UNet2DConditionModel.from_pretrained(unet_folder)
    unet.add_adapter(LoraConfig(r=2, init_lora_weights=False, target_modules=["to_q", "to_v"]))
    weights = {f"unet.{name}": value for name, value in get_peft_model_state_dict(unet).items()}
    save_file(weights, file)


def test_a_lora_changes_what_the_denoiser_says(tmp_path):
    folder = save_toy_prior(tmp_path / "toy", "sd1")
    saved_lora(folder / "unet", tmp_path / "lora.safetensors")
    plain = load_prior(PriorConfig(str(folder)), CPU)
    adapted = load_prior(PriorConfig(str(folder), lora=str(tmp_path / "lora.safetensors")), CPU)
    noisy, t = torch.randn(2, 4, 32 // plain.codec.stride, 32 // plain.codec.stride), torch.tensor([500, 500])
    said = [prior.denoise(noisy, t, prior.condition(query())).noise for prior in (plain, plain, adapted)]
    assert torch.equal(said[0], said[1])
    assert not torch.allclose(said[0], said[2], atol=1e-5)


def test_a_lora_that_does_not_fit_is_refused(tmp_path):
    folder = save_toy_prior(tmp_path / "toy", "sd1")
    save_file({"unet.nowhere.to_q.lora_A.weight": torch.zeros(2, 8)}, tmp_path / "lora.safetensors")
    with pytest.raises(PriorError, match="LoRA"):
        load_prior(PriorConfig(str(folder), lora=str(tmp_path / "lora.safetensors")), CPU)
    with pytest.raises(PriorError, match="cannot be read"):
        load_prior(PriorConfig(str(folder), lora=str(tmp_path / "absent.safetensors")), CPU)


def test_auto_is_the_bundled_prior_unless_a_gpu_finds_a_better_one_in_the_cache(tmp_path, monkeypatch):
    assert chosen_prior(CPU) == "bundled"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert chosen_prior(torch.device("cuda")) == "bundled"
    cached = tmp_path / f"models--{PREFERRED[1].replace('/', '--')}"
    (cached / "refs").mkdir(parents=True)
    (cached / "refs" / "main").write_text("abc")
    save_toy_prior(cached / "snapshots" / "abc", "sd2")
    assert chosen_prior(torch.device("cuda")) == PREFERRED[1]
    assert find_prior(PREFERRED[1]) == cached / "snapshots" / "abc"


def test_no_prompt_is_not_the_prompt_that_the_prior_was_set_up_with(tmp_path):
    prior = load_prior(PriorConfig(str(save_toy_prior(tmp_path, "sd1")), prompt="moss"), CPU)
    own, moss, nothing = (prior.condition(query(prompt=prompt)).text.tokens for prompt in (None, "moss", ""))
    assert torch.equal(own, moss)
    assert not torch.equal(own, nothing)


@pytest.mark.parametrize("family", ["sd1", "sdxl"])
def test_a_negative_prompt_takes_the_place_of_the_empty_one(tmp_path, family):
    folder = str(save_toy_prior(tmp_path, family))
    noisy, t = torch.randn(2, 4, 4, 4), torch.tensor([500, 500])
    away, at = (load_prior(PriorConfig(folder, guidance=3.0, negative=negative), CPU) for negative in ("moss", ""))
    same = away.denoise(noisy, t, away.condition(query(prompt="moss"))).noise
    unguided = at.denoise(noisy, t, at.condition(query(prompt="moss")), guidance=1.0).noise
    torch.testing.assert_close(same, unguided, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(at.denoise(noisy, t, at.condition(query(prompt="moss"))).noise, unguided, atol=1e-5)


@pytest.mark.parametrize("family", ["sd1", "bundled"])
def test_guidance_by_the_known_pixels_leads_away_from_knowing_nothing(tmp_path, family):
    """InstructPix2Pix, eq. 3: the prompt's own pull stays what it is."""
    folder = str(save_toy_prior(tmp_path, family))
    plain, led = (load_prior(PriorConfig(folder, image_guidance=scale), CPU) for scale in (1.0, 2.5))
    side = 32 // plain.codec.stride
    noisy, t, asked = torch.randn(2, 4, side, side), torch.tensor([500, 500]), query(prompt="moss")
    unseen = torch.ones_like(asked.holes)
    prompted, seeing, blind = (
        plain.denoise(noisy, t, plain.condition(each)).clean
        for each in (asked, replace(asked, prompt=""), replace(asked, prompt="", holes=unseen))
    )
    found = led.denoise(noisy, t, led.condition(asked)).clean
    torch.testing.assert_close(found, blind + 2.5 * (seeing - blind) + (prompted - seeing), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("frugal", [{"attention": "sliced"}, {"offload": True}])
def test_saving_memory_changes_no_answer(tmp_path, frugal):
    folder = str(save_toy_prior(tmp_path, "sd1"))
    noisy, t = torch.randn(2, 4, 4, 4), torch.tensor([500, 500])
    whole, saving = (load_prior(PriorConfig(folder, **settings), CPU) for settings in ({}, frugal))
    answers = [prior.denoise(noisy, t, prior.condition(query())).noise for prior in (whole, saving)]
    torch.testing.assert_close(*answers, atol=1e-5, rtol=1e-4)


def test_a_consistency_models_scheduler_says_how_to_sample(tmp_path):
    folder = save_toy_prior(tmp_path, "sd1")
    assert load_prior(PriorConfig(str(folder)), CPU).sampler == "ddim"
    LCMScheduler().save_pretrained(folder / "scheduler")
    assert load_prior(PriorConfig(str(folder)), CPU).sampler == "lcm"
    assert load_prior(PriorConfig(str(folder), sampler="ddim"), CPU).sampler == "ddim"


def test_a_lora_of_another_width_is_refused_in_one_sentence(tmp_path):
    folder = save_toy_prior(tmp_path / "prior", "bundled")
    name = next(key for key, _ in UNet2DConditionModel.from_pretrained(folder / "unet").named_modules() if key.endswith("to_q"))
    wrong = {f"unet.{name}.lora_A.weight": torch.zeros(2, 99), f"unet.{name}.lora_B.weight": torch.zeros(99, 2)}
    save_file(wrong, tmp_path / "lora.safetensors")
    with pytest.raises(PriorError, match="does not fit this prior's denoiser") as refused:
        load_prior(PriorConfig(str(folder), lora=str(tmp_path / "lora.safetensors")), CPU)
    assert "\n" not in str(refused.value)


def test_traits_of_priors_that_earlier_versions_trained_are_renamed(tmp_path):
    folder = save_toy_prior(tmp_path, "bundled")
    file = folder / "splatpaint.json"
    old = json.loads(file.read_text()) | {"most_steps": 2}
    old["blank_start"] = old.pop("zero_noise_input")
    file.write_text(json.dumps(old))
    assert read_traits(file) == PriorTraits(
        "harmonic", residual=True, native_px=32, summary=True, zero_noise_input=True, max_steps=2
    )
    assert load_prior(PriorConfig(str(folder)), CPU).max_steps == 2


def test_an_unknown_trait_is_refused_by_name(tmp_path):
    folder = save_toy_prior(tmp_path, "bundled")
    (folder / "splatpaint.json").write_text('{"wings": 2}')
    with pytest.raises(PriorError, match=r"splatpaint\.json has the unknown key 'wings'"):
        load_prior(PriorConfig(str(folder)), CPU)
