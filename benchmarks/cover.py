"""A removal task with known truth out of any capture: a virtual ball put on an object-free surface in every photo.

    python -m benchmarks.cover CAPTURE -o FOLDER [--max-resolution 480] [--spot VIEW,X,Y]

The folder is a capture (transforms.json, images/, masks/, points.ply) with truth/, the untouched photos, beside it. The spot is
chosen from the sparse points alone: flat, level, well observed, nothing standing where the ball goes or between it and the
cameras. Where the ground has no sparse points, a person names a pixel of it and the photos tell its depth.

Only the views that show the ball are kept. Left out are also those in which sparse points or the capture's own masks say that
something stands in front of the ball, because a ball drawn over it would be wrong, and those that are not held upright as most
others (a part of a capture may have been solved wrongly). The ball casts no shadow.
"""

import argparse
import json
import math
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import normalize

from benchmarks.planesweep import sweep
from splatpaint.capture import CaptureConfig, prepare
from splatpaint.capture.textures import Noise
from splatpaint.capture.writer import Frame, write_capture
from splatpaint.events import drain
from splatpaint.image.files import read_image, read_mask, write_image
from splatpaint.image.region import dilate
from splatpaint.scene.camera import Cameras, stack
from splatpaint.scene.views import Capture, PointCloud, View

DIAMETER_SHARE = 0.1
"""The ball's diameter as a share of the image width, in a view that is nearer than two thirds of those that see it."""
CANDIDATES = 1500
SUNK = 0.04
"""How deep the ball sits in the fitted plane, as a share of its radius: surfaces are rough, and a gap would show."""
LEVEL_COSINE = 0.7
"""A ball would roll off steeper surfaces."""
LOOKING_DOWN = math.sin(math.radians(2))
"""Views count only if they look down on the surface at least this steeply (sine of the angle)."""
TILT_COSINE = 0.7
"""Cameras that differ more from the others are taken for badly solved."""
MIN_VIEWS = 6
"""A spot that fewer views show says little about a method."""
SUPERSAMPLING = 4
MASK_MARGIN_PX = 2


@dataclass(frozen=True, eq=False)
class Ball:
    """Where the ball lies, in the capture's world."""

    center: Float[Tensor, "3"]
    radius: float
    up: Float[Tensor, "3"]
    """The normal of the surface under it."""


@dataclass(frozen=True)
class Spot:
    """A place on level ground picked by a person, for captures whose ground brought no sparse points."""

    view: str
    x: float
    """Share of the width."""
    y: float
    """Share of the height."""


def make_cover(capture: Capture, folder: Path, *, spot: Spot | None = None) -> Ball:
    """Writes the covered capture and its truth.

    Raises:
        ValueError: if no spot is given and the capture's points offer none.
    """
    assert capture.points is not None
    capture, points = upright(capture), capture.points
    ball = find_spot(capture) if spot is None else swept_spot(capture, spot)
    shutil.rmtree(folder, ignore_errors=True)
    views = [view for view in capture.all_views if _shows(ball, view) and not _hidden(ball, view, points)]

    def frames() -> Iterator[Frame]:
        for view in views:
            photo = read_image(view.image)
            color, coverage = draw(ball, view.camera)
            mask = dilate((coverage > 0).float()[None], MASK_MARGIN_PX)[0]
            write_image(folder / "truth" / f"{view.name}.png", photo)
            yield Frame(view.name, view.camera, torch.lerp(photo, color, coverage), mask)

    write_capture(folder, frames(), _observable(ball, points, stack(view.camera for view in views)))
    placed = {"center": ball.center.tolist(), "radius": ball.radius, "up": ball.up.tolist(), "views": len(views)}
    (folder / "cover.json").write_text(json.dumps(placed, indent=1))
    return ball


def upright(capture: Capture) -> Capture:
    """The views whose cameras are held as most of the others are, up to a tilt."""
    views = capture.all_views
    ups = -stack(view.camera for view in views).cam_from_world[:, 1, :3]
    common = normalize(ups[(ups @ ups.T > TILT_COSINE).sum(dim=1).argmax()], dim=0)
    return replace(capture, views=tuple(v for v, up in zip(views, ups, strict=True) if up @ common > TILT_COSINE), held_out=())


def find_spot(capture: Capture) -> Ball:
    """The best of many points of the cloud to put a ball on.

    Raises:
        ValueError: if none is flat, level, free and seen.
    """
    points = capture.points
    assert points is not None
    cameras = stack(view.camera for view in capture.all_views)
    up = _up(cameras)
    generator = torch.Generator().manual_seed(0)
    chosen = torch.randperm(len(points), generator=generator)[:CANDIDATES]
    balls = [ball for index in chosen if (ball := _resting(points.positions[index], points, cameras, up)) is not None]
    if not balls:
        raise ValueError("no point of this capture lies on a flat, level, free surface")
    best, most = balls[0], -1
    for ball, showing in sorted(((ball, _showing_well(ball, capture.all_views)) for ball in balls), key=lambda it: -len(it[1])):
        if len(showing) <= most:
            break
        clear = sum(not _hidden(ball, view, points) for view in showing)
        if clear > most:
            best, most = ball, clear
    return best


def swept_spot(capture: Capture, spot: Spot) -> Ball:
    """A ball on the level ground at a pixel of a view, found by comparing photos."""
    views = capture.all_views
    cameras = stack(view.camera for view in views)
    grays = torch.stack([read_image(view.image).mean(dim=0, keepdim=True) for view in views])
    step = (cameras.centers[1:] - cameras.centers[:-1]).norm(dim=1).median().item()
    plane = sweep(
        grays,
        cameras,
        reference=[view.name for view in views].index(spot.view),
        pixel=torch.tensor([spot.x * cameras.width, spot.y * cameras.height]),
        up=_up(cameras),
        nearest=0.5 * step,
        farthest=10 * step,
    )
    radius = _fitting_radius(plane.point, plane.normal, cameras)
    assert radius is not None
    return Ball(plane.point + (1 - SUNK) * radius * plane.normal, radius, plane.normal)


def draw(ball: Ball, camera: Cameras) -> tuple[Float[Tensor, "3 h w"], Float[Tensor, "1 h w"]]:
    """The ball's color and coverage (anti-aliased) in one view; nothing in front of it is considered."""
    fine = camera.resized(camera.width * SUPERSAMPLING, camera.height * SUPERSAMPLING)
    color, coverage = torch.zeros(3, camera.height, camera.width), torch.zeros(1, camera.height, camera.width)
    center, depth = camera.project(ball.center[None])
    reach = 1.5 * camera.K[0, 0, 0].item() * ball.radius / max(depth.item(), 1e-6)
    left, top = (center[0, 0] - reach).floor().int().clamp(min=0).tolist()
    right, bottom = (center[0, 0] + reach).ceil().int().tolist()
    right, bottom = min(right, camera.width), min(bottom, camera.height)
    if depth.item() <= 1.5 * ball.radius or right <= left or bottom <= top:
        return color, coverage
    s = SUPERSAMPLING
    window = fine.cropped(left * s, top * s, (right - left) * s, (bottom - top) * s)
    rays = normalize(window.rays()[0] @ camera.world_from_cam[0, :3, :3].T, dim=-1)
    offset = camera.centers[0] - ball.center
    b = rays @ offset
    inside = b * b - offset @ offset + ball.radius**2
    met = inside > 0
    normal = (offset + (-b - inside.clamp(min=0).sqrt())[..., None] * rays) / ball.radius
    painted = torch.zeros_like(rays)
    painted[met] = _paint(normal[met], ball.up)
    shape = (bottom - top, s, right - left, s)
    share = met.float().reshape(shape).mean(dim=(1, 3))
    mean = painted.reshape(*shape, 3).mean(dim=(1, 3)) / share.clamp(min=1e-6)[..., None]
    color[:, top:bottom, left:right] = mean.permute(2, 0, 1)
    coverage[0, top:bottom, left:right] = share
    return color, coverage


def _paint(normals: Float[Tensor, "n 3"], up: Float[Tensor, "3"]) -> Float[Tensor, "n 3"]:
    """A beach ball with woven grain, lit from above."""
    side = normalize(torch.linalg.cross(up, torch.tensor([0.31, 0.83, -0.46])), dim=0)
    tilted = normalize(up + 0.6 * side, dim=0)
    front = torch.linalg.cross(tilted, normalize(torch.linalg.cross(up, side) + 0.3 * up, dim=0))
    height = normals @ tilted
    angle = torch.atan2(normals @ torch.linalg.cross(tilted, front), normals @ front)
    sector = ((angle / (2 * math.pi) + 0.5) * 6).floor() % 3
    palette = torch.tensor([[0.80, 0.16, 0.13], [0.93, 0.90, 0.82], [0.12, 0.34, 0.66]])
    color = palette[sector.long()]
    color = torch.where((height.abs() > 0.9)[:, None], torch.tensor([0.95, 0.72, 0.15]), color)
    noise = Noise(7)
    grain = 0.85 + 0.3 * noise.octaves(angle * 8 + 30, height * 20 + 30, 3)
    light = normalize(up + 0.5 * side, dim=0)
    return (color * (grain * (0.45 + 0.55 * (0.5 + 0.5 * (normals @ light))))[:, None]).clamp(0, 1)


def _resting(point: Tensor, points: PointCloud, cameras: Cameras, up: Tensor) -> Ball | None:
    """A ball on the plane that fits the surroundings of a point; None where there is none or something stands on it."""
    radius = _fitting_radius(point, up, cameras)
    if radius is None:
        return None
    around = points.positions[(points.positions - point).norm(dim=1) < 2 * radius]
    if len(around) < 12:
        return None
    center, normal = _plane(around)
    normal = normal * torch.sign(normal @ up)
    rough = ((around - center) @ normal).abs().median().item()
    if normal @ up < LEVEL_COSINE or rough > 0.1 * radius:
        return None
    foot = point - ((point - center) @ normal) * normal
    middle = foot + (1 - SUNK) * radius * normal
    near = (points.positions - middle).norm(dim=1) < 1.5 * radius
    high = (points.positions - foot) @ normal > 0.35 * radius
    if (near & high).any():
        return None
    return Ball(middle, radius, normal)


def _up(cameras: Cameras) -> Float[Tensor, "3"]:
    """The mean direction towards the upper edge of the pictures."""
    return normalize(-cameras.cam_from_world[:, 1, :3].mean(dim=0), dim=0)


def _fitting_radius(point: Tensor, up: Tensor, cameras: Cameras) -> float | None:
    """The radius that gives the ball its share of the picture; None if too few views look down on the point."""
    pixels, depth = cameras.project(point[None])
    above = normalize(cameras.centers - point, dim=1) @ up > LOOKING_DOWN
    seeing = _in_frame(pixels[:, 0], depth[:, 0], cameras, margin=0.08) & above
    if seeing.sum() < MIN_VIEWS:
        return None
    return (0.5 * DIAMETER_SHARE * cameras.width * depth[seeing, 0] / cameras.K[seeing, 0, 0]).quantile(1 / 3).item()


def _plane(points: Float[Tensor, "n 3"]) -> tuple[Float[Tensor, "3"], Float[Tensor, "3"]]:
    """A point and the normal of the plane that most of the points lie on: refitted a few times to the nearer half."""
    near = points
    for _ in range(5):
        center = near.mean(dim=0)
        normal = torch.linalg.svd(near - center, full_matrices=False).Vh[2]
        off = ((points - center) @ normal).abs()
        near = points[off <= off.median().clamp(min=1e-9)]
    return center, normal


def _showing_well(ball: Ball, views: Sequence[View]) -> list[View]:
    """The views that have the ball whole in the picture, neither tiny nor huge, and look down on its place."""
    good = []
    for view in views:
        center, depth = view.camera.project(ball.center[None])
        share = 2 * ball.radius * view.camera.K[0, 0, 0].item() / max(depth.item(), 1e-6) / view.camera.width
        whole = _in_frame(center[:, 0], depth[:, 0], view.camera, margin=share / 2 + 0.02).item()
        above = normalize(view.camera.centers[0] - ball.center, dim=0) @ ball.up > LOOKING_DOWN
        if whole and above and 0.04 < share < 0.3:
            good.append(view)
    return good


def _shows(ball: Ball, view: View) -> bool:
    """Whether any of the ball is in the picture."""
    return bool(draw(ball, view.camera)[1].any())


def _hidden(ball: Ball, view: View, points: PointCloud) -> bool:
    """Whether something stands between camera and ball, judged by sparse points and by the capture's own masks."""
    center, depth = (side[0, 0] for side in view.camera.project(ball.center[None]))
    if depth <= 0:
        return False
    reach = view.camera.K[0, 0, 0] * ball.radius / depth
    pixels, depths = (side[0] for side in view.camera.project(points.positions))
    across = (pixels - center).norm(dim=1)
    before = (depths > 0.02 * depth) & (depths < depth - 1.2 * ball.radius)
    if (before & (across < reach)).sum() >= 3:
        return True
    if view.fill_mask is None:
        return False
    mask = read_mask(view.fill_mask)
    _, coverage = draw(ball, view.camera)
    if not (mask * coverage).any():
        return False
    inside = _in_frame(pixels[None], depths[None], view.camera, margin=0.0)[0]
    x, y = pixels[inside].long().T
    of_thing = depths[inside][mask[0, y, x] > 0]
    return bool(len(of_thing) == 0 or of_thing.median() < depth)


def _observable(ball: Ball, points: PointCloud, cameras: Cameras) -> PointCloud:
    """What structure from motion would find in the covered photos: points that two views see beside the ball, and its own."""
    pixels, depth = cameras.project(points.positions)
    center, middle = cameras.project(ball.center[None])
    reach = cameras.K[:, 0, 0] * ball.radius / middle[:, 0].clamp(min=1e-6)
    beside = ((pixels - center).norm(dim=-1) > 1.05 * reach[:, None]) | (middle <= 0)
    outside_ball = (points.positions - ball.center).norm(dim=1) > ball.radius
    kept = ((_in_frame(pixels, depth, cameras, margin=0.0) & beside).sum(dim=0) >= 2) & outside_ball
    normals = normalize(torch.randn(600, 3, generator=torch.Generator().manual_seed(0)), dim=1)
    on_ball = ball.center + ball.radius * normals
    toward = ((cameras.centers[:, None] - on_ball) * normals).sum(dim=-1) > 0
    normals, on_ball = normals[toward.sum(dim=0) >= 3], on_ball[toward.sum(dim=0) >= 3]
    return PointCloud(
        torch.cat([points.positions[kept], on_ball]),
        torch.cat([points.colors[kept], _paint(normals, ball.up).mul(255).round().byte()]),
    )


def _in_frame(
    pixels: Float[Tensor, "*v n 2"], depth: Float[Tensor, "*v n"], cameras: Cameras, *, margin: float
) -> Bool[Tensor, "*v n"]:
    """Whether pixels lie inside the picture, at least a share of its width away from its border."""
    low = margin * cameras.width
    high = torch.tensor([cameras.width - low, cameras.height - low])
    return ((pixels >= low) & (pixels < high)).all(dim=-1) & (depth > 0)


def parsed(spot: str) -> Spot:
    view, x, y = spot.split(",")
    return Spot(view, float(x), float(y))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("capture", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--max-resolution", type=int, default=480)
    parser.add_argument("--spot", metavar="VIEW,X,Y", help="level ground at these shares of a view's width and height")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        capture = drain(prepare(arguments.capture, CaptureConfig(max_resolution=arguments.max_resolution), cache=Path(cache)))
        ball = make_cover(capture, arguments.output, spot=parsed(arguments.spot) if arguments.spot else None)
    print(f"ball of radius {ball.radius:.4f} at {[round(x, 3) for x in ball.center.tolist()]}; {arguments.output}")


if __name__ == "__main__":
    main()
