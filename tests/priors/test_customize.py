from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from splatpaint.errors import WeightsError
from splatpaint.events import Measured, Progressed, drain
from splatpaint.priors.customization_data import MaskedPhoto, TrainingBatch
from splatpaint.priors.customize import (
    ADAPTER,
    PATIENCE,
    SCENE_PROMPT,
    VALIDATION_EVERY,
    CustomizeConfig,
    batch_loss,
    customize,
    draw_sampler_levels,
    encode_batch,
    first_estimate,
    largest_inpainted_side,
    load_customization,
    perceptual_metric,
)
from splatpaint.priors.latent import LatentInpaintingPrior
from splatpaint.priors.load import PriorConfig, load_prior
from splatpaint.priors.protocol import PriorQuery
from tests.support.diffusion import save_toy_prior

CPU = torch.device("cpu")
CONFIG = CustomizeConfig(steps=6, rank=2, side_px=32, precision="no", batch=2)


def toy(tmp_path: Path, family: str = "bundled", **settings: str) -> LatentInpaintingPrior:
    folder = tmp_path / family
    if not folder.exists():
        save_toy_prior(folder, family)  # pyright: ignore[reportArgumentType]
    return load_prior(PriorConfig(str(folder), **settings), CPU)


def photos(count: int = 9) -> list[MaskedPhoto]:
    generator = torch.Generator().manual_seed(0)
    known = torch.ones(1, 1, 40, 40)
    known[..., 10:22, 12:30] = 0
    return [MaskedPhoto(torch.rand(1, 3, 40, 40, generator=generator), known, 1 - known) for _ in range(count)]


def clean_estimate(prior: LatentInpaintingPrior) -> torch.Tensor:
    holes = torch.zeros(1, 1, 32, 32)
    holes[..., 8:20, 8:20] = 1
    given = prior.condition(PriorQuery(torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(1)), holes))
    noisy = torch.randn(1, 4, 32 // prior.codec.stride, 32 // prior.codec.stride, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        return prior.denoise(noisy, torch.tensor([500]), given).clean


@pytest.mark.parametrize("max_steps", [None, 2])
@pytest.mark.parametrize("perceptual_weight", [0.0, 1.0])
def test_cells_of_the_object_have_exactly_no_gradient(tmp_path: Path, perceptual_weight: float, max_steps: int | None):
    prior = toy(tmp_path)
    prior.max_steps = max_steps
    prior.unet.requires_grad_(True)
    stride = prior.codec.stride
    supervised = torch.ones(1, 1, 32, 32)
    supervised[..., 9:17, 9:17] = 0
    batch = encode_batch(prior, TrainingBatch("single", torch.rand(1, 3, 32, 32), torch.ones(1, 1, 32, 32), supervised))
    outputs: list[torch.Tensor] = []
    prior.unet.register_forward_hook(lambda _network, _inputs, output: outputs.append(output.sample))
    config = replace(CONFIG, perceptual_weight=perceptual_weight)
    loss = batch_loss(prior, batch, torch.Generator().manual_seed(0), config, perceptual_metric(prior, config))
    (gradient,) = torch.autograd.grad(loss, outputs[-1])
    touched = torch.zeros(32 // stride, 32 // stride, dtype=torch.bool)
    touched[9 // stride : -(-17 // stride), 9 // stride : -(-17 // stride)] = True
    assert (gradient[..., touched] == 0).all()
    assert (gradient[..., ~touched] != 0).all()


class CountingMetric:
    """A metric that counts the pictures it compares."""

    def __init__(self) -> None:
        self.pictures = 0

    def map(self, x: torch.Tensor, y: torch.Tensor, /) -> torch.Tensor:
        self.pictures += len(x)
        return (x - y).square().mean(dim=1, keepdim=True)


@pytest.mark.parametrize("max_steps", [None, 2])
def test_half_of_a_batch_is_decoded(tmp_path: Path, max_steps: int | None):
    prior, metric = toy(tmp_path), CountingMetric()
    prior.max_steps = max_steps
    config = replace(CONFIG, perceptual_weight=1.0)
    batch = TrainingBatch("single", torch.rand(6, 3, 32, 32), torch.ones(6, 1, 32, 32), torch.ones(6, 1, 32, 32))
    batch_loss(prior, encode_batch(prior, batch), torch.Generator().manual_seed(0), config, metric)
    assert metric.pictures == 3


@pytest.mark.parametrize(("levels", "of_all", "expected"), [([999], 0.5, {999: 4}), ([999, 499], 0.75, {999: 3, 499: 1})])
def test_a_prior_of_few_steps_is_trained_at_the_levels_of_its_sampler(
    levels: list[int], of_all: float, expected: dict[int, int]
):
    t = draw_sampler_levels(levels, 4, of_all, torch.Generator().manual_seed(0)).tolist()
    assert {level: t.count(level) for level in levels} == expected
    assert t == sorted(t, reverse=True)


def test_later_steps_are_trained_on_the_estimate_of_the_first(tmp_path: Path):
    prior = toy(tmp_path)
    stride, holes = prior.codec.stride, torch.zeros(2, 1, 32, 32)
    holes[..., 8:24, 8:24] = 1
    batch = encode_batch(prior, TrainingBatch("single", torch.rand(2, 3, 32, 32), holes, torch.ones_like(holes)))
    noise, last = torch.randn(batch.clean.shape), len(prior.noise) - 1
    start = first_estimate(prior, batch, noise, torch.tensor([last, 400]))
    estimate = prior.denoise(noise, torch.tensor([last, last]), batch.given).clean
    inside = torch.zeros(batch.clean.shape[2:], dtype=torch.bool)
    inside[8 // stride : 24 // stride, 8 // stride : 24 // stride] = True
    assert torch.equal(start[0], batch.clean[0])
    assert torch.equal(start[1], torch.where(inside, estimate[1], batch.clean[1]))
    assert not torch.equal(start[1], batch.clean[1])


@pytest.mark.parametrize(("short", "side"), [(10, 64), (130, 128), (500, 192)])
def test_crops_have_the_size_of_the_largest_inpainted_crop(tmp_path: Path, short: int, side: int):
    prior = toy(tmp_path)
    prior.codec.stride, prior.smallest_px, prior.native_px = 8, 64, 192
    sizes = [(short, 2 * short), (short + 70, short)]
    asked = [MaskedPhoto(torch.zeros(1, 3, *size), torch.ones(1, 1, *size), torch.zeros(1, 1, *size)) for size in sizes]
    assert largest_inpainted_side(prior, asked) == side


def test_a_customization_lowers_the_validation_loss_and_is_saved_and_loaded(tmp_path: Path):
    prior = toy(tmp_path)
    before = clean_estimate(prior)
    events = list(
        customize(prior, photos(), replace(CONFIG, learning_rate=1e-2, steps=12), seed=0, out=tmp_path / "l.safetensors")
    )
    found = next(event.values for event in events if isinstance(event, Measured))
    assert found["held_out_after"] < found["held_out_before"]
    after = clean_estimate(prior)
    assert not torch.allclose(after, before)
    again = toy(tmp_path)
    load_customization(again, tmp_path / "l.safetensors")
    torch.testing.assert_close(clean_estimate(again), after)
    assert all(key.startswith("unet.") and ".lora_" in key for key in load_file(tmp_path / "l.safetensors"))


def test_a_lora_adapts_the_convolutions_only_if_asked(tmp_path: Path):
    for layers in ("attention", "all"):
        out = tmp_path / f"{layers}.safetensors"
        drain(customize(toy(tmp_path), photos(), replace(CONFIG, layers=layers), seed=0, out=out))
        assert any(".conv" in key for key in load_file(out)) == (layers == "all")
        load_customization(toy(tmp_path), out)


def test_lpips_without_its_weights_is_refused(tmp_path: Path):
    config = replace(CONFIG, perceptual_weight=1.0, perceptual_net="vgg")
    with pytest.raises(WeightsError):
        drain(customize(toy(tmp_path), photos(), config, seed=0, out=tmp_path / "l.safetensors"))


def test_training_that_does_not_help_ends_early_and_changes_nothing(tmp_path: Path):
    prior = toy(tmp_path)
    before = clean_estimate(prior)
    config = replace(CONFIG, steps=VALIDATION_EVERY * (PATIENCE + 1), learning_rate=0.0)
    events = list(customize(prior, photos(), config, seed=0, out=tmp_path / "l.safetensors"))
    assert [event.done for event in events if isinstance(event, Progressed)][-1] == VALIDATION_EVERY * PATIENCE
    assert torch.equal(clean_estimate(prior), before)


def test_the_same_seed_gives_the_same_lora(tmp_path: Path):
    files = [tmp_path / "a.safetensors", tmp_path / "b.safetensors"]
    for file in files:
        drain(customize(toy(tmp_path), photos(), CONFIG, seed=3, out=file))
    one, other = map(load_file, files)
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_a_given_lora_stays_as_it_is_and_adds_up_with_the_scenes(tmp_path: Path):
    drain(customize(toy(tmp_path), photos(), replace(CONFIG, learning_rate=1e-2), seed=0, out=tmp_path / "given.safetensors"))
    prior = toy(tmp_path, lora=str(tmp_path / "given.safetensors"))
    held = {key: value.clone() for key, value in prior.unet.state_dict().items()}
    drain(customize(prior, photos(), replace(CONFIG, learning_rate=1e-2), seed=1, out=tmp_path / "scene.safetensors"))
    assert all(torch.equal(prior.unet.state_dict()[key], value) for key, value in held.items())
    again = toy(tmp_path, lora=str(tmp_path / "given.safetensors"))
    load_customization(again, tmp_path / "scene.safetensors")
    assert set(again.unet.active_adapters()) == {"given", ADAPTER}
    torch.testing.assert_close(clean_estimate(again), clean_estimate(prior))


def test_a_prior_that_reads_text_is_asked_for_the_scene(tmp_path: Path):
    prior = toy(tmp_path, "sd1", prompt="a wall")
    prior.native_px = 32
    drain(customize(prior, photos(2), replace(CONFIG, steps=1), seed=0, out=tmp_path / "l.safetensors"))
    assert prior.prompt == f"{SCENE_PROMPT}, a wall"


def test_a_batch_can_be_encoded_without_the_prompt(tmp_path: Path):
    prior = toy(tmp_path, "sd1", prompt="moss")
    batch = TrainingBatch("single", torch.rand(1, 3, 32, 32), torch.ones(1, 1, 32, 32), torch.ones(1, 1, 32, 32))
    with_it, without = (encode_batch(prior, batch, prompted=prompted).given.text for prompted in (True, False))
    assert with_it is not None
    assert without is not None
    assert not torch.equal(with_it.tokens, without.tokens)
