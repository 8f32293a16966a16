import torch

from splatpaint.events import Measured, Noted, drain
from splatpaint.fill.closing import CoveredView, close_holes, closing_splats, open_shares
from splatpaint.masks.visibility import DepthView
from splatpaint.render.reference import rasterize
from splatpaint.scene.splats import Splats
from tests.support.scenes import orbit
from tests.support.walls import flat

CAMERAS = orbit(2, width=40, height=32, focal=36.0)


def wall(*, hole: float) -> Splats:
    """A gray plane through the origin with a square hole of that half width."""
    side = torch.linspace(-1.6, 1.6, 61)
    y, x = torch.meshgrid(side, side, indexing="ij")
    points = torch.stack([x, y, torch.zeros_like(x)], dim=-1).reshape(-1, 3)
    points = points[points[:, :2].abs().amax(dim=1) > hole]
    camera = CAMERAS[0].world_from_cam[0]
    turned = points @ camera[:3, :3].T
    return flat(turned, torch.full((len(points), 3), 0.6), 0.04)


def views_of(scene: Splats) -> list[CoveredView]:
    """Covered is what the plane leaves open."""
    return [
        CoveredView(f"{index}", CAMERAS[index], rasterize(scene, CAMERAS[index]).alpha < 0.9) for index in range(len(CAMERAS))
    ]


def test_what_is_open_is_closed_in_the_colors_around_it():
    scene = wall(hole=0.3)
    views = views_of(scene)
    assert open_shares(scene, views, rasterize) == {"0": 1.0, "1": 1.0}
    closing = closing_splats(scene, views, [], rasterize)
    events = []
    closed = drain(close_holes(scene, views, [], rasterize), events.append)
    assert open_shares(closed, views, rasterize) == {}
    assert len(closed) == len(scene) + len(closing)
    (measured,) = [event for event in events if isinstance(event, Measured)]
    assert measured.values["open_share_before_closing"] == 1.0
    assert measured.values["open_share"] == 0.0
    shown = rasterize(closed, CAMERAS[0]).color[views[0].covered.expand(1, 3, -1, -1)]
    torch.testing.assert_close(shown, torch.full_like(shown, 0.6), atol=0.08, rtol=0)


def test_nothing_is_added_where_nothing_is_open():
    scene = wall(hole=0.0)
    everything = [CoveredView("0", CAMERAS[0], torch.zeros(1, 1, 32, 40, dtype=torch.bool))]
    assert len(closing_splats(scene, everything, [], rasterize)) == 0
    assert drain(close_holes(scene, [], [], rasterize)) is scene


def test_what_closes_a_hole_stays_behind_what_photos_show():
    scene = wall(hole=0.3)
    views = views_of(scene)[:1]
    other = CAMERAS[1]
    far = DepthView(other, torch.full((1, 1, 32, 40), 1.5 * float(rasterize(scene, other).depth.max())))
    closing = closing_splats(scene, views, [far], rasterize)
    assert len(closing) > 0
    assert not far.sight(closing.means).occluding().any()


def test_views_that_cannot_be_closed_are_named():
    camera = CAMERAS[0]
    everything = CoveredView("alone", camera, torch.ones(1, 1, 32, 40, dtype=torch.bool))
    events = []
    drain(close_holes(wall(hole=9.0), [everything], [], rasterize), events.append)
    (noted,) = [event for event in events if isinstance(event, Noted)]
    assert "alone (100.0%)" in noted.message
    assert noted.level == "warning"
