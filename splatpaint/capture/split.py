"""Which views supervise and which only judge."""

from collections.abc import Sequence

from splatpaint.scene.views import View


def split(views: Sequence[View], *, test_every: int) -> tuple[tuple[View, ...], tuple[View, ...]]:
    """Supervising and held-out views. Of the views sorted by name, the first and every n-th after it are held out.

    Mildenhall et al. (LLFF, 2019) and most of the literature after them split with n = 8. With 0 none is held out.
    """
    ordered = sorted(views, key=lambda view: view.name)
    held_out = ordered[::test_every] if test_every else []
    names = {view.name for view in held_out}
    return tuple(view for view in ordered if view.name not in names), tuple(held_out)
