"""Scores of the prior with a neighboring view warped into the hole.

Only pixels that the neighbor does not show are filled by the prior, as in the last round of a fill. The warp needs the depth of
the hole. Two depths are tried: that of splats fitted to the other views (the hole lies on real surfaces), and disparity
interpolated harmonically from around the hole (as if its geometry were unknown). The test views are held out from the
reconstruction. Holes that the neighbor hardly shows are skipped.
"""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.prior_holes import HOLES
from benchmarks.prior_in_scenes import hole_scores, known_box
from splatpaint.capture import CaptureConfig, prepare
from splatpaint.config import from_tree, override, to_tree
from splatpaint.events import drain
from splatpaint.fill.references import ReferenceView, warped_for
from splatpaint.image.harmonic import harmonic_fill
from splatpaint.priors.cloning import poisson_clone
from splatpaint.priors.crops import inpaint
from splatpaint.priors.latent import LatentInpaintingPrior
from splatpaint.priors.protocol import PriorQuery, Reference
from splatpaint.render.pick import pick_rasterizer
from splatpaint.scene.photos import Photos
from splatpaint.scene.views import spread
from splatpaint.stages.customize import known_picture
from splatpaint.stages.evaluate import Metrics
from splatpaint.stages.exposures import with_exposures
from splatpaint.stages.reconstruct import ReconstructConfig, reconstruct

TEST_EVERY = 8
"""Interval of the held-out views."""
TARGETS = 6
"""Number of test views per capture, at most."""
RECONSTRUCTION = ("steps=800", "density.max_splats=30000")


@dataclass(frozen=True, eq=False)
class WarpCase:
    """A square crop of a held-out view with a hole, and its neighbor warped into it."""

    picture: Tensor
    """(1, 3, s, s)"""
    hole: Tensor
    """(1, 1, s, s)"""
    beside: dict[str, Reference]
    """The warped neighbor, by the source of the depth."""


@torch.no_grad()
def warp_cases(folder: Path, side: int, seed: int) -> Iterator[WarpCase]:
    """For some held-out views, one hole of each kind that the next view shows sufficiently."""
    rng, device = np.random.default_rng(seed), torch.device("cpu")
    rasterizer = pick_rasterizer("auto", device)
    tree = to_tree(ReconstructConfig())
    for setting in RECONSTRUCTION:
        tree = override(tree, setting)
    with tempfile.TemporaryDirectory() as cache, torch.enable_grad():
        config = CaptureConfig(max_resolution=2 * side, test_every=TEST_EVERY)
        capture = drain(prepare(folder, config, cache=Path(cache)))
        scene = drain(reconstruct(capture, rasterizer, from_tree(ReconstructConfig, tree), device=device, seed=0))
        photos = {photo.name: photo for photo in Photos(with_exposures(capture, scene.exposures).all_views, device)}
    names, supervised = sorted(photos), {view.name for view in capture.views}
    for target in spread(sorted(view.name for view in capture.held_out), TARGETS):
        after = [name for name in names if name > target and name in supervised]
        photo, neighbor = photos[target], photos[(after or [name for name in names if name in supervised])[0]]
        seen, depth = (rasterizer(scene.splats, each.camera).depth for each in (neighbor, photo))
        other = ReferenceView(neighbor.camera, neighbor.image, seen, known_picture(neighbor).known)
        for kind in HOLES:
            found = known_box(known_picture(photo), side, kind, rng)
            if found is None:
                continue
            box, inside = found
            hole = torch.zeros_like(photo.usable)
            hole[..., box.top : box.bottom, box.left : box.right] = inside
            continued = 1 / harmonic_fill(1 / depth.clamp_min(1e-3), hole).clamp_min(1e-6)
            beside = {}
            for way, at in (("depth known", depth), ("depth continued", continued)):
                warp = warped_for(ReferenceView(photo.camera, photo.image, at, 1 - hole), hole, [other])
                if warp is not None:
                    beside[way] = Reference(box.crop(warp.images), box.crop(warp.unknown))
            if len(beside) == 2:
                yield WarpCase(box.crop(photo.image), inside[None], beside)


@torch.no_grad()
def score_with_warps(
    prior: LatentInpaintingPrior, captures: Sequence[Path], steps: int, metrics: Metrics, *, side: int
) -> tuple[dict[str, dict[str, float]], dict[str, list[Tensor]]]:
    """Scores with and without the warped neighbor, and the images."""
    cases = [each for capture in captures for each in warp_cases(capture, side, seed=2)]
    painted: dict[str, list[Tensor]] = {}
    for each in cases:
        query, generator = PriorQuery(each.picture, each.hole), torch.Generator().manual_seed(0)
        painted.setdefault("alone", []).append(inpaint(prior, query, steps=steps, generator=generator)[0])
        for way, beside in each.beside.items():
            cloned = poisson_clone(each.picture, each.hole, beside)
            query = PriorQuery(cloned, each.hole * beside.unknown)
            painted.setdefault(way, []).append(inpaint(prior, query, steps=steps, generator=generator)[0])
    truth, holes = [each.picture[0] for each in cases], [each.hole[0] for each in cases]
    scores = {name: hole_scores(pictures, truth, holes, metrics) for name, pictures in painted.items()}
    given = [torch.where(each.hole > 0, 0.5, each.picture)[0] for each in cases]
    return scores, {"given": given, "truth": truth, **painted}
