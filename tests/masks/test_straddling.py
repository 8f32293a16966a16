from functools import partial

import torch

from splatpaint.masks.lift import MaskedView, lift
from splatpaint.masks.straddling import halves, split_straddling, straddling
from splatpaint.render.reference import rasterize
from splatpaint.scene.rotation import matrices_from_quats
from splatpaint.scene.splats import Splats, concatenate
from tests.support.scenes import cloud, orbit, splat_at

CAMERA = orbit(1, width=40, height=32, focal=36.0)


def covariances(splats: Splats):
    axes = matrices_from_quats(splats.quats) * splats.scales[:, None, :]
    return axes @ axes.transpose(1, 2)


def test_halves_have_the_mean_and_the_spread_of_the_whole():
    whole = cloud(20, degree=1, seed=3)
    one, other = halves(whole)
    torch.testing.assert_close((one.means + other.means) / 2, whole.means)
    offset = (one.means - other.means) / 2
    mixture = (covariances(one) + covariances(other)) / 2 + offset[:, :, None] * offset[:, None, :]
    torch.testing.assert_close(mixture, covariances(whole), atol=1e-6, rtol=1e-4)
    assert torch.equal(one.sh, whole.sh)
    assert one.scales.amax(dim=1).sum() < whole.scales.amax(dim=1).sum()


def test_only_what_straddles_is_split_and_ends_on_either_side():
    wide = splat_at((0.0, 0.0, 0.0), scale=0.25, opacity=0.9)
    aside = splat_at((0.6, 0.0, 0.0), scale=0.03, opacity=0.9)
    scene = concatenate([wide, aside])
    _, column, _, _ = CAMERA.find(aside.means)
    mask = torch.zeros(1, 1, 32, 40, dtype=torch.bool)
    on_the_left = int(column[0]) > 20
    mask[..., :20] = on_the_left
    mask[..., 20:] = not on_the_left
    vote = partial(lift, views=[MaskedView(CAMERA, mask, mask, torch.ones_like(mask))], rasterizer=rasterize)
    assert straddling(vote(scene)).tolist() == [True, False]
    split, votes = split_straddling(scene, vote)
    assert len(split) == len(votes.inside) > 2
    assert (split.means == aside.means).all(dim=1).sum() == 1
    share = (votes.inside / votes.total)[(split.means != aside.means).any(dim=1)]
    assert share.min() < 0.25
    assert share.max() > 0.75


def test_what_does_not_straddle_stays_bit_for_bit():
    scene = cloud(8, seed=1)
    everything = torch.ones(1, 1, 32, 40, dtype=torch.bool)
    vote = partial(lift, views=[MaskedView(CAMERA, everything, everything, everything)], rasterizer=rasterize)
    split, _ = split_straddling(scene, vote)
    assert split is scene
