from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter

from splatpaint.errors import PriorError
from splatpaint.events import Progressed, drain
from splatpaint.image import perceptual
from splatpaint.priors.canvas import split_panels
from splatpaint.priors.codec import DiffusersCodec
from splatpaint.priors.latent import LatentInpaintingPrior
from splatpaint.priors.load import PriorConfig, load_prior
from splatpaint.priors.noise import NoiseSchedule, draw_levels
from splatpaint.priors.photos import read_photos
from splatpaint.priors.pretrain import train_codec, train_prior
from splatpaint.priors.pretrain_codec import CodecTraining
from splatpaint.priors.pretrain_denoiser import (
    KINDS,
    DenoiserTraining,
    PictureKind,
    build_denoiser,
    build_scheduler,
    denoising_loss,
    prior_traits,
    training_holes,
    training_pictures,
)
from splatpaint.priors.protocol import PriorQuery
from splatpaint.priors.sampling import partial_denoise
from splatpaint.priors.training import CURVE_FILE
from tests.support.diffusion import save_toy_teacher, toy_vae
from tests.support.gaussian_prior import zero_snr_cosine

CODEC = CodecTraining(steps=6, batch=2, crop_px=16, width=8, encoder_blocks=(0, 1), decoder_blocks=(1, 0), precision="no")
DENOISER = DenoiserTraining(steps=6, batch=4, crop_px=32, widths=(8, 16), shard_crops=4, shard_steps=4, precision="no")
TOKEN = torch.zeros(2, 1, 16)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for number in range(6):
        noise = Image.fromarray(rng.integers(0, 256, (40, 40, 3), dtype=np.uint8))
        noise.filter(ImageFilter.GaussianBlur(3)).save(folder / f"{number}.png")
    return folder


def stop_after(events, stage: str, done: int) -> None:
    for event in events:
        if isinstance(event, Progressed) and event.stage == stage and event.done == done:
            events.close()
            return
    raise AssertionError(f"{stage} never got to {done}")


def weights(folder):
    from safetensors.torch import load_file

    return load_file(folder / "diffusion_pytorch_model.safetensors")


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    return save_toy_teacher(tmp_path_factory.mktemp("teacher"))


@pytest.fixture(scope="module")
def codec(photos, teacher, tmp_path_factory):
    return drain(train_codec(CODEC, teacher, photos, tmp_path_factory.mktemp("codec")))


def test_training_gives_a_prior_that_loads_and_paints(photos, codec, tmp_path):
    drain(train_prior(DENOISER, codec, photos, tmp_path))
    assert not any(str(tmp_path.parent) in file.read_text() for file in tmp_path.rglob("*.json"))
    prior = load_prior(PriorConfig(name=str(tmp_path)), torch.device("cpu"))
    assert (prior.smallest_px, prior.native_px) == (32, 64)
    assert prior.unet.config.in_channels == 9
    query = PriorQuery(torch.rand(1, 3, 32, 64), torch.ones(1, 1, 32, 64).triu(32), layout="pair")
    painted = partial_denoise(prior, query, query.images, strength=1.0, steps=2, generator=torch.Generator())
    assert painted.isfinite().all()


def test_a_codec_stopped_half_way_continues_to_the_same_weights(photos, teacher, codec, tmp_path):
    config = replace(CODEC, checkpoint_every=3)
    stop_after(train_codec(config, teacher, photos, tmp_path), "codec", 4)
    assert_same_weights(drain(train_codec(config, teacher, photos, tmp_path)), codec)


def test_a_codec_with_a_critic_continues_to_the_same_weights(photos, teacher, codec, tmp_path):
    config = replace(CODEC, checkpoint_every=3, critic_weight=0.1, init=str(codec))
    straight = drain(train_codec(config, teacher, photos, tmp_path / "straight"))
    stop_after(train_codec(config, teacher, photos, tmp_path / "broken"), "codec", 4)
    assert_same_weights(drain(train_codec(config, teacher, photos, tmp_path / "broken")), straight)
    uncritical = drain(train_codec(replace(config, critic_weight=0.0), teacher, photos, tmp_path / "uncritical"))
    assert any(not torch.equal(value, weights(straight)[key]) for key, value in weights(uncritical).items())


def test_a_codec_of_another_shape_is_no_start(photos, teacher, codec, tmp_path):
    with pytest.raises(PriorError, match="has another shape than the one to be trained"):
        drain(train_codec(replace(CODEC, width=16, init=str(codec)), teacher, photos, tmp_path))


def test_a_denoiser_stopped_within_a_shard_continues_to_the_same_weights(photos, codec, tmp_path):
    config, straight, broken = replace(DENOISER, checkpoint_every=3), tmp_path / "straight", tmp_path / "broken"
    drain(train_prior(config, codec, photos, straight))
    stop_after(train_prior(config, codec, photos, broken), "denoiser", 4)
    drain(train_prior(config, codec, photos, broken))
    assert_same_weights(straight / "unet", broken / "unet")
    curve = (straight / CURVE_FILE).read_text().splitlines()
    assert curve[0] == "step,loss"
    assert curve[-1].startswith(f"{config.steps},")
    assert curve == (broken / CURVE_FILE).read_text().splitlines()


def test_a_denoiser_starts_from_another(photos, codec, tmp_path):
    drain(train_prior(replace(DENOISER, steps=2), codec, photos, tmp_path / "first"))
    again = replace(DENOISER, steps=1, learning_rate=0.0, init=str(tmp_path / "first"))
    drain(train_prior(again, codec, photos, tmp_path / "second"))
    assert_same_weights(tmp_path / "first" / "unet", tmp_path / "second" / "unet")


def test_a_denoiser_of_another_shape_is_no_start(photos, codec, tmp_path):
    drain(train_prior(replace(DENOISER, steps=1), codec, photos, tmp_path / "first"))
    with pytest.raises(PriorError, match="has another shape than the one to be trained"):
        drain(train_prior(replace(DENOISER, widths=(8, 24), init=str(tmp_path / "first")), codec, photos, tmp_path / "other"))
    with pytest.raises(PriorError, match="holds no prior to start from"):
        drain(train_prior(replace(DENOISER, init=str(codec)), codec, photos, tmp_path / "none"))


@pytest.mark.parametrize("teaching", [{"perceptual_weight": 1.0}, {"critic_weight": 0.1}])
def test_a_denoiser_is_taught_how_its_pictures_look(photos, codec, tmp_path, monkeypatch, teaching):
    """The same steps with and without LPIPS (of a random trunk) or a critic: other weights; stopped and continued: the same."""
    trunk = perceptual._vgg16().state_dict()
    torch.save({f"features.{name}": value for name, value in trunk.items()}, tmp_path / perceptual.FILE_NAMES["vgg"][0])
    monkeypatch.setenv(perceptual.WEIGHTS_VARIABLE, str(tmp_path))
    plainly = replace(DENOISER, checkpoint_every=3, perceptual_crops=2)
    config = replace(plainly, **teaching)
    plain, taught, broken = (tmp_path / name for name in ("plain", "taught", "broken"))
    drain(train_prior(plainly, codec, photos, plain))
    drain(train_prior(config, codec, photos, taught))
    stop_after(train_prior(config, codec, photos, broken), "denoiser", 4)
    drain(train_prior(config, codec, photos, broken))
    assert_same_weights(taught / "unet", broken / "unet")
    assert any(not torch.equal(value, weights(taught / "unet")[key]) for key, value in weights(plain / "unet").items())


def assert_same_weights(one, other):
    first, second = weights(one), weights(other)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_a_run_with_other_settings_is_not_continued(photos, teacher, tmp_path):
    stop_after(train_codec(CODEC, teacher, photos, tmp_path), "codec", 3)
    with pytest.raises(PriorError, match=r"begun with other settings \(seed\)"):
        drain(train_codec(replace(CODEC, seed=7), teacher, photos, tmp_path))


def test_a_folder_without_a_codec_is_refused(photos, tmp_path):
    with pytest.raises(PriorError, match="holds no codec: expected an autoencoder"):
        drain(train_prior(DENOISER, tmp_path, photos, tmp_path / "out"))


def test_a_codec_of_another_stride_than_its_teacher_is_refused(photos, teacher, tmp_path):
    with pytest.raises(PriorError, match="the codec would have stride 4, its teacher has 2"):
        drain(train_codec(replace(CODEC, encoder_blocks=(0, 1, 1)), teacher, photos, tmp_path))


def test_the_codec_learns_its_teachers_latents_and_the_pictures(photos, teacher, tmp_path):
    config = replace(CODEC, steps=60, batch=8, learning_rate=3e-3)
    said = [event.values for event in train_codec(config, teacher, photos, tmp_path) if isinstance(event, Progressed)]
    for term in ("latent", "pixel"):
        losses = [values[term] for values in said]
        assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5]), term


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_and_holes_of_every_kind_have_the_same_size(photos, kind: PictureKind):
    rng, pictures = np.random.default_rng(0), read_photos(photos)
    images = training_pictures(kind, 3, 16, pictures, rng)
    holes = training_holes(kind, 3, replace(DENOISER, crop_px=16), rng)
    assert images.shape == (3, 3, *holes.shape[2:])
    assert images[0, 0].numel() == kind.area * 16 * 16


def test_only_the_target_of_a_pair_and_never_all_of_a_grid_has_holes():
    rng = np.random.default_rng(0)
    pair, grid = (next(kind for kind in KINDS if kind.layout == layout) for layout in ("pair", "grid"))
    reference, target = split_panels(training_holes(pair, 40, DENOISER, rng), "pair")
    assert not reference.any()
    assert target.any(dim=(1, 2, 3)).all()
    assert 0 < (target == 1).all(dim=(1, 2, 3)).sum() < 20
    holed = torch.stack(
        [panel.any() for row in training_holes(grid, 40, DENOISER, rng) for panel in split_panels(row[None], "grid")]
    )
    counts = holed.view(40, 4).sum(dim=1)
    assert set(counts.tolist()) == {1, 2, 3}


def test_an_untrained_denoiser_predicts_the_harmonic_fill():
    model = build_denoiser(DENOISER, 4).eval()
    inputs = torch.randn(1, 9, 8, 8)
    token = torch.zeros(1, 1, model.config.cross_attention_dim)
    assert torch.equal(model(inputs, torch.tensor([500]), token).sample, torch.zeros(1, 4, 8, 8))


def untrained(schedule: NoiseSchedule) -> LatentInpaintingPrior:
    codec = DiffusersCodec(toy_vae("bundled"), tiny=True)
    return LatentInpaintingPrior(build_denoiser(DENOISER, 4), codec, schedule, "v_prediction", traits=prior_traits(DENOISER))


def test_the_loss_of_an_untrained_denoiser_is_the_mean_square_of_the_velocity():
    """In pure noise the velocity is minus the residual on the filled latents, whatever the noise."""
    schedule, t = zero_snr_cosine(), torch.tensor([999, 999])
    clean, given = torch.randn(2, 4, 8, 8), torch.rand(2, 5, 8, 8)
    given[:, :1] = 1
    loss, estimate = denoising_loss(untrained(schedule), clean, given, TOKEN, t, torch.randn(2, 4, 8, 8), known_weight=0.1)
    assert loss.item() == pytest.approx((clean - given[:, 1:]).square().mean().item(), rel=1e-5)
    torch.testing.assert_close(estimate, given[:, 1:])


def test_errors_outside_the_holes_weigh_little():
    schedule, t = zero_snr_cosine(), torch.tensor([999, 999])
    given = torch.zeros(2, 5, 8, 8)
    given[:, :1, :, :4] = 1
    clean = given[:, :1].expand(-1, 4, -1, -1).clone()
    learning, eps = untrained(schedule), torch.randn(2, 4, 8, 8)
    inside, outside = (
        denoising_loss(learning, wrong, given, TOKEN, t, eps, known_weight=0.1)[0] for wrong in (clean, 1 - clean)
    )
    assert outside.item() == pytest.approx(0.1 * inside.item(), rel=1e-5)


def test_the_share_of_draws_in_pure_noise_is_as_asked():
    levels = draw_levels(20_000, 1000, 0.3, torch.Generator().manual_seed(0))
    assert (levels == 999).float().mean().item() == pytest.approx(0.3, abs=0.02)
    assert levels.min() == 0


def test_the_schedule_ends_in_pure_noise():
    alpha_bar = build_scheduler().alphas_cumprod
    assert alpha_bar[-1] == 0
    assert alpha_bar[0] > 0.999


def test_the_denoiser_has_the_layers_that_low_rank_adapters_look_for():
    names = {name.rsplit("attn1.", 1)[-1] for name, _ in build_denoiser(DENOISER, 4).named_modules() if "attn1." in name}
    assert {"to_q", "to_k", "to_v", "to_out.0"} <= names
