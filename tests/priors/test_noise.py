import pytest
import torch

from splatpaint.priors.noise import NoiseSchedule, split_prediction, step_down, velocity
from tests.support.gaussian_prior import zero_snr_cosine

LEVELS = torch.tensor([0, 400, 999])


def drawn() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(3, 4, 8, 8), torch.randn(3, 4, 8, 8)


def test_a_noisy_latent_keeps_unit_variance():
    clean, noise = torch.randn(2, 1, 1, 200, 200)
    noisy = zero_snr_cosine().add_noise(clean, noise, torch.tensor([300]))
    assert noisy.std().item() == pytest.approx(1.0, abs=0.02)


def test_the_cosine_schedule_ends_in_nothing_but_noise():
    clean, noise = drawn()
    schedule = zero_snr_cosine()
    assert torch.equal(schedule.add_noise(clean, noise, LEVELS)[2], noise[2])


def test_a_velocity_gives_back_both_halves_at_every_level_ends_included():
    clean, noise = drawn()
    schedule = zero_snr_cosine()
    noisy = schedule.add_noise(clean, noise, LEVELS)
    found = split_prediction(velocity(clean, noise, LEVELS, schedule), noisy, LEVELS, schedule, "v_prediction")
    assert torch.allclose(found.clean, clean, atol=1e-5)
    assert torch.allclose(found.noise, noise, atol=1e-5)


@pytest.mark.parametrize("prediction", ["epsilon", "sample"])
def test_other_predictions_give_back_both_halves_inside_the_schedule(prediction):
    clean, noise = drawn()
    schedule, t = zero_snr_cosine(), torch.tensor([100, 500, 800])
    noisy = schedule.add_noise(clean, noise, t)
    found = split_prediction(noise if prediction == "epsilon" else clean, noisy, t, schedule, prediction)
    assert torch.allclose(found.clean, clean, atol=1e-4)
    assert torch.allclose(found.noise, noise, atol=1e-4)


def test_stepping_down_with_the_truth_lands_on_the_same_noise_at_the_lower_level():
    clean, noise = drawn()
    schedule = zero_snr_cosine()
    lower = torch.tensor([0, 100, 500])
    truth = split_prediction(
        velocity(clean, noise, LEVELS, schedule),
        schedule.add_noise(clean, noise, LEVELS),
        LEVELS,
        schedule,
        "v_prediction",
    )
    assert torch.allclose(step_down(truth, lower, schedule), schedule.add_noise(clean, noise, lower), atol=1e-5)
    assert torch.equal(step_down(truth, None, schedule), truth.clean)


@pytest.mark.parametrize(("steps", "start"), [(1, None), (4, None), (7, 500), (50, 9)])
def test_timesteps_begin_at_the_start_and_fall(steps, start):
    levels = zero_snr_cosine().timesteps(steps, start)
    assert levels[0] == (999 if start is None else start)
    assert levels == sorted(set(levels), reverse=True)
    assert len(levels) == min(steps, levels[0] + 1)
    assert levels[-1] >= 0


def test_timesteps_are_even():
    gaps = -torch.tensor(zero_snr_cosine().timesteps(7)).diff()
    assert gaps.max() - gaps.min() <= 1


@pytest.mark.parametrize("alpha_bar", [[0.5], [0.5, 0.6], [1.2, 0.5], [0.5, -0.1]])
def test_a_schedule_that_does_not_fall_from_one_to_zero_is_refused(alpha_bar):
    with pytest.raises(ValueError, match="alpha_bar must fall"):
        NoiseSchedule(torch.tensor(alpha_bar))


@pytest.mark.parametrize(("steps", "start", "message"), [(0, None, "0 steps"), (3, 1000, "level 1000"), (3, -1, "level -1")])
def test_timesteps_that_cannot_be_are_refused(steps, start, message):
    with pytest.raises(ValueError, match=message):
        zero_snr_cosine().timesteps(steps, start)
