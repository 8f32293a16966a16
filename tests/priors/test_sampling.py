import pytest
import torch

from splatpaint.priors.load import PriorConfig, load_prior
from splatpaint.priors.protocol import Prior, PriorQuery
from splatpaint.priors.sampling import partial_denoise
from tests.support.diffusion import save_toy_prior
from tests.support.gaussian_prior import GaussianPrior

MU, S = 0.5, 0.05


def all_hole(side: int = 16) -> PriorQuery:
    """Nothing is known but one pixel, which is as black as the guess."""
    holes = torch.ones(1, 1, side, side)
    holes[..., 0, 0] = 0
    return PriorQuery(torch.zeros(1, 3, side, side), holes)


def inside(query: PriorQuery, images: torch.Tensor) -> torch.Tensor:
    return images[query.holes.expand_as(images) > 0]


def half_hole(side: int = 32) -> PriorQuery:
    holes = torch.zeros(2, 1, side, side)
    holes[..., side // 3 :] = 1
    return PriorQuery(torch.rand(2, 3, side, side), holes)


def noise(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def toy(tmp_path) -> Prior:
    return load_prior(PriorConfig(name=str(save_toy_prior(tmp_path, "bundled"))), torch.device("cpu"))


def test_the_gaussian_prior_satisfies_the_protocol():
    assert isinstance(GaussianPrior(torch.tensor(MU), S), Prior)


def test_the_gaussian_halves_make_up_the_noisy_latent():
    prior, noisy, t = GaussianPrior(torch.tensor(MU), S), torch.randn(3, 3, 4, 4), torch.tensor([0, 500, 999])
    found = prior.denoise(noisy, t, prior.condition(PriorQuery(noisy, torch.ones(3, 1, 4, 4))))
    assert torch.allclose(prior.noise.add_noise(found.clean, found.noise, t), noisy, atol=1e-5)


def test_in_pure_noise_the_gaussian_prior_expects_its_mean():
    prior, noisy = GaussianPrior(torch.tensor(MU), S), torch.randn(1, 3, 4, 4)
    found = prior.denoise(noisy, torch.tensor([999]), prior.condition(PriorQuery(noisy, torch.ones(1, 1, 4, 4))))
    assert torch.equal(found.clean, torch.full_like(noisy, MU))


def test_many_ddim_steps_reach_the_closed_form():
    """The probability flow of a Gaussian maps x_T to mu + s (x_T - sqrt(a_T) mu) / sqrt(a_T s^2 + 1 - a_T)."""
    prior, query = GaussianPrior(torch.tensor(MU), S), all_hole()
    painted = partial_denoise(prior, query, query.images, strength=1.0, steps=1000, generator=noise())
    x_T = torch.randn(query.images.shape, generator=noise())
    a_T = prior.noise.alpha_bar[-1]
    expected = MU + S * (x_T - a_T.sqrt() * MU) / (a_T * S**2 + 1 - a_T).sqrt()
    assert torch.allclose(inside(query, painted), inside(query, expected), atol=0.1 * S)


def test_fewer_ddim_steps_are_further_from_the_closed_form():
    prior, query = GaussianPrior(torch.tensor(MU), S), all_hole()
    expected = MU + S * torch.randn(query.images.shape, generator=noise())
    errors = [
        inside(query, partial_denoise(prior, query, query.images, strength=1.0, steps=steps, generator=noise()) - expected)
        .abs()
        .mean()
        for steps in (1, 10, 100)
    ]
    assert errors[0] > errors[1] > errors[2]


def test_one_step_from_pure_noise_is_the_mean():
    prior, query = GaussianPrior(torch.tensor(MU), S), all_hole()
    painted = partial_denoise(prior, query, query.images, strength=1.0, steps=1, generator=noise())
    assert torch.allclose(inside(query, painted), torch.tensor(MU))


def test_strength_is_how_far_the_guess_is_given_up():
    prior, query = GaussianPrior(torch.tensor(MU), S), all_hole()
    guess = torch.full_like(query.images, 0.9)
    drift = [
        inside(query, partial_denoise(prior, query, guess, strength=strength, steps=50, generator=noise()) - guess).abs().mean()
        for strength in (0.0, 0.02, 0.2, 0.6)
    ]
    assert drift[0] == 0
    assert drift == sorted(drift)


def test_strength_zero_takes_the_guess_in_the_holes_only():
    query = half_hole()
    guess = torch.rand_like(query.images)
    result = partial_denoise(GaussianPrior(torch.tensor(MU), S), query, guess, strength=0.0, steps=3, generator=noise())
    assert torch.equal(result, torch.where(query.holes > 0, guess, query.images))


@pytest.mark.parametrize("strength", [0.3, 1.0])
def test_pixels_outside_the_holes_are_bit_identical(toy, strength):
    query = half_hole()
    painted = partial_denoise(toy, query, query.images, strength=strength, steps=3, generator=noise())
    known = (query.holes == 0).expand_as(painted)
    assert torch.equal(painted[known], query.images[known])
    assert not torch.allclose(painted[~known], query.images[~known])


def test_what_a_hole_hides_is_not_looked_at(toy):
    query = half_hole()
    other = PriorQuery(torch.where(query.holes > 0, torch.rand_like(query.images), query.images), query.holes)
    a, b = (
        partial_denoise(toy, each, torch.zeros_like(each.images), strength=0.6, steps=2, generator=noise())
        for each in (query, other)
    )
    assert torch.equal(a, b)


def test_the_same_seed_paints_the_same_and_another_another(toy):
    query = half_hole()
    a, b, c = (partial_denoise(toy, query, query.images, strength=1.0, steps=3, generator=noise(seed)) for seed in (1, 1, 2))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_painted_pixels_are_displayable(toy):
    query = half_hole()
    painted = partial_denoise(toy, query, query.images, strength=1.0, steps=2, generator=noise())
    assert painted.min() >= 0
    assert painted.max() <= 1


def test_what_the_codec_loses_of_a_guess_is_kept_where_nothing_new_is_painted(toy):
    """A toy codec loses nearly everything, yet a guess that is hardly noised comes back nearly whole."""
    query = half_hole()
    lost = (toy.codec.decode(toy.codec.encode(query.images)) - query.images).abs().mean()
    painted = partial_denoise(toy, query, query.images, strength=0.001, steps=1, generator=noise())
    assert (painted - query.images).abs().mean() < 0.2 * lost


def test_a_strength_beyond_one_is_refused():
    query = all_hole()
    with pytest.raises(ValueError, match=r"strength 1\.5"):
        partial_denoise(GaussianPrior(torch.tensor(MU), S), query, query.images, strength=1.5, steps=1, generator=noise())


def test_the_closed_form_holds_for_every_noise_level_as_a_start():
    """DDIM transports quantiles: a latent so many standard deviations from its level's mean ends so many from mu."""
    prior, query, guess = GaussianPrior(torch.tensor(MU), S), all_hole(), torch.full((1, 3, 16, 16), 0.52)
    for strength in (0.1, 0.5, 0.8):
        painted = partial_denoise(prior, query, guess, strength=strength, steps=1000, generator=noise())
        a = prior.noise.alpha_bar[round(strength * 1000) - 1]
        x_t = a.sqrt() * guess + (1 - a).sqrt() * torch.randn(guess.shape, generator=noise())
        expected = MU + S * (x_t - a.sqrt() * MU) / (a * S**2 + 1 - a).sqrt()
        assert torch.allclose(inside(query, painted), inside(query, expected), atol=0.15 * S)


def test_samplers_stop_at_the_steps_that_still_help_a_prior():
    query, prior = half_hole(), GaussianPrior(torch.tensor(MU), S)
    few, many = (partial_denoise(prior, query, query.images, strength=1.0, steps=n, generator=noise()) for n in (2, 9))
    prior.max_steps = 2
    capped = partial_denoise(prior, query, query.images, strength=1.0, steps=9, generator=noise())
    assert torch.equal(capped, few)
    assert not torch.equal(capped, many)


def test_a_consistency_sampler_draws_new_noise_for_every_step():
    """From one picture's noise DDIM has one answer; noised anew, what is painted depends on noise that was drawn later."""
    prior, query = GaussianPrior(torch.tensor(0.4), 0.2), PriorQuery(torch.zeros(1, 3, 8, 8), torch.ones(1, 1, 8, 8).triu(1))
    painted = {}
    for sampler in ("ddim", "lcm"):
        prior.sampler = sampler
        arguments = {"strength": 1.0, "steps": 2, "generator": torch.Generator().manual_seed(0)}
        painted[sampler] = partial_denoise(prior, query, query.images, **arguments)
    unknown = query.holes.expand(-1, 3, -1, -1) > 0
    assert not torch.allclose(painted["ddim"][unknown], painted["lcm"][unknown], atol=1e-3)
    assert torch.equal(painted["ddim"][~unknown], painted["lcm"][~unknown])
