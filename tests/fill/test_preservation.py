from dataclasses import replace

import torch

from splatpaint.events import drain
from splatpaint.fill.boundary import boundary_splats
from splatpaint.fill.preservation import PreservationConstraint
from splatpaint.fit.seeding import round_splats
from splatpaint.image.region import dilate
from splatpaint.render.reference import rasterize
from splatpaint.scene.splats import concatenate
from splatpaint.stages.inpaint import inpaint, surroundings
from tests.stages.test_inpaint import CPU, GRAY, QUICK, stained_wall
from tests.support.walls import holed_wall

LOOSE = replace(QUICK, boundary_px=8)
LEASH = replace(LOOSE, leash=True)


def scene_with_views(folder):
    scene, removal = holed_wall(folder)
    return scene, removal.kept, surroundings(scene.capture, removal, rasterize, CPU)


def most_changed(before, after, views):
    """Of a color, of 255, over all pixels farther than the boundary from the holes."""
    changes = []
    for view in views:
        elsewhere = (dilate(view.open, LOOSE.boundary_px) == 0).expand(1, 3, -1, -1)
        was, now = (rasterize(scene, view.camera).color.clamp(0, 1) for scene in (before, after))
        changes.append(float((now - was).abs()[elsewhere].max()))
    return 255 * max(changes)


def one(place, *, scale=0.02, nearer=0.0):
    means = torch.tensor([[*place, 1.0 - nearer]])
    return round_splats(means, torch.tensor([[0.9, 0.1, 0.1]]), torch.tensor([scale]), opacity=0.9, sh_degree=0)


def test_on_the_leash_nothing_changes_away_from_the_holes(tmp_path):
    scene, removal = stained_wall(tmp_path)
    views = surroundings(scene.capture, removal, rasterize, CPU)
    loose, leash = (
        drain(inpaint(scene.capture, removal, GRAY, rasterize, config, device=CPU, seed=0)) for config in (LOOSE, LEASH)
    )
    assert most_changed(removal.kept, loose, views) > 1.5
    assert most_changed(removal.kept, leash, views) <= 1
    for view in views:
        inside = (view.hole > 0).expand(1, 3, -1, -1)
        bare, filled = (rasterize(each, view.camera).color for each in (removal.kept, leash))
        assert (filled - bare)[inside].abs().mean() > 0.1, "the hole is filled all the same"


def test_photos_hardly_see_the_rim_elsewhere(tmp_path):
    _, kept, views = scene_with_views(tmp_path)
    boundary, loose = (boundary_splats(kept, views, rasterize, config) for config in (LEASH, LOOSE))
    assert 0 < boundary.sum() < loose.sum()
    assert not (boundary & ~loose).any()
    assert most_changed(kept, kept[~boundary], views) < 0.5 * most_changed(kept, kept[~loose], views)


def test_where_no_photo_shows_anything_the_rim_may_be_seen(tmp_path):
    _, kept, views = scene_with_views(tmp_path)
    unseen = [replace(view, seen=torch.zeros_like(view.seen)) for view in views]
    assert torch.equal(boundary_splats(kept, unseen, rasterize, LEASH), boundary_splats(kept, views, rasterize, LOOSE))


def test_what_changes_nothing_elsewhere_is_let_be(tmp_path):
    _, kept, views = scene_with_views(tmp_path)
    is_rim = boundary_splats(kept, views, rasterize, LEASH)
    learned = concatenate([kept[is_rim], one([0.0, 0.0])])
    leash = PreservationConstraint(kept[is_rim], kept[~is_rim], views, rasterize, LEASH)
    assert_same(leash.revert_leaks(learned), learned)
    assert_same(leash.cut(learned), learned)


def test_a_rim_splat_that_changes_something_elsewhere_is_again_what_it_was(tmp_path):
    _, kept, views = scene_with_views(tmp_path)
    is_rim = boundary_splats(kept, views, rasterize, LEASH)
    boundary, fill = kept[is_rim], one([0.0, 0.0])
    first = torch.arange(len(boundary)) == 0
    grown = replace(
        boundary, log_scales=boundary.log_scales + 2.0 * first[:, None], sh=boundary.sh + 1.0 * first[:, None, None]
    )
    dyed = replace(grown, sh=torch.where((torch.arange(len(boundary)) == 1)[:, None, None], grown.sh + 0.01, grown.sh))
    back = PreservationConstraint(boundary, kept[~is_rim], views, rasterize, LEASH).revert_leaks(concatenate([dyed, fill]))
    assert_same(back[:1], boundary[:1])
    assert_same(back[1:], concatenate([dyed[1:], fill]))


def test_a_rim_splat_that_fades_from_where_it_shows_elsewhere_is_again_what_it_was(tmp_path):
    _, kept, views = scene_with_views(tmp_path)
    away = (kept.means - torch.tensor([0.5, 0.0, 1.0])).norm(dim=1).argmin() == torch.arange(len(kept))
    leash = PreservationConstraint(kept[away], kept[~away], views, rasterize, LEASH)
    faded = replace(kept[away], logit_opacities=torch.tensor([-20.0]))
    assert most_changed(kept, concatenate([kept[~away], faded]), views) > 1
    assert_same(leash.revert_leaks(faded), kept[away])


def test_fill_that_changes_something_elsewhere_is_made_smaller_or_given_up(tmp_path):
    _, kept, views = scene_with_views(tmp_path)
    wide, away = one([0.0, 0.0], scale=0.15, nearer=0.1), one([0.5, 0.0], nearer=0.1)
    fill = concatenate([wide, away, one([0.0, 0.0])])
    leash = PreservationConstraint(kept[:0], kept, views, rasterize, LEASH)
    smaller = leash.revert_leaks(fill)
    assert smaller.log_scales[0, 0] < fill.log_scales[0, 0] - 0.4
    assert most_changed(kept, concatenate([kept, smaller[:1]]), views) <= 1
    assert_same(smaller[2:], fill[2:])
    assert_same(leash.cut(smaller), smaller[torch.tensor([0, 2])])


def layer(depth, opacity, scale):
    place, red = torch.tensor([[0.5, 0.0, depth]]), torch.tensor([[0.9, 0.1, 0.1]])
    return round_splats(place, red, torch.tensor([scale]), opacity=opacity, sh_degree=0)


def test_what_is_too_faint_to_paint_but_makes_a_pixel_full_is_given_up(tmp_path):
    _, kept, views = scene_with_views(tmp_path)
    # Of the light 0.01005 passes the first layer, and 0.0001005 the second, which is just enough for it to be painted.
    frozen, faint = concatenate([kept, layer(0.6, 0.98995, 9.0), layer(0.8, 0.99, 9.0)]), layer(0.7, 0.02, 0.01)
    assert most_changed(frozen, concatenate([frozen, faint]), views) > 1
    as_fill, as_rim = (
        PreservationConstraint(frozen[:0], frozen, views, rasterize, LEASH),
        PreservationConstraint(layer(0.7, 0.001, 0.01), frozen, views, rasterize, LEASH),
    )
    assert len(as_fill.cut(faint)) == 0
    assert_same(as_rim.revert_leaks(faint), as_rim.boundary)


def assert_same(one, other):
    for name, value in one.tensors().items():
        assert torch.equal(value, other.tensors()[name]), name
