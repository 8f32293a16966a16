"""A removal task with known truth out of any capture: a virtual thing put on an object-free surface in every photo.

    python -m benchmarks.occluder_placement CAPTURE -o FOLDER [--shape ball] [--max-resolution 480] [--spot VIEW,X,Y]

The folder is a capture (transforms.json, images/, masks/, points.ply) with truth/, the untouched photos, beside it. The spot is
chosen from the sparse points alone: flat, level, well observed, nothing standing where the thing goes or between it and the
cameras. Where the ground has no sparse points, a person names a pixel of it and the photos tell its depth.

Only the views that show the thing are kept. Left out are also those in which sparse points or the capture's own masks say that
something stands in front of it, because a thing drawn over that would be wrong, and those that are not held upright as most
others (a part of a capture may have been solved wrongly). Things cast no shadow.
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

from benchmarks.capture_writer import Frame, write_capture
from benchmarks.planesweep import sweep
from benchmarks.synthetic_occluders import SHAPES, SUNK, Place, Shape, Thing, thing_at
from splatpaint.capture import CaptureConfig, prepare
from splatpaint.events import drain
from splatpaint.image.files import read_image, read_mask, write_image
from splatpaint.image.region import dilate
from splatpaint.scene.camera import Cameras, stack
from splatpaint.scene.views import Capture, PointCloud, View

DIAMETER_SHARE = 0.1
"""The thing's diameter as a share of the image width, in a view that is nearer than two thirds of those that see it."""
CANDIDATES = 1500
LEVEL_COSINE = 0.7
"""Things would slide off steeper surfaces."""
LOOKING_DOWN = math.sin(math.radians(2))
"""Views count only if they look down on the surface at least this steeply (sine of the angle)."""
TILT_COSINE = 0.7
"""Cameras that differ more from the others are taken for badly solved."""
MIN_VIEWS = 6
"""A spot that fewer views show says little about a method."""
SUPERSAMPLING = 4
MASK_MARGIN_PX = 2


@dataclass(frozen=True)
class Spot:
    """A place on level ground picked by a person, for captures whose ground brought no sparse points."""

    view: str
    x: float
    """Share of the width."""
    y: float
    """Share of the height."""


def make_cover(capture: Capture, folder: Path, *, shape: Shape = "ball", spot: Spot | None = None) -> Thing:
    """Writes the covered capture and its truth.

    Raises:
        ValueError: if no spot is given and the capture's points offer none.
    """
    assert capture.points is not None
    capture, points = upright(capture), capture.points
    place = find_spot(capture) if spot is None else swept_spot(capture, spot)
    thing = thing_at(place, shape)
    shutil.rmtree(folder, ignore_errors=True)
    views = [view for view in capture.all_views if _shows(thing, view) and not _hidden(place, view, points)]

    def frames() -> Iterator[Frame]:
        for view in views:
            photo = read_image(view.image)
            color, coverage = draw(thing, view.camera)
            mask = dilate((coverage > 0).float()[None], MASK_MARGIN_PX)[0]
            write_image(folder / "truth" / f"{view.name}.png", photo)
            yield Frame(view.name, view.camera, torch.lerp(photo, color, coverage), mask)

    write_capture(folder, frames(), _observable(thing, points, stack(view.camera for view in views)))
    where = {"foot": place.foot.tolist(), "up": place.up.tolist(), "radius": place.radius}
    (folder / "cover.json").write_text(json.dumps({"shape": shape, **where, "views": len(views)}, indent=1))
    return thing


def upright(capture: Capture) -> Capture:
    """The views whose cameras are held as most of the others are, up to a tilt."""
    views = capture.all_views
    ups = -stack(view.camera for view in views).cam_from_world[:, 1, :3]
    common = normalize(ups[(ups @ ups.T > TILT_COSINE).sum(dim=1).argmax()], dim=0)
    return replace(capture, views=tuple(v for v, up in zip(views, ups, strict=True) if up @ common > TILT_COSINE), held_out=())


def find_spot(capture: Capture) -> Place:
    """The best of many points of the cloud to put a thing on.

    Raises:
        ValueError: if none is flat, level, free and seen.
    """
    points = capture.points
    assert points is not None
    cameras = stack(view.camera for view in capture.all_views)
    up = _up(cameras)
    generator = torch.Generator().manual_seed(0)
    chosen = torch.randperm(len(points), generator=generator)[:CANDIDATES]
    places = [place for index in chosen if (place := _resting(points.positions[index], points, cameras, up)) is not None]
    if not places:
        raise ValueError("no point of this capture lies on a flat, level, free surface")
    best, most = places[0], -1
    shown = ((place, _showing_well(place, capture.all_views)) for place in places)
    for place, showing in sorted(shown, key=lambda it: -len(it[1])):
        if len(showing) <= most:
            break
        clear = sum(not _hidden(place, view, points) for view in showing)
        if clear > most:
            best, most = place, clear
    return best


def swept_spot(capture: Capture, spot: Spot) -> Place:
    """The level ground at a pixel of a view, found by comparing photos."""
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
    return Place(plane.point, plane.normal, radius)


def draw(thing: Thing, camera: Cameras) -> tuple[Float[Tensor, "3 h w"], Float[Tensor, "1 h w"]]:
    """The thing's color and coverage (anti-aliased) in one view; nothing in front of it is considered."""
    place = thing.place
    fine = camera.resized(camera.width * SUPERSAMPLING, camera.height * SUPERSAMPLING)
    color, coverage = torch.zeros(3, camera.height, camera.width), torch.zeros(1, camera.height, camera.width)
    center, depth = camera.project(place.center[None])
    reach = 1.5 * camera.K[0, 0, 0].item() * place.radius / max(depth.item(), 1e-6)
    left, top = (center[0, 0] - reach).floor().int().clamp(min=0).tolist()
    right, bottom = (center[0, 0] + reach).ceil().int().tolist()
    right, bottom = min(right, camera.width), min(bottom, camera.height)
    if depth.item() <= 1.5 * place.radius or right <= left or bottom <= top:
        return color, coverage
    s = SUPERSAMPLING
    window = fine.cropped(left * s, top * s, (right - left) * s, (bottom - top) * s)
    rays = normalize(window.rays()[0] @ camera.world_from_cam[0, :3, :3].T, dim=-1)
    met, painted = thing.meet(camera.centers[0], rays)
    cells = (bottom - top, s, right - left, s)
    share = met.float().reshape(cells).mean(dim=(1, 3))
    mean = painted.reshape(*cells, 3).mean(dim=(1, 3)) / share.clamp(min=1e-6)[..., None]
    color[:, top:bottom, left:right] = mean.permute(2, 0, 1)
    coverage[0, top:bottom, left:right] = share
    return color, coverage


def _resting(point: Tensor, points: PointCloud, cameras: Cameras, up: Tensor) -> Place | None:
    """A place on the plane that fits the surroundings of a point; None where there is none or something stands on it."""
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
    return Place(foot, normal, radius)


def _up(cameras: Cameras) -> Float[Tensor, "3"]:
    """The mean direction towards the upper edge of the pictures."""
    return normalize(-cameras.cam_from_world[:, 1, :3].mean(dim=0), dim=0)


def _fitting_radius(point: Tensor, up: Tensor, cameras: Cameras) -> float | None:
    """The radius that gives a thing its share of the picture; None if too few views look down on the point."""
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


def _showing_well(place: Place, views: Sequence[View]) -> list[View]:
    """The views that have the place whole in the picture, neither tiny nor huge, and look down on its place."""
    good = []
    for view in views:
        center, depth = view.camera.project(place.center[None])
        share = 2 * place.radius * view.camera.K[0, 0, 0].item() / max(depth.item(), 1e-6) / view.camera.width
        whole = _in_frame(center[:, 0], depth[:, 0], view.camera, margin=share / 2 + 0.02).item()
        above = normalize(view.camera.centers[0] - place.center, dim=0) @ place.up > LOOKING_DOWN
        if whole and above and 0.04 < share < 0.3:
            good.append(view)
    return good


def _shows(thing: Thing, view: View) -> bool:
    """Whether any of the thing is in the picture."""
    return bool(draw(thing, view.camera)[1].any())


def _hidden(place: Place, view: View, points: PointCloud) -> bool:
    """Whether something stands between camera and place, judged by sparse points and by the capture's own masks."""
    center, depth = (side[0, 0] for side in view.camera.project(place.center[None]))
    if depth <= 0:
        return False
    reach = view.camera.K[0, 0, 0] * place.radius / depth
    pixels, depths = (side[0] for side in view.camera.project(points.positions))
    across = (pixels - center).norm(dim=1)
    before = (depths > 0.02 * depth) & (depths < depth - 1.2 * place.radius)
    if (before & (across < reach)).sum() >= 3:
        return True
    if view.fill_mask is None:
        return False
    mask = read_mask(view.fill_mask)
    _, coverage = draw(thing_at(place, "ball"), view.camera)
    if not (mask * coverage).any():
        return False
    inside = _in_frame(pixels[None], depths[None], view.camera, margin=0.0)[0]
    x, y = pixels[inside].long().T
    of_thing = depths[inside][mask[0, y, x] > 0]
    return bool(len(of_thing) == 0 or of_thing.median() < depth)


def _observable(thing: Thing, points: PointCloud, cameras: Cameras) -> PointCloud:
    """What structure from motion would find in the covered photos: points that two views see beside the thing, and its own."""
    seen = torch.zeros(len(points))
    in_frame = _in_frame(*cameras.project(points.positions), cameras, margin=0.0)
    for eye, inside in zip(cameras.centers, in_frame, strict=True):
        covered, _ = thing.meet(eye, normalize(points.positions - eye, dim=1))
        seen += inside & ~covered
    kept = seen >= 2
    on_it, normals, colors = thing.surface(600)
    facing = (((cameras.centers[:, None] - on_it) * normals).sum(dim=-1) > 0).sum(dim=0) >= 3
    return PointCloud(
        torch.cat([points.positions[kept], on_it[facing]]),
        torch.cat([points.colors[kept], colors[facing].mul(255).round().byte()]),
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
    parser.add_argument("--shape", choices=SHAPES, default="ball")
    parser.add_argument("--max-resolution", type=int, default=480)
    parser.add_argument("--spot", metavar="VIEW,X,Y", help="level ground at these shares of a view's width and height")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        capture = drain(prepare(arguments.capture, CaptureConfig(max_resolution=arguments.max_resolution), cache=Path(cache)))
        spot = parsed(arguments.spot) if arguments.spot else None
        place = make_cover(capture, arguments.output, shape=arguments.shape, spot=spot).place
    print(f"{arguments.shape} of radius {place.radius:.4f} at {[round(x, 3) for x in place.foot.tolist()]}; {arguments.output}")


if __name__ == "__main__":
    main()
