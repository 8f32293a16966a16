import torch

from splatpaint.image.local_gain import CELLS, LARGEST, local_gain, spread_gain

HEIGHT, WIDTH = 48, 80
Y, X = torch.meshgrid(torch.linspace(-1, 1, HEIGHT), torch.linspace(-1, 1, WIDTH), indexing="ij")
ONES = torch.ones(1, 1, HEIGHT, WIDTH)


def texture(seed: int) -> torch.Tensor:
    return 0.3 + 0.4 * torch.rand(1, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(seed))


def error_db(x, y, region):
    return float(-10 * torch.log10(((x - y).square() * region).sum() / (3 * region.sum())))


def test_light_that_falls_off_is_found():
    scene = texture(0)
    photo = scene * (1.1 - 0.3 * (X**2 + Y**2))
    gain = local_gain(scene, photo, ONES)
    assert gain.shape == (1, 3, round(CELLS * HEIGHT / WIDTH), CELLS)
    found = scene * spread_gain(gain, HEIGHT, WIDTH)
    assert error_db(found, photo, ONES) > error_db(scene, photo, ONES) + 12


def test_a_gain_goes_on_over_pixels_that_do_not_count():
    scene = texture(1)
    photo = scene * (0.8 + 0.2 * X)
    hole = ((X**2 + Y**2) < 0.1).float()[None, None]
    spoiled = photo * (1 - hole) + hole
    gain = spread_gain(local_gain(scene, spoiled, 1 - hole), HEIGHT, WIDTH)
    assert error_db(scene * gain, photo, hole) > error_db(scene, photo, hole) + 10


def test_texture_is_left_to_the_splats():
    flat = torch.full((1, 3, HEIGHT, WIDTH), 0.5)
    photo = flat + 0.3 * (torch.rand(1, 1, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(2)) - 0.5)
    gain = local_gain(flat, photo, ONES)
    assert float((gain - 1).abs().max()) < 0.12
    assert error_db(flat * spread_gain(gain, HEIGHT, WIDTH), photo, ONES) < error_db(flat, photo, ONES) + 0.5


def test_where_nothing_counts_gains_are_one():
    assert torch.equal(local_gain(texture(3), texture(4), 0 * ONES), torch.ones(1, 3, round(CELLS * HEIGHT / WIDTH), CELLS))


def test_gains_stay_within_bounds_in_the_dark_so_that_they_can_be_undone():
    black, dim = torch.zeros(1, 3, HEIGHT, WIDTH), torch.full((1, 3, HEIGHT, WIDTH), 0.001)
    for scene, photo in ((black, texture(5)), (texture(5), black), (ONES.expand(-1, 3, -1, -1), dim), (dim, texture(5))):
        gain = local_gain(scene, photo, ONES)
        assert 1 / LARGEST <= float(gain.min()) <= float(gain.max()) <= LARGEST
    assert float(local_gain(ONES.expand(-1, 3, -1, -1), dim, ONES).max()) == 1 / LARGEST
