"""Split of views into training and held-out views."""

from collections.abc import Sequence

from splatpaint.scene.views import View


def split(views: Sequence[View], *, test_every: int) -> tuple[tuple[View, ...], tuple[View, ...]]:
    """Training and held-out views. Sorted by name, the first and every n-th view after it are held out; none if n = 0.

    Mildenhall et al. (LLFF, 2019) and most later work use n = 8.
    """
    ordered = sorted(views, key=lambda view: view.name)
    held_out = ordered[::test_every] if test_every else []
    names = {view.name for view in held_out}
    return tuple(view for view in ordered if view.name not in names), tuple(held_out)
