"""Makes a removal task with ground truth from any capture: renders a synthetic occluder into every photo.

    python -m benchmarks.occluder_task CAPTURE -o FOLDER [--shape ball] [--max-resolution 480] [--spot VIEW,X,Y]

FOLDER becomes a capture (transforms.json, images/, masks/, points.ply) with the original photos in truth/. Where the occluder
stands is found (occluder_placement.py), or the user gives a pixel.

Only views that show the occluder are kept, on at most a quarter of the photo. Views are also dropped if sparse points, the
masks of the capture or what the photo shows say that something is in front of the occluder, because it would be rendered over
it, and if their camera is rolled against most others (a part of the capture may be posed wrongly). Occluders cast no shadow,
unless --shadow is given: then the photos are darkened softly around the foot, on its plane.
"""

import argparse
import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch.nn.functional import normalize

from benchmarks.capture_writer import Frame, write_capture
from benchmarks.occluder_placement import (
    Spot,
    disagreements,
    find_placement,
    in_frame,
    is_occluded,
    sweep_placement,
    together,
    upright,
)
from benchmarks.occluder_rendering import draw, shade
from benchmarks.synthetic_occluders import SHAPES, Occluder, Shape, occluder_at
from splatpaint.capture import CaptureConfig, prepare
from splatpaint.events import drain
from splatpaint.image.files import read_image, write_image
from splatpaint.image.region import dilate
from splatpaint.scene.views import Capture, PointCloud, View

MAX_SHARE = 0.25
"""Maximum share of a photo that an occluder may cover; other views are left out."""
MASK_MARGIN_PX = 2
"""Dilation of the masks."""


def make_occluder_task(
    capture: Capture, folder: Path, *, shape: Shape = "ball", spot: Spot | None = None, shadow: bool = False
) -> Occluder:
    """Writes the capture with the occluder, and its ground truth.

    Raises:
        ValueError: if no spot is given and the sparse points have no suitable surface.
    """
    assert capture.points is not None
    capture, points = upright(capture), capture.points
    placement = find_placement(capture) if spot is None else sweep_placement(capture, spot)
    occluder = occluder_at(placement, shape)
    shutil.rmtree(folder, ignore_errors=True)
    views = [view for view in capture.all_views if _is_visible(occluder, view) and not is_occluded(placement, view, points)]
    if spot is None:
        views = [view for view, off in zip(views, disagreements(placement, views), strict=True) if off < 1]

    def frames() -> Iterator[Frame]:
        for view in views:
            photo = read_image(view.image)
            color, coverage = draw(occluder, view.camera)
            mask = dilate((coverage > 0).float()[None], MASK_MARGIN_PX)[0]
            write_image(folder / "truth" / f"{view.name}.png", photo)
            around = photo * shade(placement, view.camera) if shadow else photo
            yield Frame(view.name, view.camera, torch.lerp(around, color, coverage), mask)

    write_capture(folder, frames(), _sparse_points(occluder, points, views))
    where = {"foot": placement.foot.tolist(), "up": placement.up.tolist(), "radius": placement.radius}
    (folder / "cover.json").write_text(json.dumps({"shape": shape, **where, "views": len(views)}, indent=1))
    return occluder


def _is_visible(occluder: Occluder, view: View) -> bool:
    """Whether a part of the occluder is in the frame, and leaves enough of the photo."""
    return 0 < draw(occluder, view.camera)[1].mean().item() <= MAX_SHARE


def _sparse_points(occluder: Occluder, points: PointCloud, views: Sequence[View]) -> PointCloud:
    """The sparse points that structure from motion would find: those that two views see unoccluded, and some of the
    occluder."""
    cameras, sizes = together(views)
    seen = torch.zeros(len(points))
    inside_of_all = in_frame(*cameras.project(points.positions), sizes[:, None], margin=0.0)
    for eye, inside in zip(cameras.centers, inside_of_all, strict=True):
        covered, _ = occluder.intersect(eye, normalize(points.positions - eye, dim=1))
        seen += inside & ~covered
    kept = seen >= 2
    on_it, normals, colors = occluder.surface(600)
    facing = (((cameras.centers[:, None] - on_it) * normals).sum(dim=-1) > 0).sum(dim=0) >= 3
    return PointCloud(
        torch.cat([points.positions[kept], on_it[facing]]),
        torch.cat([points.colors[kept], colors[facing].mul(255).round().byte()]),
    )


def parse_spot(spot: str) -> Spot:
    view, x, y = spot.split(",")
    return Spot(view, float(x), float(y))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("capture", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--shape", choices=SHAPES, default="ball")
    parser.add_argument("--max-resolution", type=int, default=480)
    parser.add_argument("--shadow", action="store_true", help="darken the photos softly around the foot")
    parser.add_argument("--spot", metavar="VIEW,X,Y", help="level ground at these shares of a view's width and height")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        capture = drain(prepare(arguments.capture, CaptureConfig(max_resolution=arguments.max_resolution), cache=Path(cache)))
        spot = parse_spot(arguments.spot) if arguments.spot else None
        occluder = make_occluder_task(capture, arguments.output, shape=arguments.shape, spot=spot, shadow=arguments.shadow)
        placement = occluder.placement
    foot = [round(x, 3) for x in placement.foot.tolist()]
    print(f"{arguments.shape} of radius {placement.radius:.4f} at {foot}; {arguments.output}")


if __name__ == "__main__":
    main()
