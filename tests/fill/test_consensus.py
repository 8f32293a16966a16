from torch.nn import functional as F

from splatpaint.fill.consensus import MAX_VIEWS, DepthConsensus
from splatpaint.fill.views import ObservedView
from tests.fill.test_seeding import slanted_wall


def consensus_of(*views: ObservedView) -> DepthConsensus:
    return DepthConsensus(views, [view.depth for view in views])


def test_views_of_one_wall_agree():
    views = [slanted_wall(x, slice(8, 20)) for x in (0.0, 0.3, 0.6)]
    assert consensus_of(*views).support == [1.0, 1.0, 1.0]


def test_an_outlier_comes_last_however_large_its_hole():
    views = [slanted_wall(x, slice(8, 20)) for x in (0.0, 0.3, 0.6)]
    large = slanted_wall(0.2, slice(4, 24))
    outlier = large.with_maps(depth=0.5 * large.depth)
    all_of_one = [*views, large]
    assert consensus_of(*all_of_one).seeding_order()[0] == 3
    with_an_outlier = [*views, outlier]
    assert consensus_of(*with_an_outlier).seeding_order()[-1] == 3


def test_where_every_view_consensus_otherwise_the_hole_in_context_decides():
    walls = [slanted_wall(0.1 * number, slice(12 - 2 * number, 16 + 2 * number)) for number in range(3)]
    views = [wall.with_maps(depth=factor * wall.depth) for factor, wall in zip((0.5, 1.0, 2.0), walls, strict=True)]
    assert consensus_of(*views).seeding_order() == [2, 1, 0]


def test_without_consensus_no_view_is_an_outlier():
    pairs = [slanted_wall(0.1 * number, slice(10, 18)) for number in range(6)]
    views = [wall.with_maps(depth=factor * wall.depth) for wall, factor in zip(pairs, (1, 1, 0.8, 0.8, 0.6, 0.6), strict=True)]
    large = slanted_wall(0.2, slice(4, 24))
    consensus = consensus_of(*views, large.with_maps(depth=0.4 * large.depth))
    assert consensus.support[-1] == 0
    assert not consensus.has_consensus
    assert consensus.seeding_order()[0] == 6


def test_views_without_a_hole_are_not_asked():
    holed = [slanted_wall(x, slice(8, 20)) for x in (0.0, 0.3, 0.6)]
    whole = [slanted_wall(0.1, slice(0, 0))] * (3 * MAX_VIEWS)
    consensus = consensus_of(*whole, *holed)
    assert consensus.support[-3:] == [1.0, 1.0, 1.0]
    assert consensus.has_consensus


def test_photos_may_be_of_any_size():
    small, large = slanted_wall(0.0, slice(8, 20)), slanted_wall(0.3, slice(8, 20))
    camera = large.camera.resized(64, 64)
    names = ("image", "observed", "unobserved", "support_removed", "depth", "alpha")
    larger = ObservedView.of(camera, **{name: F.interpolate(getattr(large, name), (64, 64)) for name in names})
    for _ in range(8):  # of a sequence the type checker looks at an item by chance
        assert consensus_of(small, larger).support == [1.0, 1.0]


def test_a_hole_that_no_other_view_has_is_no_outlier():
    here, aside = slanted_wall(0.0, slice(2, 8)), slanted_wall(0.0, slice(22, 28))
    views = [here, aside]
    assert consensus_of(*views).support == [None, None]
    assert sorted(consensus_of(*views).seeding_order()) == [0, 1]


def test_a_point_that_hardly_another_view_expects_has_low_support():
    views = [slanted_wall(x, slice(8, 20)) for x in (0.0, 0.3, 0.6)]
    on_wall = views[0].camera.unproject(views[0].depth)[0][views[0].in_fill_region[0, 0]]
    before_it = views[0].camera.unproject(0.8 * views[0].depth)[0][views[0].in_fill_region[0, 0]]
    consensus = consensus_of(*views)
    assert not consensus.low_support(on_wall, views[0], min_view_support=0.2).any()
    assert consensus.low_support(before_it, views[0], min_view_support=0.2).float().mean() > 0.5
    assert not consensus.low_support(before_it, views[0], min_view_support=0.0).any()


def test_without_consensus_no_point_has_low_support():
    walls = [slanted_wall(x, slice(8, 20)) for x in (0.0, 0.3, 0.6)]
    views = [wall.with_maps(depth=factor * wall.depth) for factor, wall in zip((0.5, 1.0, 2.0), walls, strict=True)]
    places = views[0].camera.unproject(views[0].depth)[0][views[0].in_fill_region[0, 0]]
    assert not consensus_of(*views).low_support(places, views[0], min_view_support=0.2).any()
