from dataclasses import replace

import torch

from splatpaint.fit.leading import in_turn, shared
from splatpaint.fit.surroundings import Surroundings
from tests.fit.test_fill_seeds import slanted_wall


def depths_of(*views: Surroundings) -> list[torch.Tensor]:
    return [view.depth for view in views]


def test_views_of_one_wall_guess_the_same():
    views = [slanted_wall(x, slice(8, 20)) for x in (0.0, 0.3, 0.6)]
    assert shared(views, depths_of(*views), tolerance=0.05) == [1.0, 1.0, 1.0]


def test_a_view_that_is_alone_with_its_guess_comes_last_however_large_its_hole():
    views = [slanted_wall(x, slice(8, 20)) for x in (0.0, 0.3, 0.6)]
    large = slanted_wall(0.2, slice(4, 24))
    astray = replace(large, depth=0.5 * large.depth)
    all_of_one = [*views, large]
    assert in_turn(all_of_one, depths_of(*all_of_one), tolerance=0.05)[0] == 3
    with_one_astray = [*views, astray]
    assert in_turn(with_one_astray, depths_of(*with_one_astray), tolerance=0.05)[-1] == 3


def test_where_every_view_guesses_otherwise_the_hole_in_context_decides():
    walls = [slanted_wall(0.1 * number, slice(12 - 2 * number, 16 + 2 * number)) for number in range(3)]
    views = [replace(wall, depth=factor * wall.depth) for factor, wall in zip((0.5, 1.0, 2.0), walls, strict=True)]
    assert in_turn(views, depths_of(*views), tolerance=0.05) == [2, 1, 0]


def test_a_hole_that_no_other_view_has_is_not_alone():
    here, aside = slanted_wall(0.0, slice(2, 8)), slanted_wall(0.0, slice(22, 28))
    views = [here, aside]
    assert shared(views, depths_of(*views), tolerance=0.05) == [None, None]
    assert sorted(in_turn(views, depths_of(*views), tolerance=0.05)) == [0, 1]
