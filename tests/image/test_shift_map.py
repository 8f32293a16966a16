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
    torn = torch.where(hole > 0, torch.rand(image.shape, generator=torch.Generator().manual_seed(9)), image)
    return shift_map_inpaint(torn, hole, source, guide, generator=torch.Generator().manual_seed(seed))


def checks(height: int, width: int, period: int) -> torch.Tensor:
    """A pattern that patches can only continue in one way."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    red = ((x // (period // 2) + y // (period // 2)) % 2).float()
    return torch.stack([red, (x % period) / period, (y % period) / period])[None]


def test_a_pattern_is_continued():
    image, hole = checks(96, 120, 12), square(96, 120, top=30, left=40, side=30)
    wrong = (completed(image, hole) - image).abs().amax(dim=1)[hole[:, 0] > 0]
    assert (wrong < 0.02).float().mean() > 0.95


def test_what_is_known_comes_back_and_the_rest_is_as_lively():
    generator = torch.Generator().manual_seed(1)
    palette = torch.tensor([[0.3, 0.4, 0.5], [0.7, 0.5, 0.3], [0.5, 0.6, 0.4]])
    drawn = palette[torch.randint(3, (80, 80), generator=generator)].permute(2, 0, 1)[None]
    hole = square(80, 80, top=20, left=20, side=25)
    result = completed(drawn, hole)
    assert torch.equal(result[(hole == 0).expand_as(drawn)], drawn[(hole == 0).expand_as(drawn)])
    inside = result[..., 22:43, 22:43]
    assert inside.std() > 0.8 * drawn.std(), "nothing is blurred"


def stripes(height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Lying ones and standing ones."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    lying, standing = (0.3 + 0.4 * ((axis // 2) % 2).float() for axis in (y, x))
    return lying.expand(1, 3, -1, -1), standing.expand(1, 3, -1, -1)


def rising(picture: torch.Tensor) -> float:
    """How much it changes from row to row."""
    return float(picture.diff(dim=2).abs().mean())


def test_nothing_is_copied_from_outside_the_source():
    """Lying stripes on the left, standing ones on the right, the hole between them: of the left alone it is made lying."""
    lying, standing = stripes(64, 96)
    image, hole = lying.clone(), square(64, 96, top=22, left=38, side=20)
    image[..., 48:] = standing[..., 48:]
    source = torch.zeros_like(hole)
    source[..., :48] = 1
    result = completed(image, hole, source=source)[..., 24:40, 40:56]
    assert rising(result) > 0.8 * rising(lying)


def test_pieces_are_made_as_bright_as_what_is_around_the_hole():
    tile = 0.2 + 0.5 * torch.rand(1, 3, 12, 12, generator=torch.Generator().manual_seed(2))
    image, hole = tile.repeat(1, 1, 8, 10), square(96, 120, top=33, left=70, side=30)
    source = torch.zeros_like(hole)
    image[..., 60:] += 0.08
    source[..., :60] = 1
    wrong = (completed(image, hole, source=source, guide=image) - image).abs().amax(dim=1)[hole[:, 0] > 0]
    assert (wrong < 0.02).float().mean() > 0.9


def told_by_the_guide() -> float:
    """How much more a hole between dark lying stripes and light standing ones is laid with lying ones if its guide is dark."""
    lying, standing = stripes(64, 96)
    image, hole = 0.5 * lying, torch.zeros(1, 1, 64, 96)
    image[..., 48:] = 0.5 + 0.5 * standing[..., 48:]
    hole[..., 38:58] = 1
    dark, light = (completed(image, hole, guide=torch.full_like(image, level))[..., 40:56] for level in (0.25, 0.75))
    return rising(dark) / rising(light)


def test_the_guide_says_which_of_two_surfaces_it_is():
    assert told_by_the_guide() > 1.3


def darkened(row: int) -> float:
    """How much darker a light hole beside a dark surface becomes by a darker spot of its guide, there."""
    generator = torch.Generator().manual_seed(0)
    image, hole = 0.6 + 0.1 * torch.rand(1, 3, 96, 160, generator=generator), square(96, 160, top=14, left=70, side=68)
    image[..., :40] -= 0.35
    light, spot = torch.full_like(image, 0.65), (..., slice(row - 8, row + 8), slice(96, 112))
    dark = light.clone()
    dark[spot] = 0.45
    return float((completed(image, hole, guide=light) - completed(image, hole, guide=dark))[spot].mean())


def test_the_guide_says_less_far_from_the_rim():
    at_the_rim, in_the_middle = darkened(22), darkened(48)
    assert at_the_rim > 0.02
    assert in_the_middle < 0.5 * at_the_rim


def test_without_a_hole_the_picture_comes_back():
    image = torch.rand(1, 3, 32, 40)
    assert torch.equal(completed(image, torch.zeros(1, 1, 32, 40)), image)


def test_where_there_is_nothing_to_copy_the_guide_is_the_result():
    image, guide = torch.rand(1, 3, 32, 40), torch.rand(1, 3, 32, 40)
    hole = square(32, 40, top=8, left=8, side=16)
    result = completed(image, hole, source=torch.zeros_like(hole), guide=guide)
    assert torch.equal(result, torch.where(hole > 0, guide, image))


def test_a_hole_at_the_border_is_filled_with_what_is_known():
    """Not with what the picture happens to hold in the hole, nor with what padding repeats of it."""
    image, hole = checks(72, 96, 12), torch.zeros(1, 1, 72, 96)
    hole[..., :20, 30:60] = 1
    wrong = (completed(image, hole) - image).abs().amax(dim=1)[hole[:, 0] > 0]
    assert (wrong < 0.02).float().mean() > 0.9


@pytest.mark.parametrize(
    "hole", [(slice(40, None), slice(None)), (slice(None), slice(40, None)), (slice(10, 40), slice(40, 90))]
)
def test_what_the_picture_holds_in_the_hole_does_not_count(hole: tuple[slice, slice]):
    """Where an edge of the picture cuts the hole no offset may lead to what is known."""
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
