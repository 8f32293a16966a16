"""Finds a place for a synthetic occluder in any capture.

It is chosen from the sparse points: a flat, level surface away from the object that the capture's own masks mark, with nothing
on it or before it, on which the most photos agree. If few photos show one, places beside that object are tried, on the level on
which it stands: a white table has no sparse points. Or the user gives a pixel of level ground, and a plane sweep finds its
depth.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import normalize

from benchmarks.occluder_rendering import draw
from benchmarks.planesweep import sweep
from benchmarks.synthetic_occluders import SINK_DEPTH, Placement, occluder_at
from splatpaint.image.files import read_image, read_mask
from splatpaint.scene.camera import Cameras, stack
from splatpaint.scene.views import Capture, PointCloud, View

DIAMETER_SHARE = 0.1
"""Diameter of the occluder as a share of the image width, at the 1/3 quantile of its depths in the views that see it."""
CANDIDATES = 1500
"""Number of sparse points that are tried as placements."""
LEVEL_COSINE = 0.9
"""Minimum cosine between the surface normal and up."""
LOOKING_DOWN = math.sin(math.radians(2))
"""Minimum sine of the angle between the viewing direction and the surface."""
TILT_COSINE = 0.7
"""Cosine between the up directions of two cameras from which they count as held alike."""
ROLL_SINE = 0.5
"""Maximum sine of the angle between a camera's x axis and level; others count as posed wrongly."""
MEAN_UP_WEIGHT = 0.1
"""Weight of the cameras' mean up direction in the estimate of up, beside 1 for their x axes: decides only where these are all
alike."""
MAX_MASKED_SHARE = 0.35
"""Maximum share of views in which the capture's own masks may cover the place: an object beside it hides it from one side."""
WIDE, MAX_BELOW_SHARE = 4.0, 0.15
"""Within so many radii of the foot, at most this share of the points may lie below the surface: below the top of a thing lies
what it stands on, below a table nothing that is seen."""
SURROUNDINGS = 1.5
"""Radius of the surface around the foot that must be flat, in radii of the occluder."""
MAX_DISAGREEMENT, MAX_DISAGREEMENT_OF_TEXTURE = 0.05, 0.5
"""Maximum mean difference of a photo's colors around the foot from those that most photos show, in [0, 1]: noise, and as a
share of the surface's own contrast, which poses that are slightly off blur."""
MAX_EXPOSURE = 0.1
"""Maximum difference of a photo's mean color from those that most photos show that counts as its exposure, in [0, 1]."""
MIN_CLEAR_SHARE = 0.6
"""Minimum share of views that show the place unhidden, of those that have it in their frame."""
MIN_SHARE_OF_ALL = 1 / 3
"""Share of all views that should show the place; if fewer do, places beside the capture's own object are tried."""
MIN_VIEWS = 6
"""Minimum number of views that see the placement."""


@dataclass(frozen=True)
class Spot:
    """A pixel on level ground chosen by the user, for captures whose ground has no sparse points."""

    view: str
    x: float
    """Share of the width."""
    y: float
    """Share of the height."""


def upright(capture: Capture) -> Capture:
    """The capture without views that are rolled against most others."""
    views = capture.all_views
    cameras, _ = together(views)
    turns = cameras.cam_from_world
    ups = -turns[:, 1, :3]
    common = normalize(ups[(ups @ ups.T > TILT_COSINE).sum(dim=1).argmax()], dim=0)
    kept = ups @ common > TILT_COSINE
    # Cameras above a table look down from all sides: their up directions differ, but their x axes are level.
    for _ in range(3):
        up = _up(cameras[kept])
        kept = (turns[:, 0, :3] @ up).abs() < ROLL_SINE
        kept &= ups @ up > 0
    return replace(capture, views=tuple(view for view, keep in zip(views, kept, strict=True) if keep), held_out=())


def find_placement(capture: Capture) -> Placement:
    """The placement at one of the sparse points that is unoccluded in most views.

    Raises:
        ValueError: if no point lies on a flat, level and free surface that enough views see.
    """
    points, views = capture.points, capture.all_views
    assert points is not None
    cameras, sizes = together(views)
    up = _up(cameras)
    generator = torch.Generator().manual_seed(0)
    chosen = torch.randperm(len(points), generator=generator)[:CANDIDATES]
    placements = [_placement_at(points.positions[index], points, cameras, sizes, up) for index in chosen]
    masks = {view.name: read_mask(view.fill_mask) for view in views if view.fill_mask is not None}
    found = [placement for placement in placements if placement is not None]
    best = _best(found, views, points, masks)
    if best is None or len(best[1]) < MIN_SHARE_OF_ALL * len(views):
        best = _best(_beside_object(points, views, masks, up), views, points, masks) or best
    if best is None:
        raise ValueError("no point of this capture lies on a flat, level, free surface: give a spot")
    return best[0]


def _best(
    placements: Sequence[Placement], views: Sequence[View], points: PointCloud, masks: Mapping[str, Float[Tensor, "1 h w"]]
) -> tuple[Placement, list[View]] | None:
    """The placement that most views show unhidden and on which they agree best, with these views; None if there is none."""
    best, best_score = None, 0.0
    candidates = ((placement, _good_views(placement, views)) for placement in placements)
    for placement, good in sorted(candidates, key=lambda it: -len(it[1])):
        if len(good) <= max(best_score, MIN_VIEWS - 1):
            break
        off = disagreements(placement, good)
        showing = [view for view, each in zip(good, off, strict=True) if each < 1]
        agreement = 1 - off[off < 1].mean().item() if showing else 0.0
        if len(showing) * agreement <= best_score or _is_at_object(placement, good, masks):
            continue
        clear = [view for view in showing if not is_occluded(placement, view, points)]
        if len(clear) >= max(MIN_VIEWS, MIN_CLEAR_SHARE * len(good)) and len(clear) * agreement > best_score:
            best, best_score = (placement, clear), len(clear) * agreement
    return best


def _beside_object(
    points: PointCloud, views: Sequence[View], masks: Mapping[str, Float[Tensor, "1 h w"]], up: Float[Tensor, "3"]
) -> list[Placement]:
    """Placements around the object that the capture's own masks mark, on the level on which it stands: for surfaces without
    sparse points, as a white table."""
    seen, inside = torch.zeros(len(points)), torch.zeros(len(points))
    for view in views:
        if (mask := masks.get(view.name)) is not None:
            row, column, _, in_frame = view.camera.find(points.positions)
            seen += in_frame
            inside += in_frame * (mask[0, row, column] > 0)
    object_points = points.positions[(seen >= MIN_VIEWS) & (inside > 0.9 * seen)]
    if len(object_points) < 12:
        return []
    middle = object_points.median(dim=0).values
    height = (object_points - middle) @ up
    base = middle + height.quantile(0.01) * up
    sideways = (object_points - middle) - height[:, None] * up
    reach = sideways.norm(dim=1).quantile(0.95)
    cameras, sizes = together(views)
    radius = _fitting_radius(base, up, cameras, sizes)
    if radius is None:
        return []
    side, across, _ = Placement(base, up, radius).axes
    return [
        Placement(base + (reach + gap * radius) * (math.cos(angle) * side + math.sin(angle) * across), up, radius)
        for gap in (2.0, 3.0, 4.0)
        for angle in torch.linspace(0, 2 * math.pi, 25)[:-1].tolist()
    ]


def sweep_placement(capture: Capture, spot: Spot) -> Placement:
    """The placement on level ground at a pixel of a view, found by plane sweep."""
    views = capture.all_views
    cameras = stack(view.camera for view in views)  # a sweep compares photos of one size
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
    radius = _fitting_radius(plane.point, plane.normal, *together(views))
    assert radius is not None
    return Placement(plane.point, plane.normal, radius)


def _placement_at(point: Tensor, points: PointCloud, cameras: Cameras, sizes: Tensor, up: Tensor) -> Placement | None:
    """The placement on the plane fitted around a point; None if there is no plane or something stands on it."""
    radius = _fitting_radius(point, up, cameras, sizes)
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
    wide = (points.positions - foot).norm(dim=1) < WIDE * radius
    below = (points.positions - foot) @ normal < -0.3 * radius
    if (wide & below).sum() > MAX_BELOW_SHARE * wide.sum():
        return None
    return Placement(foot, normal, radius)


def together(views: Sequence[View]) -> tuple[Cameras, Float[Tensor, "v 2"]]:
    """One batch of the views' cameras, for projecting only, and the width and height of each: a capture may have photos of
    several sizes."""
    sizes = torch.tensor([[float(view.camera.width), float(view.camera.height)] for view in views])
    return stack(replace(view.camera, width=1, height=1) for view in views), sizes


def _up(cameras: Cameras) -> Float[Tensor, "3"]:
    """The world direction that is most perpendicular to the x axes of the cameras and, as far as they leave that open, nearest
    to their mean up direction."""
    right, mean = cameras.cam_from_world[:, 0, :3], normalize(-cameras.cam_from_world[:, 1, :3].mean(dim=0), dim=0)
    against = right.T @ right / len(right) - MEAN_UP_WEIGHT * torch.outer(mean, mean)
    up = torch.linalg.eigh(against).eigenvectors[:, 0]
    return up * torch.sign(up @ mean)


def _fitting_radius(point: Tensor, up: Tensor, cameras: Cameras, sizes: Float[Tensor, "v 2"]) -> float | None:
    """The occluder radius that follows from `DIAMETER_SHARE`; None if too few views look down on the point."""
    pixels, depth = (side[:, 0] for side in cameras.project(point[None]))
    above = normalize(cameras.centers - point, dim=1) @ up > LOOKING_DOWN
    visible = in_frame(pixels, depth, sizes, margin=0.08) & above
    if visible.sum() < MIN_VIEWS:
        return None
    longer = sizes.amax(dim=1)
    return (0.5 * DIAMETER_SHARE * longer * depth / cameras.K[:, 0, 0])[visible].quantile(1 / 3).item()


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
    """The views that look down on the placement and see it completely, at 4 to 30 % of the longer image side."""
    cameras, sizes = together(views)
    center, depth = (side[:, 0] for side in cameras.project(placement.center[None]))
    share = 2 * placement.radius * cameras.K[:, 0, 0] / depth.clamp(min=1e-6) / sizes.amax(dim=1)
    whole = in_frame(center, depth, sizes, margin=share / 2 + 0.02)
    above = normalize(cameras.centers - placement.center, dim=1) @ placement.up > LOOKING_DOWN
    good = whole & above & (share > 0.04) & (share < 0.3)
    return [view for view, is_good in zip(views, good, strict=True) if is_good]


def _is_at_object(placement: Placement, views: Sequence[View], masks: Mapping[str, Float[Tensor, "1 h w"]]) -> bool:
    """Whether the placement is in or right beside the object that the capture's own masks mark: in too many views the mask
    covers its center or its foot."""
    inside = masked = 0
    for view in views:
        if (mask := masks.get(view.name)) is not None:
            row, column, _, seen = view.camera.find(torch.stack([placement.foot, placement.center]))
            inside += bool((mask[0, row, column] * seen).any())
            masked += 1
    return inside > MAX_MASKED_SHARE * masked


def disagreements(placement: Placement, views: Sequence[View]) -> Float[Tensor, " v"]:
    """How much each photo differs from what most show of the surface around the foot, if it is the plane that the placement
    says; above 1, it shows something else. A plane that is not there, what stands on it, and what hides it move from view to
    view."""
    steps = torch.linspace(-SURROUNDINGS, SURROUNDINGS, 17)
    grid = torch.stack(torch.meshgrid(steps, steps, indexing="ij"), dim=-1).reshape(-1, 2)
    grid = grid[grid.norm(dim=1) <= SURROUNDINGS]
    on_plane = placement.foot + placement.radius * grid @ placement.axes[:2]
    samples = []
    for view in views:
        row, column, _, inside = view.camera.find(on_plane)
        samples.append(torch.where(inside, _photo(view.image)[:, row, column], torch.nan))
    patches = torch.stack(samples)
    common = patches.nanmedian(dim=0).values
    off = patches - common
    off = (off - off.nanmean(dim=2, keepdim=True).clamp(-MAX_EXPOSURE, MAX_EXPOSURE)).abs().nanmean(dim=(1, 2))
    texture = (common - common.nanmean(dim=1, keepdim=True)).abs().nanmean()
    # A view that shows nothing of the surface shows the occluder at the border of its frame, if at all.
    return (off / (MAX_DISAGREEMENT + MAX_DISAGREEMENT_OF_TEXTURE * texture)).nan_to_num(nan=math.inf)


@lru_cache(maxsize=256)
def _photo(path: Path) -> Float[Tensor, "3 h w"]:
    return read_image(path)


def is_occluded(placement: Placement, view: View, points: PointCloud) -> bool:
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
    inside = in_frame(pixels, depths, together([view])[1], margin=0.0)
    x, y = pixels[inside].long().T
    object_depths = depths[inside][mask[0, y, x] > 0]
    return bool(len(object_depths) == 0 or object_depths.median() < depth)


def in_frame(
    pixels: Float[Tensor, "*n 2"], depth: Float[Tensor, "*n"], sizes: Float[Tensor, "*#n 2"], *, margin: float | Tensor
) -> Bool[Tensor, "*n"]:
    """Whether pixels are inside the frame, with a margin given as a share of its width."""
    low = (margin * sizes[..., 0])[..., None]
    return ((pixels >= low) & (pixels < sizes - low)).all(dim=-1) & (depth > 0)
