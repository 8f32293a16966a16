from pathlib import Path

import pytest
import torch

from splatpaint.priors.load import PriorConfig, load_prior
from splatpaint.priors.protocol import PriorQuery
from tests.support.diffusion import Family, save_toy_prior


@pytest.mark.parametrize("family", ["bundled", "sd1"])
def test_a_denoiser_is_wrong_by_how_far_its_estimate_is_from_the_clean_latents(tmp_path: Path, family: Family):
    save_toy_prior(tmp_path / family, family)
    prior = load_prior(PriorConfig(str(tmp_path / family)), torch.device("cpu"))
    given = prior.condition(PriorQuery(torch.rand(2, 3, 32, 32), torch.ones(2, 1, 32, 32)))
    clean, start, noise = torch.randn(3, 2, 4, 32 // prior.codec.stride, 32 // prior.codec.stride)
    t = torch.tensor([300, 600])
    signal, spread = prior.noise.signal(t), prior.noise.spread(t)
    with torch.no_grad():
        plain, _ = prior.training_error(clean, noise, t, given)
        same, _ = prior.training_error(clean, noise, t, given, start=clean)
        error, estimate = prior.training_error(clean, noise, t, given, start)
    torch.testing.assert_close(same, plain)
    scale = {"bundled": spread, "sd1": spread / signal}[family]  # of a network that predicts v, and noise
    torch.testing.assert_close(error, ((estimate - clean) / scale).square().mean(dim=1, keepdim=True), rtol=1e-3, atol=1e-4)
    assert not torch.allclose(error, plain)
