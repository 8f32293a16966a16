from dataclasses import replace

from torch.nn import functional as F

from splatpaint.fill.consensus import WITNESSES, DepthConsensus
from splatpaint.fill.views import ObservedView
from tests.fit.test_fill_seeds import slanted_wall


def guesses_of(*views: ObservedView) -> DepthConsensus:
    return DepthConsensus(views, [view.depth for view in views], tolerance=0.05)


def test_views_of_one_wall_guess_the_same():
    views = [slanted_wall(x, slice(8, 20)) for x in (0.0, 0.3, 0.6)]
    assert guesses_of(*views).shared == [1.0, 1.0, 1.0]


def test_a_view_that_is_alone_with_its_guess_comes_last_however_large_its_hole():
    views = [slanted_wall(x, slice(8, 20)) for x in (0.0, 0.3, 0.6)]
    large = slanted_wall(0.2, slice(4, 24))
    misplaced_fill = replace(large, depth=0.5 * large.depth)
    all_of_one = [*views, large]
    assert guesses_of(*all_of_one).seeding_order()[0] == 3
    with_one_astray = [*views, misplaced_fill]
    assert guesses_of(*with_one_astray).seeding_order()[-1] == 3


def test_where_every_view_guesses_otherwise_the_hole_in_context_decides():
    walls = [slanted_wall(0.1 * number, slice(12 - 2 * number, 16 + 2 * number)) for number in range(3)]
    views = [replace(wall, depth=factor * wall.depth) for factor, wall in zip((0.5, 1.0, 2.0), walls, strict=True)]
    assert guesses_of(*views).seeding_order() == [2, 1, 0]


def test_where_few_guess_alike_none_is_last_for_being_alone():
    pairs = [slanted_wall(0.1 * number, slice(10, 18)) for number in range(6)]
    views = [replace(wall, depth=factor * wall.depth) for wall, factor in zip(pairs, (1, 1, 0.8, 0.8, 0.6, 0.6), strict=True)]
    large = slanted_wall(0.2, slice(4, 24))
    guesses = guesses_of(*views, replace(large, depth=0.4 * large.depth))
    assert guesses.shared[-1] == 0
    assert not guesses.agreed
    assert guesses.seeding_order()[0] == 6


def test_views_without_a_hole_are_no_witnesses():
    holed = [slanted_wall(x, slice(8, 20)) for x in (0.0, 0.3, 0.6)]
    whole = [slanted_wall(0.1, slice(0, 0))] * (3 * WITNESSES)
    guesses = guesses_of(*whole, *holed)
    assert guesses.shared[-3:] == [1.0, 1.0, 1.0]
    assert guesses.agreed


def test_photos_may_be_of_any_size():
    small, large = slanted_wall(0.0, slice(8, 20)), slanted_wall(0.3, slice(8, 20))
    camera = large.camera.resized(64, 64)
    larger = ObservedView(
        camera,
        *(F.interpolate(part, (64, 64)) for part in (large.image, large.seen, large.hole, large.torn)),
        *(F.interpolate(part, (64, 64), mode="bilinear") for part in (large.depth, large.alpha)),
    )
    for _ in range(8):  # of a sequence the type checker looks at an item by chance
        assert guesses_of(small, larger).shared == [1.0, 1.0]


def test_a_hole_that_no_other_view_has_is_not_alone():
    here, aside = slanted_wall(0.0, slice(2, 8)), slanted_wall(0.0, slice(22, 28))
    views = [here, aside]
    assert guesses_of(*views).shared == [None, None]
    assert sorted(guesses_of(*views).seeding_order()) == [0, 1]


def test_a_place_that_hardly_another_view_guesses_is_alone():
    views = [slanted_wall(x, slice(8, 20)) for x in (0.0, 0.3, 0.6)]
    on_wall = views[0].camera.unproject(views[0].depth)[0][views[0].open[0, 0] > 0]
    before_it = views[0].camera.unproject(0.8 * views[0].depth)[0][views[0].open[0, 0] > 0]
    guesses = guesses_of(*views)
    assert not guesses.alone(on_wall, views[0], share=0.2).any()
    assert guesses.alone(before_it, views[0], share=0.2).float().mean() > 0.5
    assert not guesses.alone(before_it, views[0], share=0.0).any()


def test_where_the_views_do_not_agree_no_place_is_alone():
    walls = [slanted_wall(x, slice(8, 20)) for x in (0.0, 0.3, 0.6)]
    views = [replace(wall, depth=factor * wall.depth) for factor, wall in zip((0.5, 1.0, 2.0), walls, strict=True)]
    places = views[0].camera.unproject(views[0].depth)[0][views[0].open[0, 0] > 0]
    assert not guesses_of(*views).alone(places, views[0], share=0.2).any()
