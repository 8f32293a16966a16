from dataclasses import replace

import torch

from splatpaint.fill.boundary import boundary_splats
from splatpaint.fill.preservation import PreservationConstraint
from splatpaint.fill.views import observed_views
from splatpaint.fit.parameters import BOUNDARY, FILL
from splatpaint.fit.seeding import round_splats
from splatpaint.image.region import dilate
from splatpaint.render.reference import rasterize
from splatpaint.scene.photos import Photos
from splatpaint.scene.splats import concatenate
from tests.fill.test_phases import CPU, GRAY, QUICK, fill_of, stained_wall
from tests.support.walls import holed_wall

LOOSE = replace(QUICK, boundary_px=8.0)
HELD = replace(LOOSE, preserve_observed=True)


def scene_with_views(folder):
    scene, removal = holed_wall(folder)
    return scene, removal.kept, observed_views(Photos(scene.capture.views, CPU), removal, rasterize)


def most_changed(before, after, views):
    """Of a color, of 255, over all pixels farther than the boundary from the holes."""
    changes = []
    for view in views:
        elsewhere = (dilate(view.fill_region, LOOSE.boundary_px) == 0).expand(1, 3, -1, -1)
        was, now = (rasterize(scene, view.camera).color.clamp(0, 1) for scene in (before, after))
        changes.append(float((now - was).abs()[elsewhere].max()))
    return 255 * max(changes)


def one(place, *, scale=0.02, nearer=0.0):
    means = torch.tensor([[*place, 1.0 - nearer]])
    return round_splats(means, torch.tensor([[0.9, 0.1, 0.1]]), torch.tensor([scale]), opacity=0.9, sh_degree=0)


def labels(trained, *, fill: int) -> torch.Tensor:
    """The last ones are of the fill."""
    return torch.where(torch.arange(len(trained)) < len(trained) - fill, BOUNDARY, FILL).byte()


def test_nothing_changes_away_from_the_holes(tmp_path):
    scene, removal = stained_wall(tmp_path)
    views = observed_views(Photos(scene.capture.views, CPU), removal, rasterize)
    loose, constraint = (fill_of(scene, removal, GRAY, config) for config in (LOOSE, HELD))
    assert most_changed(removal.kept, loose, views) > 1.5
    assert most_changed(removal.kept, constraint, views) <= 1
    for view in views:
        inside = (view.unobserved > 0).expand(1, 3, -1, -1)
        bare, filled = (rasterize(each, view.camera).color for each in (removal.kept, constraint))
        assert (filled - bare)[inside].abs().mean() > 0.1, "the hole is filled all the same"


def test_photos_hardly_see_boundary_splats_elsewhere(tmp_path):
    _, kept, views = scene_with_views(tmp_path)
    boundary, loose = (boundary_splats(kept, views, rasterize, config) for config in (HELD, LOOSE))
    assert 0 < boundary.sum() < loose.sum()
    assert not (boundary & ~loose).any()
    assert most_changed(kept, kept[~boundary], views) < 0.5 * most_changed(kept, kept[~loose], views)


def test_where_no_photo_shows_anything_the_boundary_may_be_seen(tmp_path):
    _, kept, views = scene_with_views(tmp_path)
    unseen = [view.with_maps(observed=torch.zeros_like(view.depth)) for view in views]
    assert torch.equal(boundary_splats(kept, unseen, rasterize, HELD), boundary_splats(kept, views, rasterize, LOOSE))


def test_what_changes_nothing_elsewhere_is_let_be(tmp_path):
    _, kept, views = scene_with_views(tmp_path)
    is_boundary = boundary_splats(kept, views, rasterize, HELD)
    learned = concatenate([kept[is_boundary], one([0.0, 0.0])])
    constraint = PreservationConstraint(kept[is_boundary], kept[~is_boundary], views, rasterize, HELD)
    assert_same(constraint.revert_leaks(learned, labels(learned, fill=1)), learned)
    assert_same(learned[constraint.prune_leaks(learned, labels(learned, fill=1))], learned)


def test_a_boundary_splat_that_changes_something_elsewhere_is_again_what_it_was(tmp_path):
    _, kept, views = scene_with_views(tmp_path)
    is_boundary = boundary_splats(kept, views, rasterize, HELD)
    boundary, fill = kept[is_boundary], one([0.0, 0.0])
    first = torch.arange(len(boundary)) == 0
    grown = replace(
        boundary, log_scales=boundary.log_scales + 2.0 * first[:, None], sh=boundary.sh + 1.0 * first[:, None, None]
    )
    dyed = replace(grown, sh=torch.where((torch.arange(len(boundary)) == 1)[:, None, None], grown.sh + 0.01, grown.sh))
    back = PreservationConstraint(boundary, kept[~is_boundary], views, rasterize, HELD).revert_leaks(
        concatenate([dyed, fill]), labels(concatenate([dyed, fill]), fill=1)
    )
    assert_same(back[:1], boundary[:1])
    assert_same(back[1:], concatenate([dyed[1:], fill]))


def test_a_boundary_splat_that_fades_from_where_it_shows_elsewhere_is_again_what_it_was(tmp_path):
    _, kept, views = scene_with_views(tmp_path)
    away = (kept.means - torch.tensor([0.5, 0.0, 1.0])).norm(dim=1).argmin() == torch.arange(len(kept))
    constraint = PreservationConstraint(kept[away], kept[~away], views, rasterize, HELD)
    faded = replace(kept[away], logit_opacities=torch.tensor([-20.0]))
    assert most_changed(kept, concatenate([kept[~away], faded]), views) > 1
    assert_same(constraint.revert_leaks(faded, labels(faded, fill=0)), kept[away])


def test_fill_that_changes_something_elsewhere_is_made_smaller_or_given_up(tmp_path):
    _, kept, views = scene_with_views(tmp_path)
    wide, away = one([0.0, 0.0], scale=0.15, nearer=0.1), one([0.5, 0.0], nearer=0.1)
    fill = concatenate([wide, away, one([0.0, 0.0])])
    constraint = PreservationConstraint(kept[:0], kept, views, rasterize, HELD)
    smaller = constraint.revert_leaks(fill, labels(fill, fill=3))
    assert smaller.log_scales[0, 0] < fill.log_scales[0, 0] - 0.4
    assert most_changed(kept, concatenate([kept, smaller[:1]]), views) <= 1
    assert_same(smaller[2:], fill[2:])
    assert_same(smaller[constraint.prune_leaks(smaller, labels(smaller, fill=3))], smaller[torch.tensor([0, 2])])


def layer(depth, opacity, scale):
    place, red = torch.tensor([[0.5, 0.0, depth]]), torch.tensor([[0.9, 0.1, 0.1]])
    return round_splats(place, red, torch.tensor([scale]), opacity=opacity, sh_degree=0)


def test_what_is_too_faint_to_paint_but_makes_a_pixel_full_is_given_up(tmp_path):
    _, kept, views = scene_with_views(tmp_path)
    # Of the light 0.01005 passes the first layer, and 0.0001005 the second, which is just enough for it to be painted.
    frozen, faint = concatenate([kept, layer(0.6, 0.98995, 9.0), layer(0.8, 0.99, 9.0)]), layer(0.7, 0.02, 0.01)
    assert most_changed(frozen, concatenate([frozen, faint]), views) > 1
    as_fill, as_boundary = (
        PreservationConstraint(frozen[:0], frozen, views, rasterize, HELD),
        PreservationConstraint(layer(0.7, 0.001, 0.01), frozen, views, rasterize, HELD),
    )
    assert not as_fill.prune_leaks(faint, labels(faint, fill=1)).any()
    assert_same(as_boundary.revert_leaks(faint, labels(faint, fill=0)), as_boundary.boundary)


def assert_same(one, other):
    for name, value in one.tensors().items():
        assert torch.equal(value, other.tensors()[name]), name


def test_groups_are_told_by_their_labels_wherever_they_stand(tmp_path):
    _, kept, views = scene_with_views(tmp_path)
    is_boundary = boundary_splats(kept, views, rasterize, HELD)
    boundary, fill = kept[is_boundary], one([0.0, 0.0], scale=0.15, nearer=0.1)
    constraint = PreservationConstraint(boundary, kept[~is_boundary], views, rasterize, HELD)
    sorted_, group = concatenate([boundary, fill]), labels(concatenate([boundary, fill]), fill=1)
    shuffled = torch.cat([torch.tensor([len(boundary)]), torch.arange(len(boundary))])
    expected = constraint.revert_leaks(sorted_, group)
    assert expected.log_scales[-1, 0] < fill.log_scales[0, 0], "the fill leaked"
    assert_same(constraint.revert_leaks(sorted_[shuffled], group[shuffled]), expected[shuffled])
