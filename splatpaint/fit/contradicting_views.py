"""Views whose photos a reconstruction does not explain, because their poses contradict those of the other views.

Structure from motion can merge two look-alike sides of a thing: a group of views then gets the poses of the other side. The
splats follow the majority, and at the wrong poses show another part of the scene.

A low PSNR alone does not tell this: close-ups of fine texture, motion blur and other exposures have one too. Hence a photo and
its rendering are compared at about 32 pixels, after the best gain and offset, relative to the contrast of the photo.
"""

import math
from collections.abc import Iterable, Mapping
from itertools import groupby
from statistics import median

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from splatpaint.fit.exposures import ABOUT_BLACK
from splatpaint.image.affine_color import gain_and_offset
from splatpaint.image.resample import resize_area
from splatpaint.render.protocol import Rasterizer
from splatpaint.scene.camera import Cameras
from splatpaint.scene.exposure import exposure_of
from splatpaint.scene.photos import Photo
from splatpaint.scene.splats import Splats

COARSE_PX = 32
"""Longer side of the compared pictures: neither texture, nor blur, nor a pose that is off by some pixels matters here."""
MIN_ALPHA = 0.8
"""Where the splats are fainter, the scene is not modeled, which contradicts nothing."""
MIN_AREA = 0.05
"""Views with a smaller share of comparable pixels have no fit."""
MIN_CONTRAST = 0.05
"""Standard deviation of sRGB values. A photo of a bare wall has less: its noise cannot be explained and need not be."""
NEAR = 0.75
"""Share of the median depth of the points in a frame. Splats nearer than this may be floaters that block the view."""
UNEXPLAINED_DB = 3.0
"""A view is named below this: less than half of the photo's variance is explained."""
PARTLY_DB = 6.0
"""Below this (three quarters), it is named if a view next to it is: merged sides come as runs of neighboring views."""
MIN_GAP_DB = 6.0
"""Named views are at least this far below the median."""
MIN_DEVIATIONS = 3.0
"""The worst of every run of named views is at least so many standard deviations from the median, in share of variance that is
not explained. In dB, views of much and of little detail that all fit well would be far apart."""
DEVIATION_OF_MAD = 1.4826
"""Standard deviation of a normal distribution, in units of its median absolute deviation."""


@torch.no_grad()
def view_fits(
    splats: Splats, photos: Iterable[Photo], points: Float[Tensor, "m 3"], rasterizer: Rasterizer
) -> dict[str, float]:
    """How well the splats explain each photo: its variance over the mean squared error, in dB.

    Compared are usable pixels outside the fill mask, since the object itself may look alike from two sides. Gain and offset a
    channel are fitted, so the exposure of a photo does not matter.

    Args:
        splats: the reconstruction.
        photos: in the order of the capture; views with too few comparable pixels are left out of the result.
        points: on the surfaces of the scene, in world units; they tell floaters right before a camera.
        rasterizer: any; one pass a view, and one more for views that fit badly.
    """
    fits = {}
    for photo in photos:
        fit = _fit(splats, photo, rasterizer)
        if fit < PARTLY_DB:
            # A floater may cover the whole frame of a view whose pose is right.
            fit = max(fit, _fit(splats[~_near(photo.camera, splats, points)], photo, rasterizer))
        if not math.isnan(fit):
            fits[photo.name] = fit
    return fits


def contradicting(fits: Mapping[str, float]) -> tuple[str, ...]:
    """The views whose poses contradict those of the others, in the order given.

    They fit below `UNEXPLAINED_DB`, and far below the median: by `MIN_GAP_DB`, and by `MIN_DEVIATIONS` estimated from the
    median absolute deviation. Their neighbors are named from `PARTLY_DB` on, as edges are followed by hysteresis (Canny, "A
    Computational Approach to Edge Detection", 1986).

    A majority decides what is right: less than half of the views can be named. If two halves contradict each other, all fit
    badly and none is named.

    Args:
        fits: in dB, from `view_fits`, in the order of the capture, so that neighbors were taken one after another.
    """
    if not fits:
        return ()
    middle = median(fits.values())
    usual = _unexplained(middle)
    deviation = DEVIATION_OF_MAD * median(abs(_unexplained(fit) - usual) for fit in fits.values())
    sure = min(UNEXPLAINED_DB, middle - MIN_GAP_DB, -10 * math.log10(usual + MIN_DEVIATIONS * deviation))
    possible = min(PARTLY_DB, middle - MIN_GAP_DB)
    runs = groupby(fits, key=lambda name: fits[name] < possible)
    candidates = [list(run) for is_low, run in runs if is_low]
    return tuple(name for run in candidates if min(fits[each] for each in run) < sure for name in run)


def _unexplained(fit: float) -> float:
    """Share of a photo's variance that a rendering does not explain; above 1 if a blank one would be nearer."""
    return 10 ** (-fit / 10)


def _fit(splats: Splats, photo: Photo, rasterizer: Rasterizer) -> float:
    """In dB; not a number if there is too little to compare."""
    rendered = rasterizer(splats, photo.camera)
    weight = photo.usable * (1 - photo.fill) * (rendered.alpha >= MIN_ALPHA)
    if weight.mean() < MIN_AREA:
        return math.nan
    opaque = rendered.color / rendered.alpha.clamp_min(MIN_ALPHA)  # as it would look if nothing shone through
    return explained_db(opaque.clamp(0, 1), photo.image, weight)


def explained_db(
    rendered: Float[Tensor, "1 3 h w"], photo: Float[Tensor, "1 3 h w"], weight: Float[Tensor, "1 1 h w"]
) -> float:
    """Variance of a photo over the mean squared error of its rendering, both coarse, in dB; a blank rendering has 0.

    Args:
        rendered: gets the gain and offset a channel that fit best, as the photo's exposure is found.
        photo: sRGB in [0, 1].
        weight: of the pixels, at least one positive.
    """
    share = _coarse(weight)
    x, y = (_coarse(picture * weight) / share.clamp_min(1e-6) for picture in (rendered, photo))

    def mean(values: Tensor) -> Float[Tensor, "1 c 1 1"]:
        return (values * share).sum(dim=(2, 3), keepdim=True) / share.sum()

    gain, offset = gain_and_offset(x, y, share, about_black=ABOUT_BLACK)
    exposed = exposure_of(gain, offset).apply(x)
    error, variance = mean((exposed - y).square()).mean(), mean((y - mean(y)).square()).mean()
    return float(10 * torch.log10(variance.clamp_min(MIN_CONTRAST**2) / error.clamp_min(1e-10)))


def _coarse(picture: Float[Tensor, "1 c h w"]) -> Float[Tensor, "1 c hc wc"]:
    height, width = picture.shape[2:]
    shrink = min(1.0, COARSE_PX / max(height, width))
    return resize_area(picture, width=max(1, round(shrink * width)), height=max(1, round(shrink * height)))


def _near(camera: Cameras, splats: Splats, points: Float[Tensor, "m 3"]) -> Bool[Tensor, " n"]:
    """Which splats stand in front of the camera, much nearer than the points in its frame."""
    _, _, depth, within = camera.find(points)
    if not within.any():
        return torch.zeros_like(splats.means[:, 0], dtype=torch.bool)
    z = camera.find(splats.means)[2]
    return (z > 0) & (z < NEAR * depth[within].median())
