"""What a prior makes of a hole when a neighboring view that sees what is hidden is warped into it.

Only what the neighbor does not show is painted, as in a fill's last round. The warp needs the depth of the hole. It is
tried twice: as splats have it that were fitted to the other views, since what is painted lies on surfaces that are there; and
with disparity continued from around the hole, as if nobody knew the shape of what is in it. The pictures painted in are held
out from everything. Holes of which the neighbor shows too little are left out.
"""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.prior_holes import HOLES
from benchmarks.prior_in_scenes import in_holes, known_box
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
from splatpaint.stages.customize import masked_photo
from splatpaint.stages.evaluate import Metrics
from splatpaint.stages.exposures import with_exposures
from splatpaint.stages.reconstruct import ReconstructConfig, reconstruct

TEST_EVERY = 8
TARGETS = 6
"""Views a capture, at most."""
RECONSTRUCTION = ("steps=800", "density.max_splats=30000")


@dataclass(frozen=True, eq=False)
class Glimpse:
    """A square part of a held-out view with a hole, and what its neighbor shows there."""

    picture: Tensor
    """(1, 3, s, s)"""
    hole: Tensor
    """(1, 1, s, s)"""
    beside: dict[str, Reference]
    """By how its depth was found."""


@torch.no_grad()
def glimpses(folder: Path, side: int, seed: int) -> Iterator[Glimpse]:
    """For some held-out views a hole of every kind, of which the next view shows enough."""
    rng, device = np.random.default_rng(seed), torch.device("cpu")
    rasterizer = pick_rasterizer("auto", device)
    tree = to_tree(ReconstructConfig())
    for setting in RECONSTRUCTION:
        tree = override(tree, setting)
    with tempfile.TemporaryDirectory() as cache, torch.enable_grad():
        config = CaptureConfig(max_resolution=2 * side, test_every=TEST_EVERY)
        capture = drain(prepare(folder, config, cache=Path(cache)))
        found = drain(reconstruct(capture, rasterizer, from_tree(ReconstructConfig, tree), device=device, seed=0))
        photos = {photo.name: photo for photo in Photos(with_exposures(capture, found.exposures).all_views, device)}
    names, taught = sorted(photos), {view.name for view in capture.views}
    for target in spread(sorted(view.name for view in capture.held_out), TARGETS):
        after = [name for name in names if name > target and name in taught]
        photo, neighbor = photos[target], photos[(after or [name for name in names if name in taught])[0]]
        seen, depth = (rasterizer(found.splats, each.camera).depth for each in (neighbor, photo))
        other = ReferenceView(neighbor.camera, neighbor.image, seen, masked_photo(neighbor).known)
        for kind in HOLES:
            found = known_box(masked_photo(photo), side, kind, rng)
            if found is None:
                continue
            box, inside = found
            hole = torch.zeros_like(photo.usable)
            hole[..., box.top : box.bottom, box.left : box.right] = inside
            continued = 1 / harmonic_fill(1 / depth.clamp_min(1e-3), hole).clamp_min(1e-6)
            beside = {}
            for way, at in (("depth known", depth), ("depth continued", continued)):
                told = warped_for(ReferenceView(photo.camera, photo.image, at, 1 - hole), hole, [other])
                if told is not None:
                    beside[way] = Reference(box.crop(told.images), box.crop(told.unknown))
            if len(beside) == 2:
                yield Glimpse(box.crop(photo.image), inside[None], beside)


@torch.no_grad()
def begun_from_neighbors(
    prior: LatentInpaintingPrior, captures: Sequence[Path], steps: int, instruments: Metrics, *, side: int
) -> tuple[dict[str, dict[str, float]], dict[str, list[Tensor]]]:
    """Scores of painting without the neighbor, and of painting what it does not show; and the pictures."""
    asked = [each for capture in captures for each in glimpses(capture, side, seed=2)]
    painted: dict[str, list[Tensor]] = {}
    for each in asked:
        query, generator = PriorQuery(each.picture, each.hole), torch.Generator().manual_seed(0)
        painted.setdefault("alone", []).append(inpaint(prior, query, steps=steps, generator=generator)[0])
        for way, beside in each.beside.items():
            told = poisson_clone(each.picture, each.hole, beside)
            query = PriorQuery(told, each.hole * beside.unknown)
            painted.setdefault(way, []).append(inpaint(prior, query, steps=steps, generator=generator)[0])
    truth, holes = [each.picture[0] for each in asked], [each.hole[0] for each in asked]
    scores = {name: in_holes(pictures, truth, holes, instruments) for name, pictures in painted.items()}
    given = [torch.where(each.hole > 0, 0.5, each.picture)[0] for each in asked]
    return scores, {"given": given, "truth": truth, **painted}
