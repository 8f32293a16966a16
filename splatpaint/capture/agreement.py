"""Whether the points of a capture fit its poses, and which of them are of use.

Points and poses come apart where a tool changed the axes of one of them, where one file is older than the other, or where poses
were written the wrong way round. Points that were matched in photos tell by their reprojection errors, others by where they lie
and by their colors: what a photo shows at a point's place varies as the points' colors do.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from splatpaint.capture.posed import FARTHEST, InputPoints, Photo, inverted
from splatpaint.errors import CaptureError
from splatpaint.image.files import read_image
from splatpaint.scene.views import spread

ENOUGH = 100
"""With so many reliable points, others are not needed."""
MIN_OBSERVED = 20
"""With fewer observations, reprojection errors say nothing."""
TOLERANCE = 0.01
"""Of the longer image side: points reproject within it, and farther off where they belong to other poses."""
MIN_SEEN = 0.8
"""Share of the points that must lie in the frame of at least two photos, unless their colors clearly fit."""
MIN_CORRELATION = 0.2
"""Of the brightness of points and of the photos at their places. In five captures it was 0.42 to 0.90, and at most 0.17 with
axes swapped or poses inverted."""
CLEAR_CORRELATION = 0.4
"""From here on, points fit also where most lie out of sight, as those of a survey of a whole street."""
PHOTOS, POINTS = 8, 5000
"""Photos and points whose colors are compared."""
MAX_CLOUD = 50_000
"""Points that are used of a dense cloud that photos were not matched for: more splats at the start would only cost time."""


@dataclass(frozen=True, eq=False)
class Observed:
    """Where a photo shows points."""

    photo: Photo
    points: Int[np.ndarray, " k"]
    """Rows of the points."""
    pixels: Float[np.ndarray, "k 2"]


@dataclass(frozen=True, eq=False)
class GivenPoints:
    """Points as a file holds them."""

    file: str
    """For messages."""
    points: InputPoints
    reliable: Bool[np.ndarray, " n"] | None = None
    """Whether enough photos agree on each; None if that is not known of any."""
    observed: Sequence[Observed] = ()


def usable_points(given: GivenPoints, photos: tuple[Photo, ...]) -> tuple[InputPoints | None, list[str]]:
    """The points that are of use, None if there are none; and what is to be said of the others, a sentence each.

    Raises:
        CaptureError: if the points fit the inverted poses.
    """
    notes = []
    given = _thinned(given, notes)
    points = given.points
    usable = np.asarray((np.abs(points.positions) <= FARTHEST).all(axis=1))
    if not usable.all():
        lost = f"{np.count_nonzero(~usable)} of {len(points)} points of {given.file}"
        notes.append(f"{lost} are NaN, infinite or absurdly far: they are left out")
    if not usable.any():
        return None, notes
    if problem := _misfit(given, usable, photos):
        swapped = {photo.name: replace(photo, cam_from_world=inverted(photo.cam_from_world)) for photo in photos}
        observed = [replace(each, photo=swapped[each.photo.name]) for each in given.observed]
        if not _misfit(replace(given, observed=observed), usable, tuple(swapped.values()), doubt=True):
            raise CaptureError(
                f"the points of {given.file} do not fit the poses ({problem}), but fit their inverses: poses were written the "
                "wrong way round (COLMAP's are world to camera, those of transforms.json camera to world): export them again"
            )
        notes.append(
            f"the points of {given.file} do not fit the poses ({problem}) and are left aside: one of the two is of another "
            "time or has other axes"
        )
        return None, notes
    error = _errors(given)
    observed = np.isfinite(error)
    if elsewhere := np.count_nonzero(usable & (error > TOLERANCE)):
        lost = f"{elsewhere} of {len(points)} points of {given.file}"
        notes.append(f"{lost} lie elsewhere than photos show them: they are left out")
    usable &= ~(error > TOLERANCE)
    if given.reliable is not None and np.count_nonzero(usable & given.reliable) >= ENOUGH:
        usable &= given.reliable
    else:
        usable &= observed | (_seen_by(points, photos) >= 1)
    return (InputPoints(points.positions[usable], points.colors[usable]) if usable.any() else None), notes


def _thinned(given: GivenPoints, notes: list[str]) -> GivenPoints:
    """At most `MAX_CLOUD` points, if none of them is reliable; which adds a note."""
    total = len(given.points)
    if total <= MAX_CLOUD or (given.reliable is not None and given.reliable.any()):
        return given
    notes.append(f"of the {total} points of {given.file}, {MAX_CLOUD} are used")
    rows = np.sort(np.random.default_rng(0).choice(total, MAX_CLOUD, replace=False))
    place = np.full(total, -1)
    place[rows] = np.arange(MAX_CLOUD)
    observed = [
        Observed(each.photo, place[each.points][kept], each.pixels[kept])
        for each in given.observed
        for kept in [place[each.points] >= 0]
    ]
    points = InputPoints(given.points.positions[rows], given.points.colors[rows])
    return GivenPoints(given.file, points, None if given.reliable is None else given.reliable[rows], observed)


def _misfit(
    given: GivenPoints, usable: Bool[np.ndarray, " n"], photos: tuple[Photo, ...], *, doubt: bool = False
) -> str | None:
    """In which way the points do not fit the poses; None if they do, or, without doubt, if nothing says that they do not."""
    errors = np.concatenate([np.empty(0), *(_reprojection(given.points, each)[usable[each.points]] for each in given.observed)])
    if len(errors) >= MIN_OBSERVED:
        median, behind = float(np.median(errors)), float(np.mean(np.isinf(errors)))
        if behind > 0.5:
            return f"{behind:.0%} of their observations lie behind the camera"
        return f"they reproject {median:.1%} of the image side off" if median > TOLERANCE else None
    points = InputPoints(given.points.positions[usable], given.points.colors[usable])
    share = float((_seen_by(points, photos) >= 2).mean())
    correlation = _color_correlation(points, photos)
    if share < MIN_SEEN and (correlation is None or correlation < CLEAR_CORRELATION):
        return f"{share:.0%} of them lie in the frame of two photos"
    if doubt if correlation is None else correlation < MIN_CORRELATION:
        return "photos show other colors at their places"
    return None


def _errors(given: GivenPoints) -> Float[np.ndarray, " n"]:
    """The mean reprojection error of every point, as a share of the longer image side; NaN where there is no observation."""
    total, count = np.zeros(len(given.points)), np.zeros(len(given.points))
    for each in given.observed:
        np.add.at(total, each.points, _reprojection(given.points, each))
        np.add.at(count, each.points, 1)
    with np.errstate(invalid="ignore"):
        return total / count


def _reprojection(points: InputPoints, observed: Observed) -> Float[np.ndarray, " k"]:
    """The reprojection error of every observation, as a share of the longer image side; infinite behind the camera."""
    pixels, depth = _projected(points.positions[observed.points], observed.photo)
    error = np.linalg.norm(pixels - observed.pixels, axis=1) / max(observed.photo.lens.width, observed.photo.lens.height)
    return np.where(depth > 0, error, np.inf)


def _projected(positions: Float[np.ndarray, "n 3"], photo: Photo) -> tuple[Float[np.ndarray, "n 2"], Float[np.ndarray, " n"]]:
    """Pixels and z-depths of points in a photo."""
    with np.errstate(all="ignore"):  # points may be anywhere, also where a lens model says nothing
        in_cam = positions @ photo.cam_from_world[:3, :3].T + photo.cam_from_world[:3, 3]
        depth = in_cam[:, 2]
        return photo.lens.image(in_cam[:, :2] / depth[:, None]), depth


def _inside(positions: Float[np.ndarray, "n 3"], photo: Photo) -> tuple[Bool[np.ndarray, " n"], Float[np.ndarray, "n 2"]]:
    """Which points lie in the frame of a photo, and their pixels."""
    pixels, depth = _projected(positions, photo)
    return (depth > 0) & ((pixels >= 0) & (pixels < (photo.lens.width, photo.lens.height))).all(axis=1), pixels


def _seen_by(points: InputPoints, photos: tuple[Photo, ...]) -> Int[np.ndarray, " n"]:
    """For each point, the number of photos with the point inside the frame."""
    count = np.zeros(len(points), dtype=int)
    for photo in photos:
        count += _inside(points.positions, photo)[0]
    return count


def _color_correlation(points: InputPoints, photos: tuple[Photo, ...]) -> float | None:
    """The correlation of the brightness of points with that of the photos at their places, the median over some photos; None
    if points or photos are of one brightness."""
    rows = np.linspace(0, len(points) - 1, min(len(points), POINTS)).astype(int)
    positions, brightness = points.positions[rows], points.colors[rows].mean(axis=1)
    found = []
    for photo in spread(photos, PHOTOS) if brightness.std() > 0 else ():
        inside, pixels = _inside(positions, photo)
        x, y = pixels[inside].astype(int).T
        shown = read_image(photo.path, upright=photo.upright).mean(dim=0).numpy()[y, x]
        if len(shown) >= MIN_OBSERVED and shown.std() > 0 and brightness[inside].std() > 0:
            found.append(float(np.corrcoef(shown, brightness[inside])[0, 1]))
    return float(np.median(found)) if found else None
