import pytest
import torch
from torch import Tensor

from splatpaint.fill import seeding
from splatpaint.fill.consensus import area_in_context
from splatpaint.fill.seeding import (
    DepthHint,
    SeedConfig,
    add_occluded_holes,
    extrapolated_fill_depth,
    filled_surface,
    kept_surface,
    no_nearer_than_most,
    observed_surface,
    push_behind_observed,
    seed_fill,
)
from splatpaint.fill.views import ObservedView
from splatpaint.image.region import dilate
from splatpaint.masks.visibility import free_space_violation
from splatpaint.render.reference import rasterize
from splatpaint.scene.camera import Cameras
from splatpaint.scene.splats import SH_C0, Splats

SIZE = 32
COLOR = torch.tensor([0.8, 0.4, 0.2])


def camera_at(x: float) -> Cameras:
    K = torch.tensor([[[30.0, 0.0, SIZE / 2], [0.0, 30.0, SIZE / 2], [0.0, 0.0, 1.0]]])
    pose = torch.eye(4)[None].clone()
    pose[0, 0, 3] = -x
    return Cameras(K=K, cam_from_world=pose, width=SIZE, height=SIZE)


def slanted_wall(x: float, hole_columns: slice) -> ObservedView:
    """The plane z = 4 + X / 2 in one color, with a hole in some columns of the middle rows."""
    camera = camera_at(x)
    rays = camera.rays()[0]
    depth = (4 + 0.5 * x) / (1 - 0.5 * rays[..., 0])
    hole = torch.zeros(1, 1, SIZE, SIZE)
    hole[..., 10:22, hole_columns] = 1
    alpha = 1 - hole
    image = COLOR[None, :, None, None].expand(1, 3, SIZE, SIZE).clone()
    return ObservedView.of(
        camera,
        image,
        depth=depth[None, None],
        alpha=alpha,
        observed=1 - hole,
        unobserved=hole,
        support_removed=torch.zeros_like(hole),
    )


def columns(first: int, last: int) -> Tensor:
    """1 in some columns of the middle rows."""
    mask = torch.zeros(1, 1, SIZE, SIZE)
    mask[..., 10:22, first:last] = 1
    return mask


def test_what_is_kept_leads_where_it_reaches_into_the_hole():
    """All views share its surface; the fill starts right before it."""
    view = slanted_wall(0.0, slice(10, 22))
    reaching = columns(10, 16)
    behind = torch.where(reaching > 0, 1.04 * view.depth, view.depth)
    seen = view.with_maps(depth=behind, alpha=(view.alpha + reaching).clamp(0, 1))
    depth = extrapolated_fill_depth(seen, kept_surface(seen), torch.zeros_like(view.depth))
    inside = reaching > 0
    torch.testing.assert_close(depth[inside], 0.99 * seen.depth[inside], rtol=1e-3, atol=0)
    through = view.with_maps(depth=torch.where(inside, 3 * view.depth, view.depth), alpha=(view.alpha + reaching).clamp(0, 1))
    depth = extrapolated_fill_depth(through, kept_surface(through), torch.zeros_like(view.depth))
    assert (depth[inside] < 1.1 * view.depth[inside]).all(), "what shows through the hole is no surface of the fill"
    filled = torch.where(inside, 0.5 * view.depth, torch.zeros_like(view.depth))
    through_fill = extrapolated_fill_depth(seen, kept_surface(seen), filled)
    torch.testing.assert_close(through_fill[inside], filled[inside], rtol=1e-3, atol=0)


def test_a_view_alone_does_not_place_the_fill_before_what_most_see():
    views = [slanted_wall(x, slice(10, 22)) for x in (-0.4, -0.2, 0.0, 0.2, 0.4)]
    kept = [view.depth_where(view.alpha >= 0) for view in views]
    view = views[2]
    inside = columns(10, 22) > 0
    found = no_nearer_than_most(0.9 * view.depth, inside, view.camera, kept)
    assert (found[inside] >= 0.975 * view.depth[inside]).all()
    assert (found[inside] <= 1.03 * view.depth[inside]).all()
    assert torch.equal(found[~inside], 0.9 * view.depth[~inside])
    far = no_nearer_than_most(0.5 * view.depth, inside, view.camera, kept)
    assert torch.equal(far, 0.5 * view.depth), "what is so far behind is another surface"


def test_no_seed_goes_where_most_views_know_what_is_there():
    """Three views know from other photos what the object hid; two call it a hole, and seed it if they are as many."""
    hole = slice(10, 22)
    views = [slanted_wall(x, hole) for x in (-0.1, 0.1)]
    knowing = []
    for x in (-0.2, 0.0, 0.2):
        view = slanted_wall(x, hole)
        knowing.append(view.with_maps(unobserved=0 * view.unobserved, alpha=torch.ones_like(view.alpha)))

    def seeds(of: list[ObservedView]) -> int:
        return len(seed_fill(of, rasterize, SeedConfig(), boundary_px=2, sh_degree=0))

    alone = seeds(views)
    assert alone > 50
    assert seeds(views + knowing[:1]) > 0.9 * alone
    assert seeds(views + knowing) < 0.4 * alone, "but at the rims, which no view that knows has behind the object"


def test_planes_are_continued_exactly():
    view = slanted_wall(0.0, slice(12, 20))
    truth = view.depth
    view = view.with_maps(depth=torch.where(view.unobserved > 0, 99.0, truth))
    filled = extrapolated_fill_depth(view, kept_surface(view), torch.zeros_like(view.depth))
    torch.testing.assert_close(filled, truth, rtol=2e-3, atol=0)


def test_seeds_cover_the_hole_on_the_surface_in_the_color_around_it():
    view = slanted_wall(0.0, slice(12, 20))
    fill = seed_fill([view], rasterize, SeedConfig(), boundary_px=16, sh_degree=0)
    torch.testing.assert_close(fill.means[:, 2], 4 + 0.5 * fill.means[:, 0], rtol=5e-3, atol=0)
    torch.testing.assert_close(0.5 + SH_C0 * fill.sh[:, 0], COLOR.expand(len(fill), 3), rtol=1e-2, atol=0)
    alpha = rasterize(fill, view.camera).alpha
    assert alpha[view.unobserved > 0].mean() > 0.8
    far = view.unobserved.clone()
    far[..., 8:24, 10:22] = 1
    assert alpha[far == 0].max() < 0.25, "only a fringe of faint splats reaches farther than two pixels out"


def test_what_lost_its_support_and_hidden_by_the_object_takes_its_color_from_around():
    view = slanted_wall(0.0, slice(12, 16))
    removed = columns(16, 20)
    image = torch.where(removed > 0, torch.rand_like(view.image), view.image)
    view = view.with_maps(image=image, support_removed=removed, observed=view.observed * (1 - removed))
    fill = seed_fill([view], rasterize, SeedConfig(), boundary_px=16, sh_degree=0)
    assert (view.camera.project(fill.means)[0][0, :, 0] > 17).any()
    torch.testing.assert_close(0.5 + SH_C0 * fill.sh[:, 0], COLOR.expand(len(fill), 3), rtol=1e-2, atol=0)


def test_what_lost_its_support_is_covered_too_in_the_colors_of_the_photo():
    view = slanted_wall(0.0, slice(12, 16))
    removed = columns(16, 20)
    image = torch.where(removed > 0, 0.9, view.image)
    view = view.with_maps(image=image, support_removed=removed, alpha=view.alpha * (1 - removed))
    fill = seed_fill([view], rasterize, SeedConfig(), boundary_px=16, sh_degree=0)
    assert rasterize(fill, view.camera).alpha[removed > 0].mean() > 0.8
    pixels, _ = view.camera.project(fill.means)
    in_torn = pixels[0, :, 0] > 16.5
    assert (0.5 + SH_C0 * fill.sh[in_torn, 0] > 0.85).all()


def test_a_second_view_adds_only_what_the_first_left_uncovered():
    first, second = slanted_wall(0.0, slice(10, 22)), slanted_wall(0.0, slice(10, 22))
    one = seed_fill([first], rasterize, SeedConfig(), boundary_px=16, sh_degree=0)
    both = seed_fill([first, second], rasterize, SeedConfig(), boundary_px=16, sh_degree=0)
    assert len(one) <= len(both) < 1.2 * len(one)


def test_no_hole_means_no_seeds():
    view = slanted_wall(0.0, slice(0, 0))
    assert len(seed_fill([view], rasterize, SeedConfig(), boundary_px=16, sh_degree=1)) == 0


def test_views_that_saw_past_a_point_object_to_it():
    def objections(points: torch.Tensor, *views: ObservedView) -> list[float]:
        return free_space_violation(points, [observed_surface(view) for view in views], nearer=0.95).tolist()

    through = slanted_wall(0.0, slice(0, 0))
    points = torch.tensor([[0.0, 0.0, 2.0], [0.0, 0.0, 4.0], [0.0, 0.0, 6.0]])
    assert objections(points, through, slanted_wall(0.2, slice(0, 0))) == [1.0, 0.0, 0.0]
    blind = slanted_wall(0.0, slice(0, SIZE))
    assert objections(points, blind) == [0.0, 0.0, 0.0], "a view with a hole there knows nothing"
    assert objections(points, through, blind) == [0.5, 0.0, 0.0]
    told = through.with_maps(observed=torch.zeros_like(through.depth))
    assert objections(points, told) == [0.0, 0.0, 0.0], "that others saw the wall does not say that it is seen from here"


def assert_begins_with_seeds_of(view, fill):
    alone = seed_fill([view], rasterize, SeedConfig(), boundary_px=16, sh_degree=0)
    assert 0 < len(alone) < len(fill)
    torch.testing.assert_close(fill.means[: len(alone)], alone.means)
    torch.testing.assert_close(fill.sh[: len(alone)], alone.sh)


def test_the_view_with_the_hole_surrounded_comes_before_one_that_cuts_it():
    cut, whole = slanted_wall(0.0, slice(0, 14)), slanted_wall(0.0, slice(8, 20))
    cut = cut.with_maps(image=torch.full_like(cut.image, 0.1))
    fill = seed_fill([cut, whole], rasterize, SeedConfig(), boundary_px=16, sh_degree=0)
    assert_begins_with_seeds_of(whole, fill)


def test_the_view_whose_photo_surrounds_the_hole_comes_before_one_where_others_tell_what_is_around():
    told, shown = slanted_wall(0.0, slice(10, 22)), slanted_wall(0.0, slice(12, 20))
    told = told.with_maps(observed=torch.zeros_like(told.depth), image=torch.full_like(told.image, 0.1))
    fill = seed_fill([told, shown], rasterize, SeedConfig(), boundary_px=16, sh_degree=0)
    assert_begins_with_seeds_of(shown, fill)


def test_what_surrounds_other_holes_of_a_view_does_not_count():
    cut, whole = slanted_wall(0.0, slice(0, 13)), slanted_wall(0.0, slice(8, 20))
    cut = cut.with_maps(image=torch.full_like(cut.image, 0.1))
    specks = cut.unobserved
    specks[..., ::2, 22::2] = 1
    speckled = cut.with_maps(unobserved=specks)
    assert area_in_context(specks, cut.observed) < area_in_context(whole.unobserved, whole.observed)
    fill = seed_fill([speckled, whole], rasterize, SeedConfig(), boundary_px=16, sh_degree=0)
    assert_begins_with_seeds_of(whole, fill)


def test_what_the_fill_hides_is_hole_where_no_photo_shows_it():
    view = slanted_wall(0.0, slice(12, 20))
    fill = seed_fill([view], rasterize, SeedConfig(), boundary_px=16, sh_degree=0)
    shown = 1 - view.unobserved
    far = view.with_maps(unobserved=0 * shown, observed=shown, depth=2 * view.depth)
    (seen,) = add_occluded_holes(fill, [far], rasterize)
    assert not seen.unobserved[shown > 0].any(), "never where the photo shows something"
    (told,) = add_occluded_holes(fill, [far.with_maps(observed=0 * shown)], rasterize)
    assert told.unobserved[view.unobserved > 0].mean() > 0.9
    assert told.unobserved[dilate(view.unobserved, 2) == 0].max() == 0
    (same,) = add_occluded_holes(fill, [far.with_maps(observed=0 * shown, depth=view.depth)], rasterize)
    assert not same.unobserved.any(), "what is at the same depth is the same surface"


def test_a_networks_disparity_shapes_the_fill_whatever_its_scale():
    view = slanted_wall(0.0, slice(12, 20))
    bulge = torch.zeros_like(view.depth)
    bulge[..., 13:19, 14:18] = 0.1
    truth = 1 / (1 / view.depth + bulge)
    told = 3.0 * (1 / view.depth + bulge) + 5.0
    unknown = view.with_maps(depth=torch.where(view.unobserved > 0, 99.0, view.depth))
    filled = extrapolated_fill_depth(unknown, kept_surface(unknown), torch.zeros_like(view.depth), told)
    torch.testing.assert_close(filled, truth, rtol=5e-3, atol=0)
    fill = seed_fill([unknown], rasterize, SeedConfig(), boundary_px=16, sh_degree=0, hint=lambda _: told)
    row, column, depth, within = view.camera.find(fill.means)
    assert within.all()
    torch.testing.assert_close(depth, truth[0, 0, row, column], rtol=2e-2, atol=0)


def test_a_hole_that_few_views_have_is_covered_too_and_others_are_not_asked_again():
    middle = [slanted_wall(0.0, slice(12, 20)) for _ in range(40)]
    border = slanted_wall(0.0, slice(28, SIZE))
    asked = []

    def hint(view):
        asked.append(view)
        return 1 / view.depth

    fill = seed_fill([*middle, border], rasterize, SeedConfig(), boundary_px=16, sh_degree=0, hint=hint)
    assert rasterize(fill, border.camera).alpha[border.unobserved > 0].mean() > 0.8
    assert [id(view) for view in asked] == [id(middle[0]), id(border)]


def test_what_stands_before_the_fill_is_told_from_what_is_behind_or_beside_it():
    view = slanted_wall(0.0, slice(12, 20))
    fill = seed_fill([view], rasterize, SeedConfig(), boundary_px=16, sh_degree=0)
    points = torch.tensor([[0.0, 0.0, 2.0], [0.0, 0.0, 4.0], [0.0, 0.0, 6.0], [0.6, 0.0, 2.0]])
    assert free_space_violation(points, [filled_surface(fill, view, rasterize)], nearer=0.95).tolist() == [1.0, 0.0, 0.0, 0.0]
    assert not free_space_violation(points, [], nearer=0.95).any()


def test_only_a_leading_view_puts_seeds_before_what_another_filled():
    leading, other = slanted_wall(0.0, slice(12, 20)), slanted_wall(1.0, slice(0, 14))
    other = other.with_maps(depth=torch.full_like(other.depth, 2.0))  # it extrapolates a surface halfway
    filled = filled_surface(seed_fill([leading], rasterize, SeedConfig(), boundary_px=16, sh_degree=0), leading, rasterize)

    def before(views: int) -> bool:
        fill = seed_fill([leading, other], rasterize, SeedConfig(views=views), boundary_px=16, sh_degree=0)
        return bool(free_space_violation(fill.means, [filled], nearer=0.95).any())

    assert before(views=2)
    assert not before(views=1)


def test_seeds_go_back_until_they_hide_nothing_that_a_photo_shows():
    """At three quarters of the depth of the wall they would hide it from the right, beside the hole."""
    view, witness = slanted_wall(0.0, slice(12, 20)), slanted_wall(1.2, slice(0, 0))
    near = 0.75 * view.depth
    chosen = view.unobserved > 0
    found = push_behind_observed(near, chosen, view.camera, [observed_surface(witness)])
    points = view.camera.unproject(found)[0][chosen[0, 0]]
    assert not free_space_violation(points, [observed_surface(witness)], nearer=1.05).any()
    assert torch.equal(found[~chosen], near[~chosen]), "only what is chosen moves"
    within = witness.camera.find(view.camera.unproject(near)[0][chosen[0, 0]])[3]
    assert within.any()
    moved = found[chosen][within] / view.depth[chosen][within]
    assert moved.min() > 1
    assert moved.max() < 1.15, "and no farther than it must"


def test_seeds_that_cannot_hide_are_dropped():
    view = slanted_wall(0.0, slice(12, 20))
    far = slanted_wall(1.2, slice(0, 0)).with_maps(depth=torch.full_like(view.depth, 100.0))
    found = push_behind_observed(view.depth, view.unobserved > 0, view.camera, [observed_surface(far)])
    seen = far.camera.find(view.camera.unproject(view.depth)[0][view.unobserved[0, 0] > 0])[3]
    assert seen.any()
    assert not found[view.unobserved > 0][seen].any()


def walls_with_two_holes(right: tuple[slice, ...], factors: tuple[float, ...]) -> list[ObservedView]:
    """Views that see the wall alike around the left hole, and by some factor of the depth around the right one."""
    views = []
    for number, (columns, factor) in enumerate(zip(right, factors, strict=True)):
        view = slanted_wall(0.2 * number, slice(4, 10))
        hole, depth = view.unobserved, view.depth
        hole[..., 10:22, columns] = 1
        depth[..., 16:] *= factor
        views.append(view.with_maps(unobserved=hole, depth=depth, alpha=1 - hole))
    return views


def test_what_hardly_another_view_guesses_hides_nothing_that_was_filled():
    views = walls_with_two_holes((slice(20, 26), slice(20, 26), slice(17, 29)), (1.0, 1.0, 0.6))
    wall = seed_fill(views[:2], rasterize, SeedConfig(), boundary_px=16, sh_degree=0)
    filled = [filled_surface(wall, view, rasterize) for view in views[:2]]

    def hiding(min_view_support: float) -> int:
        fill = seed_fill(views, rasterize, SeedConfig(min_view_support=min_view_support), boundary_px=16, sh_degree=0)
        return int((free_space_violation(fill.means, filled, nearer=0.95) > 0).sum())

    assert hiding(0.0) > 20
    assert hiding(0.2) == 0


def test_a_hole_of_which_no_two_views_guess_the_same_is_filled_last():
    views = walls_with_two_holes((slice(20, 26),) * 3, (1.0, 0.8, 0.6))

    def seeds(min_view_support: float, hint: DepthHint | None = None) -> Splats:
        config = SeedConfig(min_view_support=min_view_support)
        return seed_fill(views, rasterize, config, boundary_px=16, sh_degree=0, hint=hint)

    def last(fill: Splats) -> float:
        """Share of the right hole's seeds that came after all of the left one's."""
        right = views[0].camera.project(fill.means)[0][0, :, 0] > 15
        return float(right[int(torch.nonzero(~right).max()) :].sum() / right.sum())

    assert last(seeds(0.2)) > 0.6
    assert last(seeds(0.0)) < 0.2
    assert last(seeds(0.2, hint=lambda view: 1 / view.depth)) < 0.2, "those that a hint shapes need no support"
    for view in views:
        assert rasterize(seeds(0.2), view.camera).alpha[view.unobserved > 0].mean() > 0.8, "nothing stays open"


def test_the_surface_of_the_kept_splats_is_continued_once_a_view(monkeypatch: pytest.MonkeyPatch):
    """Its extension across the hole is the slow part, and seeds ask for it turn after turn."""
    views = [slanted_wall(x, slice(10, 22)) for x in (-0.4, 0.0, 0.4)]
    continued: list[ObservedView] = []
    once = seeding.kept_surface
    monkeypatch.setattr(seeding, "kept_surface", lambda view: continued.append(view) or once(view))
    assert len(seed_fill(views, rasterize, SeedConfig(), boundary_px=16, sh_degree=0)) > 0
    assert sorted(map(id, continued)) == sorted(map(id, views))
