from dataclasses import replace

import torch

from splatpaint.masks.holes import RemovalView
from splatpaint.masks.removal import NO_SHADE, Hole, unshaded
from splatpaint.masks.shadow import ContactShadow, brightened, lighten
from splatpaint.masks.support import Support
from splatpaint.render.reference import rasterize
from tests.support.scenes import cloud, one_camera, splat_at


def facing_wall(depth: float = 2.0, *, where: torch.Tensor | None = None) -> RemovalView:
    """A view of a wall at that depth, straight on; `where`: pixels that the object hides."""
    camera = one_camera()
    everywhere = torch.ones(1, 1, camera.height, camera.width).bool()
    occluded = ~everywhere if where is None else where
    depths = torch.full(everywhere.shape, depth)
    return RemovalView(camera, occluded, occluded, everywhere, depths, depths, everywhere.float(), ~everywhere)


def shadow_at(depth: float = 2.0) -> ContactShadow:
    """A field on the plane at that depth: dark in the middle, nothing away from it."""
    toward_camera = torch.diag(torch.tensor([1.0, 1.0, -1.0]))
    support = Support(torch.tensor([0.0, 0.0, depth]), toward_camera, 0.5)
    line = (torch.arange(40) + 0.5) / 40 * 2 - 1
    away = torch.hypot(line[:, None], line[None])
    return ContactShadow(support, 0.5, (0.5 - away).clamp(min=0), deepest=0.4)


def test_brightened_splats_render_as_many_times_as_bright():
    splats, camera = cloud(20, degree=2), one_camera()
    sh = 0.1 * splats.sh
    sh[:, 0] += 0.2  # no color is clamped
    splats = replace(splats, means=splats.means + torch.tensor([0.0, 0.0, 4.0]), sh=sh)
    one, other = (rasterize(each, camera).color for each in (splats, brightened(splats, torch.full((20,), 1.5))))
    assert one.max() > 0.1
    torch.testing.assert_close(other, 1.5 * one)


def test_splats_with_the_factor_one_stay_bit_for_bit():
    splats = cloud(50, degree=1)
    factor = torch.ones(50)
    factor[:10] = 1.2
    assert torch.equal(brightened(splats, factor).sh[10:], splats.sh[10:])


def test_the_shade_of_a_photo_is_where_the_shadow_lies_on_the_plane():
    shade = shadow_at().shade(facing_wall())
    assert shade is not None
    middle = shade[0, 0, 12, 16].item() / NO_SHADE
    assert abs(middle - torch.exp(torch.tensor(-0.5)).item()) < 0.03
    assert (shade[0, 0, 0] == NO_SHADE).all()


def test_what_stands_before_the_plane_has_no_shade():
    assert shadow_at().shade(facing_wall(depth=1.5)) is None


def test_lightened_splats_undo_the_shade_of_the_photos_and_others_stay():
    view = facing_wall()
    shade = torch.full((1, 1, 25, 33), NO_SHADE, dtype=torch.uint8)
    shade[..., :16] = 200
    splats = splat_at((-0.4, 0.0, 2.0), (0.4, 0.0, 2.0), scale=0.03, opacity=0.9)
    lit = lighten(splats, [view], [shade], rasterize)
    color = 0.5 + 0.28209479177387814 * lit.sh[0, 0]
    torch.testing.assert_close(color, torch.tensor([0.8, 0.4, 0.2]) * 255 / 200, atol=2e-3, rtol=0)
    assert torch.equal(lit.sh[1], splats.sh[1])


def test_a_photo_without_its_shade_stays_the_same_elsewhere():
    image = torch.rand(1, 3, 4, 4, generator=torch.Generator().manual_seed(0)) * 0.5
    shade = torch.full((1, 1, 4, 4), NO_SHADE, dtype=torch.uint8)
    shade[..., 0] = 204
    nothing = torch.zeros(1, 1, 4, 4).bool()
    lit = Hole("a", nothing, nothing, nothing, shade=shade).lit(image)
    assert torch.equal(lit[..., 1:], image[..., 1:])
    torch.testing.assert_close(lit[..., 0], image[..., 0] * 1.25)
    torch.testing.assert_close(unshaded(image, shade), lit)
