"""How far two results are apart, as one number each."""

from torch import Tensor


def relative_l2(got: Tensor, wanted: Tensor) -> float:
    """|got - wanted| / |wanted| over all entries, in float64; the plain |got| where all of `wanted` is 0."""
    difference = (got.double().cpu() - wanted.double().cpu()).norm()
    scale = wanted.double().cpu().norm()
    return float(difference / scale) if scale > 0 else float(difference)


def cosine(got: Tensor, wanted: Tensor) -> float:
    """The cosine of the angle between the two, each taken as one long vector."""
    a, b = got.double().cpu().flatten(), wanted.double().cpu().flatten()
    return float(a @ b / (a.norm() * b.norm()))
