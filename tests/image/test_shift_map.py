import pytest
import torch

from splatpaint.image.shift_map import shift_map_inpaint


def square(height: int, width: int, *, top: int, left: int, side: int) -> torch.Tensor:
    hole = torch.zeros(1, 1, height, width)
    hole[..., top : top + side, left : left + side] = 1
    return hole


def completed(image, hole, *, source=None, guide=None, seed=0):
    source = torch.ones_like(hole) if source is None else source
    guide = image.mean(dim=(2, 3), keepdim=True).expand_as(image) if guide is None else guide
    noisy = torch.where(hole > 0, torch.rand(image.shape, generator=torch.Generator().manual_seed(9)), image)
    return shift_map_inpaint(noisy, hole, source, guide, generator=torch.Generator().manual_seed(seed))


def checks(height: int, width: int, period: int) -> torch.Tensor:
    """A pattern with a unique continuation."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    red = ((x // (period // 2) + y // (period // 2)) % 2).float()
    return torch.stack([red, (x % period) / period, (y % period) / period])[None]


def test_a_pattern_is_continued():
    image, hole = checks(96, 120, 12), square(96, 120, top=30, left=40, side=30)
    wrong = (completed(image, hole) - image).abs().amax(dim=1)[hole[:, 0] > 0]
    assert (wrong < 0.02).float().mean() > 0.95


def test_known_pixels_come_back_and_the_fill_keeps_its_contrast():
    generator = torch.Generator().manual_seed(1)
    palette = torch.tensor([[0.3, 0.4, 0.5], [0.7, 0.5, 0.3], [0.5, 0.6, 0.4]])
    drawn = palette[torch.randint(3, (80, 80), generator=generator)].permute(2, 0, 1)[None]
    hole = square(80, 80, top=20, left=20, side=25)
    result = completed(drawn, hole)
    assert torch.equal(result[(hole == 0).expand_as(drawn)], drawn[(hole == 0).expand_as(drawn)])
    inside = result[..., 22:43, 22:43]
    assert inside.std() > 0.8 * drawn.std(), "nothing is blurred"


def stripes(height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Horizontal ones and vertical ones."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    horizontal, vertical = (0.3 + 0.4 * ((axis // 2) % 2).float() for axis in (y, x))
    return horizontal.expand(1, 3, -1, -1), vertical.expand(1, 3, -1, -1)


def row_contrast(picture: torch.Tensor) -> float:
    """Mean absolute difference between adjacent rows."""
    return float(picture.diff(dim=2).abs().mean())


def test_nothing_is_copied_from_outside_the_source():
    """Horizontal stripes on the left, vertical ones on the right, a hole between them; the source is the left half."""
    horizontal, vertical = stripes(64, 96)
    image, hole = horizontal.clone(), square(64, 96, top=22, left=38, side=20)
    image[..., 48:] = vertical[..., 48:]
    source = torch.zeros_like(hole)
    source[..., :48] = 1
    result = completed(image, hole, source=source)[..., 24:40, 40:56]
    assert row_contrast(result) > 0.8 * row_contrast(horizontal)


def test_copied_regions_get_the_brightness_around_the_hole():
    tile = 0.2 + 0.5 * torch.rand(1, 3, 12, 12, generator=torch.Generator().manual_seed(2))
    image, hole = tile.repeat(1, 1, 8, 10), square(96, 120, top=33, left=70, side=30)
    source = torch.zeros_like(hole)
    image[..., 60:] += 0.08
    source[..., :60] = 1
    wrong = (completed(image, hole, source=source, guide=image) - image).abs().amax(dim=1)[hole[:, 0] > 0]
    assert (wrong < 0.02).float().mean() > 0.9


def guide_effect() -> float:
    """Ratio of horizontal stripes in a hole between dark horizontal and light vertical ones, with a dark and a light guide."""
    horizontal, vertical = stripes(64, 96)
    image, hole = 0.5 * horizontal, torch.zeros(1, 1, 64, 96)
    image[..., 48:] = 0.5 + 0.5 * vertical[..., 48:]
    hole[..., 38:58] = 1
    dark, light = (completed(image, hole, guide=torch.full_like(image, level))[..., 40:56] for level in (0.25, 0.75))
    return row_contrast(dark) / row_contrast(light)


def test_the_guide_selects_between_two_surfaces():
    assert guide_effect() > 1.3


def darkened(row: int) -> float:
    """Mean darkening of the fill at a dark spot of the guide, in a light hole next to a dark surface."""
    generator = torch.Generator().manual_seed(0)
    image, hole = 0.6 + 0.1 * torch.rand(1, 3, 96, 160, generator=generator), square(96, 160, top=14, left=70, side=68)
    image[..., :40] -= 0.35
    light, spot = torch.full_like(image, 0.65), (..., slice(row - 8, row + 8), slice(96, 112))
    dark = light.clone()
    dark[spot] = 0.45
    return float((completed(image, hole, guide=light) - completed(image, hole, guide=dark))[spot].mean())


def test_the_guide_counts_less_far_from_the_boundary():
    at_the_boundary, in_the_middle = darkened(22), darkened(48)
    assert at_the_boundary > 0.02
    assert in_the_middle < 0.5 * at_the_boundary


def test_without_a_hole_the_picture_comes_back():
    image = torch.rand(1, 3, 32, 40)
    assert torch.equal(completed(image, torch.zeros(1, 1, 32, 40)), image)


def test_where_there_is_nothing_to_copy_the_guide_is_the_result():
    image, guide = torch.rand(1, 3, 32, 40), torch.rand(1, 3, 32, 40)
    hole = square(32, 40, top=8, left=8, side=16)
    result = completed(image, hole, source=torch.zeros_like(hole), guide=guide)
    assert torch.equal(result, torch.where(hole > 0, guide, image))


def test_a_hole_at_the_border_is_filled_with_what_is_known():
    """Neither pixels inside the hole nor padding are copied."""
    image, hole = checks(72, 96, 12), torch.zeros(1, 1, 72, 96)
    hole[..., :20, 30:60] = 1
    wrong = (completed(image, hole) - image).abs().amax(dim=1)[hole[:, 0] > 0]
    assert (wrong < 0.02).float().mean() > 0.9


@pytest.mark.parametrize(
    "hole", [(slice(40, None), slice(None)), (slice(None), slice(40, None)), (slice(10, 40), slice(40, 90))]
)
def test_pixels_inside_the_hole_are_ignored(hole: tuple[slice, slice]):
    """Also where the image border cuts the hole and no offset leads to known pixels."""
    image, guide = 0.5 + 0.5 * checks(90, 120, 12), torch.full((1, 3, 90, 120), 0.6)
    inside = torch.zeros(1, 1, 90, 120)
    inside[..., hole[0], hole[1]] = 1
    black, white = (
        shift_map_inpaint(
            torch.where(inside > 0, value, image), inside, 1 - inside, guide, generator=torch.Generator().manual_seed(0)
        )
        for value in (0.0, 1.0)
    )
    assert torch.equal(black, white)
    assert black.min() > 0.4


def test_the_same_seed_gives_the_same_picture():
    image, hole = torch.rand(1, 3, 340, 360), square(340, 360, top=60, left=70, side=40)
    assert torch.equal(completed(image, hole), completed(image, hole))
    assert not torch.equal(completed(image, hole), completed(image, hole, seed=1))
