import torch

from splatpaint.fill.ways import HolePainter, Way
from splatpaint.image.harmonic import harmonic_fill
from splatpaint.priors.protocol import PriorQuery


def painter(seed: int = 0) -> HolePainter:
    """Stripes with a hole, which was painted gray before."""
    stripes = (torch.arange(64) // 4 % 2).float().expand(1, 3, 48, 64) * 0.6 + 0.2
    hole = torch.zeros(1, 1, 48, 64)
    hole[..., 16:32, 24:40] = 1
    return HolePainter(PriorQuery(stripes, hole), 1 - hole, torch.full_like(stripes, 0.5), seed, 16.0)


def test_known_pixels_stay_as_they_are_in_every_way():
    given = painter()
    known = (given.query.holes == 0).expand_as(given.query.images)
    for way in (Way("smooth"), Way("prior"), Way("pieces", 0.7)):
        assert torch.equal(given.paint(way)[known], given.query.images[known])


def test_smooth_is_the_harmonic_fill_and_ignores_what_was_painted():
    given = painter()
    assert torch.equal(given.paint(Way("smooth")), harmonic_fill(given.query.images, given.query.holes))


def test_the_weight_mixes_pieces_with_what_was_painted():
    given = painter()
    guide, half, pieces = (given.paint(way) for way in (Way("prior"), Way("pieces", 0.5), Way("pieces", 1.0)))
    assert (pieces - given.query.images).abs().max() < 0.02, "stripes continue"
    assert (guide - given.query.images).abs().max() > 0.2
    assert torch.allclose(half, (guide + pieces) / 2, atol=1e-6)


def test_the_same_seed_copies_the_same_pieces():
    assert torch.equal(painter(3).paint(Way("pieces", 1.0)), painter(3).paint(Way("pieces", 1.0)))


def test_names_of_ways_differ():
    ways = [Way("smooth"), Way("prior"), Way("pieces", 0.4), Way("pieces", 0.7)]
    assert len({way.name for way in ways}) == len({way.sentence for way in ways}) == 4
