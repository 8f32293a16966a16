"""The shadow of an object on a surface, told from the surface's texture by the light that the object keeps off.

Light arrives from everywhere above the surface, from each direction its share. What an object keeps off is known by its shape:
a map for every direction. A shadow is a sum of such maps with weights of at least 0 (illumination from shadows, Sato, Sato &
Ikeuchi 2003), and an sRGB value is about the 1 / 2.2-th power of the light. The weights sought are those that make the
surface without its shadow smoothest, large differences counting little since they are edges of texture.

Texture can look like a shadow by chance, and how much is measured on the surface itself: by what its texture pulls at the
weights when the object is thought at every other place. Of the pulls' covariance follow the likelihood of the weights, and how
much likelier the picture is with a shadow than without.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

GAMMA = 2.2
"""Light is about proportional to an sRGB value to this power."""
LAGS_PX = (1, 3, 9)
"""Distances of the pixels that are compared."""
EDGE = 0.08
"""Differences of logarithms below this count as squares; larger ones are edges of texture and hardly count (Cauchy's loss)."""
LEAST_LIGHT = 0.05
"""Share of the light that is left in the deepest shadow."""
ROUNDS = 6
"""Of reweighted least squares."""
STEP = 0.6
"""Share of the way to the next solution that a round goes."""
RIDGE = 3e-3
"""Added to the diagonal of the first fit's normal equations, as a share of its mean."""
INDEPENDENT = 0.6
"""Share by which the pulls' covariance is shrunk to its diagonal (Ledoit & Wolf 2004): a surface has few places."""
HALF_SEEN = 0.5
"""A place counts if at least this share of what the object darkens is seen there, compared with where it stands."""
EVIDENCE = 60.0
"""Logarithm of how much likelier the picture is with a shadow: at most 36 without one, at least 190 with one (decision 031)."""
FOUND = 0.25
"""Price of light, see `_Picture.likeliest`, once a shadow is found: the full price makes shadows too faint."""
MAX_TINT = 1.7
"""A stain darkens one channel so many times as much as another; a shadow does not, even in colored light."""
UNSEEN = 0.01
"""Darkening of the logarithm that is too small to be seen; taken off, so that the shadow has an end."""


def find_shadow_field(
    log_colors: Float[Tensor, "3 s s"], trust: Float[Tensor, "s s"], blocked: Float[Tensor, "k s s"]
) -> Float[Tensor, "s s"] | None:
    """Darkening of the logarithm of sRGB, at least 0; None if there is no shadow that differs from the surface's texture.

    Args:
        log_colors: logarithm of sRGB of a surface seen from above.
        trust: how much each pixel counts; 0 where nothing is known.
        blocked: share of the light from each direction that the object keeps off, in [0, 1].
    """
    picture = _Picture(*(each.detach().float().cpu() for each in (log_colors, trust, blocked)))
    if not (picture.trust.any() and picture.blocked.any()):
        return None
    anything = torch.zeros(len(blocked))
    for _ in range(ROUNDS):
        at = picture.at(anything)
        ridge = RIDGE * torch.trace(at.curvature) / len(blocked) + 1e-9
        anything = _toward(_at_least_zero(at.curvature + ridge * torch.eye(len(blocked)), at.pull), anything)
    chance = picture.chance(anything)
    light = picture.likeliest(anything, chance, price=1.0)
    if picture.evidence(light, chance) < EVIDENCE:
        return None
    light = picture.likeliest(light, chance, price=FOUND)
    if picture.tint(light) > MAX_TINT:
        return None
    return (picture.field(light) - UNSEEN).clamp(min=0).to(log_colors)


@dataclass(frozen=True, eq=False)
class _Fit:
    """Normal equations around some weights: curvature @ weights = pull at the best ones."""

    curvature: Float[Tensor, "k k"]
    pull: Float[Tensor, " k"]


@dataclass(frozen=True, eq=False)
class _Picture:
    """The surface and the object's shape, see `find_shadow_field`; `light` is the share from each direction."""

    log_colors: Float[Tensor, "3 s s"]
    trust: Float[Tensor, "s s"]
    blocked: Float[Tensor, "k s s"]

    def left(self, light: Float[Tensor, " k"]) -> Float[Tensor, "s s"]:
        """Share of the light that arrives."""
        return (1 - torch.einsum("kij,k->ij", self.blocked, light)).clamp_min(LEAST_LIGHT)

    def field(self, light: Float[Tensor, " k"]) -> Float[Tensor, "s s"]:
        """Darkening of the logarithm of sRGB."""
        return -self.left(light).log() / GAMMA

    def at(self, light: Float[Tensor, " k"]) -> _Fit:
        slope, field = self.blocked / (GAMMA * self.left(light)), self.field(light)
        size = len(light)
        curvature, pull = torch.zeros(size, size, dtype=torch.float64), torch.zeros(size, dtype=torch.float64)
        for lag in LAGS_PX:
            weight = _pair_trust(self.trust, lag)
            seen = weight > 0
            change = _differences(slope, lag)[:, seen]
            rest = _differences(self.log_colors + field, lag)[:, seen]
            counts = weight[seen] * _edge_weight(rest)
            curvature += ((change * counts.sum(dim=0)) @ change.T).double()
            pull += (change @ (counts * (light @ change - rest)).sum(dim=0)).double()
        return _Fit(curvature, pull)

    def likeliest(self, light: Float[Tensor, " k"], chance: Float[Tensor, "k k"], *, price: float) -> Float[Tensor, " k"]:
        """The likeliest weights, if at first all directions are thought alike and smaller weights more probable.

        Args:
            light: where to begin.
            chance: covariance of the pulls.
            price: what all of the light costs of the likelihood's logarithm, in numbers of directions.
        """
        for _ in range(ROUNDS):
            at = self.at(light)
            known = torch.linalg.solve(chance, at.curvature)
            light = _toward(_at_least_zero(at.curvature @ known, known.T @ at.pull - price * len(light)), light)
        return light

    def evidence(self, light: Float[Tensor, " k"], chance: Float[Tensor, "k k"]) -> float:
        """Logarithm of how much likelier the pulls are with these weights than with none."""
        at, weights = self.at(light), light.double()
        known = torch.linalg.solve(chance, at.curvature)
        return float(weights @ (known.T @ at.pull) - 0.5 * weights @ (at.curvature @ known) @ weights)

    def chance(self, light: Float[Tensor, " k"]) -> Float[Tensor, "k k"]:
        """Covariance of the pulls of the texture, without its shadow, over all places of the picture."""
        force = torch.zeros_like(self.trust)
        rest = self.log_colors + self.field(light)
        for lag in LAGS_PX:
            steps = _differences(rest, lag)
            down, right = (_pair_trust(self.trust, lag) * _edge_weight(steps) * steps).sum(dim=0).chunk(2)
            down, right = down.view(-1, len(force)), right.view(len(force), -1)
            force[lag:] -= down
            force[:-lag] += down
            force[:, lag:] -= right
            force[:, :-lag] += right
        pulls, seen = self._everywhere(force) / GAMMA, self._everywhere((self.trust > 0).float())
        here = seen[:, :1, :1]
        places = seen.sum(dim=0) >= HALF_SEEN * here.sum()
        pulls = (pulls / (seen / here.clamp_min(1e-6)).clamp_min(HALF_SEEN**2).sqrt())[:, places].double()
        covariance = pulls @ pulls.T / pulls.shape[1]
        alone = torch.diag(covariance.diagonal())
        least = 1e-6 * torch.trace(covariance) / len(covariance) + 1e-12
        return torch.lerp(covariance, alone, INDEPENDENT) + least * torch.eye(len(covariance), dtype=torch.float64)

    def _everywhere(self, values: Float[Tensor, "s s"]) -> Float[Tensor, "k s s"]:
        """Sum of the values over what is blocked, with the object shifted to every place, around the borders."""
        spectrum = torch.fft.rfft2(values) * torch.fft.rfft2(self.blocked).conj()
        return torch.fft.irfft2(spectrum, s=values.shape)

    def tint(self, light: Float[Tensor, " k"]) -> float:
        """How many times as much as the least the most darkened channel follows the field."""
        field, share = self.field(light), torch.ones(3, 1)
        for _ in range(ROUNDS):
            both, alone = torch.zeros(3, 1), torch.zeros(3, 1)
            for lag in LAGS_PX:
                shade, steps = -_differences(field[None], lag), _differences(self.log_colors, lag)
                counts = _pair_trust(self.trust, lag) * _edge_weight(steps - share * shade)
                both += (counts * steps * shade).sum(dim=1, keepdim=True)
                alone += (counts * shade.square()).sum(dim=1, keepdim=True)
            share = both / alone.clamp_min(1e-12)
        return float(share.max() / share.min().clamp_min(1e-6))


def _differences(maps: Float[Tensor, "c s s"], lag: int) -> Float[Tensor, "c n"]:
    """Between pixels that far apart: down, then to the right."""
    down, right = maps[:, lag:] - maps[:, :-lag], maps[:, :, lag:] - maps[:, :, :-lag]
    return torch.cat([down.flatten(1), right.flatten(1)], dim=1)


def _pair_trust(trust: Float[Tensor, "s s"], lag: int) -> Float[Tensor, " n"]:
    """How much each of these differences counts."""
    down, right = torch.minimum(trust[lag:], trust[:-lag]), torch.minimum(trust[:, lag:], trust[:, :-lag])
    return torch.cat([down.flatten(), right.flatten()]) / lag


def _edge_weight(steps: Float[Tensor, "c n"]) -> Float[Tensor, "c n"]:
    return 1 / (steps.square() + EDGE**2)


def _toward(target: Float[Tensor, " k"], light: Float[Tensor, " k"]) -> Float[Tensor, " k"]:
    """Some way to the target; no more light is kept off than there is."""
    most = 1 - LEAST_LIGHT
    return torch.lerp(light, target * (most / target.sum().clamp_min(most)), STEP)


def _at_least_zero(matrix: Float[Tensor, "k k"], right: Float[Tensor, " k"]) -> Float[Tensor, " k"]:
    """The minimum of x @ matrix @ x / 2 - right @ x over x of at least 0."""
    from scipy.optimize import nnls

    matrix = 0.5 * (matrix + matrix.T)
    least = 1e-6 * torch.trace(matrix) / len(matrix) + 1e-12
    root = torch.linalg.cholesky(matrix + least * torch.eye(len(matrix), dtype=matrix.dtype))
    target = torch.linalg.solve_triangular(root, right[:, None], upper=False)[:, 0]
    return torch.from_numpy(nnls(root.T.numpy(), target.numpy())[0]).float()
