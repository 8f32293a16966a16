"""Makes a removal task with ground truth from any capture: renders a synthetic occluder into every photo.

    python -m benchmarks.occluder_placement CAPTURE -o FOLDER [--shape ball] [--max-resolution 480] [--spot VIEW,X,Y]

FOLDER becomes a capture (transforms.json, images/, masks/, points.ply) with the original photos in truth/. The placement is
chosen
from the sparse points: a flat, level, well observed surface without other objects at the occluder or between it and the
cameras. If the ground has no sparse points, the user gives a pixel of it, and a plane sweep finds its depth.

Only views that show the occluder are kept. Views are also dropped if sparse points or the masks of the capture lie in front of
the occluder, because it would be rendered over them, and if their camera is tilted against most others (a part of the capture
may be posed wrongly). Occluders cast no shadow.
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
from benchmarks.synthetic_occluders import SHAPES, SINK_DEPTH, Occluder, Placement, Shape, occluder_at
from splatpaint.capture import CaptureConfig, prepare
from splatpaint.events import drain
from splatpaint.image.files import read_image, read_mask, write_image
from splatpaint.image.region import dilate
from splatpaint.scene.camera import Cameras, stack
from splatpaint.scene.views import Capture, PointCloud, View

DIAMETER_SHARE = 0.1
"""Diameter of the occluder as a share of the image width, at the 1/3 quantile of its depths in the views that see it."""
CANDIDATES = 1500
"""Number of sparse points that are tried as placements."""
LEVEL_COSINE = 0.7
"""Minimum cosine between the surface normal and up."""
LOOKING_DOWN = math.sin(math.radians(2))
"""Minimum sine of the angle between the viewing direction and the surface."""
TILT_COSINE = 0.7
"""Minimum cosine between the up direction of a camera and that of most others; others count as posed wrongly."""
MIN_VIEWS = 6
"""Minimum number of views that see the placement."""
SUPERSAMPLING = 4
"""Rays per pixel along each axis."""
MASK_MARGIN_PX = 2
"""Dilation of the masks."""


@dataclass(frozen=True)
class Spot:
    """A pixel on level ground chosen by the user, for captures whose ground has no sparse points."""

    view: str
    x: float
    """Share of the width."""
    y: float
    """Share of the height."""


def make_occluder_task(capture: Capture, folder: Path, *, shape: Shape = "ball", spot: Spot | None = None) -> Occluder:
    """Writes the capture with the occluder, and its ground truth.

    Raises:
        ValueError: if no spot is given and the sparse points have no suitable surface.
    """
    assert capture.points is not None
    capture, points = upright(capture), capture.points
    placement = find_placement(capture) if spot is None else sweep_placement(capture, spot)
    occluder = occluder_at(placement, shape)
    shutil.rmtree(folder, ignore_errors=True)
    views = [view for view in capture.all_views if _is_visible(occluder, view) and not _is_occluded(placement, view, points)]

    def frames() -> Iterator[Frame]:
        for view in views:
            photo = read_image(view.image)
            color, coverage = draw(occluder, view.camera)
            mask = dilate((coverage > 0).float()[None], MASK_MARGIN_PX)[0]
            write_image(folder / "truth" / f"{view.name}.png", photo)
            yield Frame(view.name, view.camera, torch.lerp(photo, color, coverage), mask)

    write_capture(folder, frames(), _sparse_points(occluder, points, stack(view.camera for view in views)))
    where = {"foot": placement.foot.tolist(), "up": placement.up.tolist(), "radius": placement.radius}
    (folder / "cover.json").write_text(json.dumps({"shape": shape, **where, "views": len(views)}, indent=1))
    return occluder


def upright(capture: Capture) -> Capture:
    """The capture without views whose up direction differs from that of most others."""
    views = capture.all_views
    ups = -stack(view.camera for view in views).cam_from_world[:, 1, :3]
    common = normalize(ups[(ups @ ups.T > TILT_COSINE).sum(dim=1).argmax()], dim=0)
    return replace(capture, views=tuple(v for v, up in zip(views, ups, strict=True) if up @ common > TILT_COSINE), held_out=())


def find_placement(capture: Capture) -> Placement:
    """The placement at one of the sparse points that is unoccluded in most views.

    Raises:
        ValueError: if no point lies on a flat, level and free surface that enough views see.
    """
    points = capture.points
    assert points is not None
    cameras = stack(view.camera for view in capture.all_views)
    up = _up(cameras)
    generator = torch.Generator().manual_seed(0)
    chosen = torch.randperm(len(points), generator=generator)[:CANDIDATES]
    placements = [
        placement for index in chosen if (placement := _placement_at(points.positions[index], points, cameras, up)) is not None
    ]
    if not placements:
        raise ValueError("no point of this capture lies on a flat, level, free surface")
    best, max_views = placements[0], -1
    candidates = ((placement, _good_views(placement, capture.all_views)) for placement in placements)
    for placement, good in sorted(candidates, key=lambda it: -len(it[1])):
        if len(good) <= max_views:
            break
        clear = sum(not _is_occluded(placement, view, points) for view in good)
        if clear > max_views:
            best, max_views = placement, clear
    return best


def sweep_placement(capture: Capture, spot: Spot) -> Placement:
    """The placement on level ground at a pixel of a view, found by plane sweep."""
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
    return Placement(plane.point, plane.normal, radius)


def draw(occluder: Occluder, camera: Cameras) -> tuple[Float[Tensor, "3 h w"], Float[Tensor, "1 h w"]]:
    """Anti-aliased color and coverage of the occluder in one view, without occlusion by the scene."""
    placement = occluder.placement
    fine = camera.resized(camera.width * SUPERSAMPLING, camera.height * SUPERSAMPLING)
    color, coverage = torch.zeros(3, camera.height, camera.width), torch.zeros(1, camera.height, camera.width)
    center, depth = camera.project(placement.center[None])
    reach = 1.5 * camera.K[0, 0, 0].item() * placement.radius / max(depth.item(), 1e-6)
    left, top = (center[0, 0] - reach).floor().int().clamp(min=0).tolist()
    right, bottom = (center[0, 0] + reach).ceil().int().tolist()
    right, bottom = min(right, camera.width), min(bottom, camera.height)
    if depth.item() <= 1.5 * placement.radius or right <= left or bottom <= top:
        return color, coverage
    s = SUPERSAMPLING
    window = fine.cropped(left * s, top * s, (right - left) * s, (bottom - top) * s)
    rays = normalize(window.rays()[0] @ camera.world_from_cam[0, :3, :3].T, dim=-1)
    hit, painted = occluder.intersect(camera.centers[0], rays)
    cells = (bottom - top, s, right - left, s)
    share = hit.float().reshape(cells).mean(dim=(1, 3))
    mean = painted.reshape(*cells, 3).mean(dim=(1, 3)) / share.clamp(min=1e-6)[..., None]
    color[:, top:bottom, left:right] = mean.permute(2, 0, 1)
    coverage[0, top:bottom, left:right] = share
    return color, coverage


def _placement_at(point: Tensor, points: PointCloud, cameras: Cameras, up: Tensor) -> Placement | None:
    """The placement on the plane fitted around a point; None if there is no plane or something stands on it."""
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
    middle = foot + (1 - SINK_DEPTH) * radius * normal
    near = (points.positions - middle).norm(dim=1) < 1.5 * radius
    high = (points.positions - foot) @ normal > 0.35 * radius
    if (near & high).any():
        return None
    return Placement(foot, normal, radius)


def _up(cameras: Cameras) -> Float[Tensor, "3"]:
    """The mean up direction of the cameras."""
    return normalize(-cameras.cam_from_world[:, 1, :3].mean(dim=0), dim=0)


def _fitting_radius(point: Tensor, up: Tensor, cameras: Cameras) -> float | None:
    """The occluder radius that follows from `DIAMETER_SHARE`; None if too few views look down on the point."""
    pixels, depth = cameras.project(point[None])
    above = normalize(cameras.centers - point, dim=1) @ up > LOOKING_DOWN
    visible = _in_frame(pixels[:, 0], depth[:, 0], cameras, margin=0.08) & above
    if visible.sum() < MIN_VIEWS:
        return None
    return (0.5 * DIAMETER_SHARE * cameras.width * depth[visible, 0] / cameras.K[visible, 0, 0]).quantile(1 / 3).item()


def _plane(points: Float[Tensor, "n 3"]) -> tuple[Float[Tensor, "3"], Float[Tensor, "3"]]:
    """Point and normal of the dominant plane: refitted several times to the nearer half of the points."""
    near = points
    for _ in range(5):
        center = near.mean(dim=0)
        normal = torch.linalg.svd(near - center, full_matrices=False).Vh[2]
        off = ((points - center) @ normal).abs()
        near = points[off <= off.median().clamp(min=1e-9)]
    return center, normal


def _good_views(placement: Placement, views: Sequence[View]) -> list[View]:
    """The views that look down on the placement and see it completely, at 4 to 30 % of the image width."""
    good = []
    for view in views:
        center, depth = view.camera.project(placement.center[None])
        share = 2 * placement.radius * view.camera.K[0, 0, 0].item() / max(depth.item(), 1e-6) / view.camera.width
        whole = _in_frame(center[:, 0], depth[:, 0], view.camera, margin=share / 2 + 0.02).item()
        above = normalize(view.camera.centers[0] - placement.center, dim=0) @ placement.up > LOOKING_DOWN
        if whole and above and 0.04 < share < 0.3:
            good.append(view)
    return good


def _is_visible(occluder: Occluder, view: View) -> bool:
    """Whether a part of the occluder is in the frame."""
    return bool(draw(occluder, view.camera)[1].any())


def _is_occluded(placement: Placement, view: View, points: PointCloud) -> bool:
    """Whether sparse points or the object of the capture's own masks lie between camera and placement."""
    center, depth = (side[0, 0] for side in view.camera.project(placement.center[None]))
    if depth <= 0:
        return False
    reach = view.camera.K[0, 0, 0] * placement.radius / depth
    pixels, depths = (side[0] for side in view.camera.project(points.positions))
    across = (pixels - center).norm(dim=1)
    before = (depths > 0.02 * depth) & (depths < depth - 1.2 * placement.radius)
    if (before & (across < reach)).sum() >= 3:
        return True
    if view.fill_mask is None:
        return False
    mask = read_mask(view.fill_mask)
    _, coverage = draw(occluder_at(placement, "ball"), view.camera)
    if not (mask * coverage).any():
        return False
    inside = _in_frame(pixels[None], depths[None], view.camera, margin=0.0)[0]
    x, y = pixels[inside].long().T
    object_depths = depths[inside][mask[0, y, x] > 0]
    return bool(len(object_depths) == 0 or object_depths.median() < depth)


def _sparse_points(occluder: Occluder, points: PointCloud, cameras: Cameras) -> PointCloud:
    """The sparse points that structure from motion would find: those that two views see unoccluded, and some of the
    occluder."""
    seen = torch.zeros(len(points))
    in_frame = _in_frame(*cameras.project(points.positions), cameras, margin=0.0)
    for eye, inside in zip(cameras.centers, in_frame, strict=True):
        covered, _ = occluder.intersect(eye, normalize(points.positions - eye, dim=1))
        seen += inside & ~covered
    kept = seen >= 2
    on_it, normals, colors = occluder.surface(600)
    facing = (((cameras.centers[:, None] - on_it) * normals).sum(dim=-1) > 0).sum(dim=0) >= 3
    return PointCloud(
        torch.cat([points.positions[kept], on_it[facing]]),
        torch.cat([points.colors[kept], colors[facing].mul(255).round().byte()]),
    )


def _in_frame(
    pixels: Float[Tensor, "*v n 2"], depth: Float[Tensor, "*v n"], cameras: Cameras, *, margin: float
) -> Bool[Tensor, "*v n"]:
    """Whether pixels are inside the frame, with a margin given as a share of its width."""
    low = margin * cameras.width
    high = torch.tensor([cameras.width - low, cameras.height - low])
    return ((pixels >= low) & (pixels < high)).all(dim=-1) & (depth > 0)


def parse_spot(spot: str) -> Spot:
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
        spot = parse_spot(arguments.spot) if arguments.spot else None
        placement = make_occluder_task(capture, arguments.output, shape=arguments.shape, spot=spot).placement
    foot = [round(x, 3) for x in placement.foot.tolist()]
    print(f"{arguments.shape} of radius {placement.radius:.4f} at {foot}; {arguments.output}")


if __name__ == "__main__":
    main()
