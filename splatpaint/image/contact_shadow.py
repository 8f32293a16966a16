"""The shadow around the foot of an object, told from the texture of the surface that it falls on.

A picture of the surface is texture times light. Texture changes at edges and in grain, light smoothly: of all smooth changes of
light around the foot the one is found that, taken off the logarithm of the colors, leaves the least sum of absolute differences
between nearby pixels (Retinex, Land & McCann 1971, as a total variation: Ma & Osher 2011). That is convex. A shadow is darkest
at the contact, so light is finer resolved there, and what gets darker on the way from the foot is no part of the shadow.

Texture can look like a shadow by chance. What is found must be darker than what the same search finds around other places of
the same surface. It must be gray. And it must be soft: light explains a soft edge between next pixels as well as between pixels
farther apart, and the edge of a dark tile only between these.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from splatpaint.image.region import distance

KNOTS = (-0.05, 0.0, 0.06, 0.15, 0.3, 0.55, 0.9, 1.4, 2.0)
"""Distances from the foot between which light changes at its own rate, in radii of the foot. Beyond the last is no shadow."""
SECTORS = 12
"""Number of directions from the foot in which the light has its own rates."""
LIKE_NEXT_SECTOR = 0.3
"""Weight of squared differences between the rates of sectors, as a share of that of the picture."""
FLAT = 0.02
"""The same for the rates themselves."""
LEAST_SAID = 0.02
"""Where the picture says less than this share of what it says at other distances, rates are smoothed as if it said as much."""
LAGS_PX = (1, 2, 4, 8)
"""Distances of the pixels that are compared: short ones see edges, long ones what changes slowly under grain."""
ROUNDING = 0.01
"""Differences of logarithms below this count as squares, above as absolute values."""
ITERATIONS = 10
"""Of reweighted least squares."""
VISIBLE = 0.01
"""Darkening of the logarithm that is too small to be seen; taken off, so that the shadow has an end."""
CONTACT = 0.25
"""Width of the contact, where a shadow is to be found, in radii of the foot."""
START = 0.15
"""Up to here, in radii of the foot, a shadow may begin: hardly a photo shows what is right beside an object."""
MIN_DARKENING = 0.03
"""Mean darkening of the logarithm at the contact from which a shadow is worth a word: 3 %."""
TIMES_ELSEWHERE = 2.5
"""It must be as many times as dark as what is found around other places, ..."""
ELSEWHERE = 2.2
"""... which are so far from the foot, in its radii."""
MIN_SOFTNESS = 0.2
"""What it explains between next pixels, as a share of what it explains between those farthest apart: 0.25 and more in shadows,
0.15 and less around dark tiles."""
MAX_TINT = 1.7
"""A stain darkens one channel so many times as much as another; a shadow does not, even in colored light."""


@dataclass(frozen=True, eq=False)
class Darkening:
    """What is darker around a foot."""

    field: Float[Tensor, "s s"]
    """Darkening of the logarithm of sRGB, at least 0; 0 away from the foot. Meaningless under the foot, but continued there."""
    distance: Float[Tensor, "s s"]
    """Distance from the foot in its radii."""

    def at_contact(self, trust: Float[Tensor, "s s"]) -> float:
        """Its mean next to the foot, where the picture is trusted; 0 if nowhere."""
        weight = trust * ((self.distance > 0) & (self.distance < CONTACT))
        return float((self.field * weight).sum() / weight.sum().clamp_min(1e-6))


def find_contact_shadow(
    log_colors: Float[Tensor, "3 s s"], trust: Float[Tensor, "s s"], foot: Bool[Tensor, "s s"]
) -> Darkening | None:
    """The shadow around the foot; None if there is none that differs from the surface's texture.

    Args:
        log_colors: logarithm of sRGB of a surface seen from above.
        trust: how much each pixel counts; 0 where nothing is known.
        foot: where the object touches the surface.
    """
    found = darkening_around(log_colors, trust, foot)
    at_contact = found.at_contact(trust)
    if at_contact < MIN_DARKENING:
        return None
    if _tint(log_colors, trust, found) > MAX_TINT or _softness(log_colors, trust, found) < MIN_SOFTNESS:
        return None
    shift = round(ELSEWHERE * radius_px(foot))
    places = [torch.roll(foot, by, dims=(0, 1)) for by in ((-shift, 0), (shift, 0), (0, -shift), (0, shift))]
    elsewhere = sorted(darkening_around(log_colors, trust, place).at_contact(trust) for place in places)
    # The darkest of the places may lie in the shadow.
    return found if at_contact > TIMES_ELSEWHERE * elsewhere[-2] else None


def radius_px(foot: Bool[Tensor, "s s"]) -> float:
    """The radius of a disc of the foot's area."""
    return math.sqrt(float(foot.sum()) / math.pi)


def darkening_around(log_colors: Float[Tensor, "3 s s"], trust: Float[Tensor, "s s"], foot: Bool[Tensor, "s s"]) -> Darkening:
    """What gets lighter away from the foot, whether it is a shadow or not."""
    from scipy import sparse

    side = len(foot)
    away = distance(foot[None, None].float())[0, 0].cpu() / radius_px(foot)
    row, column = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    row_mean, column_mean = torch.nonzero(foot).float().mean(dim=0).cpu()
    angle = torch.atan2(row - row_mean, column - column_mean) % (2 * math.pi)
    radial, angular = _falling(away.flatten().double().numpy()), _sectors(angle.flatten().double().numpy())
    basis = sparse.csr_array((radial[:, :, None] * angular[:, None, :]).reshape(side**2, -1))
    first, second, weight = _neighbors(trust, LAGS_PX)
    rates = sparse.csr_array(basis[first, :] - basis[second, :])
    rates.eliminate_zeros()
    near = np.flatnonzero(np.diff(rates.indptr))
    rates, weight = rates[near, :], weight[near]
    colors = log_colors.cpu().double().flatten(1).numpy()
    steps = colors[:, first[near]] - colors[:, second[near]]
    light = np.zeros(radial.shape[1] * angular.shape[1])
    for _ in range(ITERATIONS):
        reweighted = weight / np.hypot(steps - rates @ light, ROUNDING)
        normal = (rates.T @ (sparse.diags_array(reweighted.sum(axis=0)) @ rates)).toarray()
        light = np.linalg.solve(normal + _smoothness(normal), rates.T @ (reweighted * steps).sum(axis=0))
    darker = torch.from_numpy(-(basis @ light)).view(side, side).clamp(min=0)
    field = (_falling_only(darker, away) - VISIBLE).clamp(min=0)
    return Darkening(field.to(log_colors), away.to(log_colors))


def _falling(x: np.ndarray) -> np.ndarray:
    """Smooth steps from 1 at the foot to 0, one around each inner knot: integrals of hat functions, (n, knots - 2)."""
    steps = []
    for low, middle, high in zip(KNOTS[:-2], KNOTS[1:-1], KNOTS[2:], strict=True):
        rise, fall = np.clip((x - low) / (middle - low), 0, 1), np.clip((high - x) / (high - middle), 0, 1)
        steps.append(1 - ((middle - low) * rise**2 + (high - middle) * (1 - fall**2)) / (high - low))
    return np.stack(steps, axis=1)


def _sectors(angle: np.ndarray) -> np.ndarray:
    """Periodic cubic B-splines, (n, sectors)."""
    at = angle / (2 * math.pi) * SECTORS
    first = np.floor(at).astype(int)
    t = at - first
    pieces = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
    splines = np.zeros((len(angle), SECTORS))
    for offset, piece in enumerate(pieces, start=-1):
        splines[np.arange(len(angle)), (first + offset) % SECTORS] = piece / 6
    return splines


def _smoothness(normal: np.ndarray) -> np.ndarray:
    """What keeps rates small and like those of the next sectors, in proportion to what the picture says at each knot, or where
    it says nothing."""
    step = np.eye(SECTORS) - np.roll(np.eye(SECTORS), 1, axis=1)
    penalty = LIKE_NEXT_SECTOR * step.T @ step + FLAT * np.eye(SECTORS)
    said = np.diag(normal).reshape(-1, SECTORS).mean(axis=1)
    return np.kron(np.diag(said.clip(LEAST_SAID * said.max() + 1e-12)), penalty)


def _neighbors(trust: Float[Tensor, "s s"], lags: Sequence[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of pixels that are compared, as two lists of places, and how much each pair counts."""
    trust = trust.cpu()
    place = torch.arange(trust.numel()).view(trust.shape)
    firsts, seconds, weights = [], [], []
    for lag in lags:
        for first, second in ((place[lag:], place[:-lag]), (place[:, lag:], place[:, :-lag])):
            weight = torch.minimum(trust.flatten()[first], trust.flatten()[second]) / lag
            for parts, part in ((firsts, first), (seconds, second), (weights, weight)):
                parts.append(part[weight > 0])
    return torch.cat(firsts).numpy(), torch.cat(seconds).numpy(), torch.cat(weights).double().numpy()


def _falling_only(values: Float[Tensor, "s s"], away: Float[Tensor, "s s"]) -> Float[Tensor, "s s"]:
    """The values, cut so that every pixel but those at the foot has a neighbor nearer to it that is as high."""
    result, at = values.numpy().copy(), away.numpy()
    for place in np.argsort(at, axis=None, kind="stable"):
        row, column = divmod(int(place), len(at))
        if at[row, column] <= START or result[row, column] == 0:
            continue
        around = np.s_[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
        nearer = at[around] < at[row, column]
        result[row, column] = min(result[row, column], result[around][nearer].max(initial=0))
    return torch.from_numpy(result)


@dataclass(frozen=True, eq=False)
class _Steps:
    """Differences between pixels."""

    weight: np.ndarray
    """How much each pair counts, (n,)."""
    light: np.ndarray
    """What the shadow makes of each, (n,)."""
    colors: np.ndarray
    """What the picture shows, (3, n)."""


def _steps(log_colors: Float[Tensor, "3 s s"], trust: Float[Tensor, "s s"], found: Darkening, lags: Sequence[int]) -> _Steps:
    first, second, weight = _neighbors(trust, lags)
    field, colors = (-found.field).double().flatten().cpu().numpy(), log_colors.double().flatten(1).cpu().numpy()
    light = field[first] - field[second]
    differs = light != 0
    return _Steps(weight[differs], light[differs], (colors[:, first] - colors[:, second])[:, differs])


def _tint(log_colors: Float[Tensor, "3 s s"], trust: Float[Tensor, "s s"], found: Darkening) -> float:
    """How many times as much as the least the most darkened channel follows the field."""
    steps = _steps(log_colors, trust, found, LAGS_PX)
    share = np.ones(3)
    for _ in range(ITERATIONS):
        reweighted = steps.weight * steps.light / np.hypot(steps.colors - share[:, None] * steps.light, ROUNDING)
        share = (reweighted * steps.colors).sum(axis=1) / (reweighted * steps.light).sum(axis=1)
    return float(share.max() / max(share.min(), 1e-6))


def _softness(log_colors: Float[Tensor, "3 s s"], trust: Float[Tensor, "s s"], found: Darkening) -> float:
    """What the light explains of differences between next pixels, as a share of what it explains of those farthest apart."""

    def explained(lag: int) -> float:
        steps = _steps(log_colors, trust, found, [lag])
        less = abs(steps.colors).sum(axis=0) - abs(steps.colors - steps.light).sum(axis=0)
        return float((steps.weight * less).sum() / (steps.weight * abs(steps.light)).sum())

    return explained(LAGS_PX[0]) / max(explained(LAGS_PX[-1]), 1e-6)
