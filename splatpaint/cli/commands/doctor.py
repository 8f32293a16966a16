"""`splatpaint doctor`."""

import platform
import sys
from collections.abc import Callable

import click

from splatpaint.errors import BackendError, SplatpaintError


@click.command()
def doctor() -> None:
    """Check this installation and say how to fix what is missing. Exits with 1 if a required part is missing."""
    broken = False
    for checks, needed in ((NEEDED, True), (OPTIONAL, False)):
        for name, check in checks.items():
            works, words = run_check(check)
            broken |= needed and not works
            click.echo(f"{'ok' if works else 'missing':<9}{name:<14}{words}{'' if works or needed else ' (optional)'}")
    sys.exit(1 if broken else 0)


def run_check(check: Callable[[], str]) -> tuple[bool, str]:
    """Whether the check passes, and its message; a check fails by raising an error that names the remedy."""
    try:
        return True, check()
    except (SplatpaintError, ImportError, OSError) as error:
        return False, " ".join(str(error).split())


def _python() -> str:
    return f"{platform.python_version()} on {platform.machine()} {platform.system()}"


def _torch() -> str:
    import torch

    return f"{torch.__version__}, {torch.get_num_threads()} threads"


def _kernels() -> str:
    from splatpaint.render.pick import pick_rasterizer

    pick_rasterizer("native", "cpu")
    from splatpaint._kernels import selected

    return f"{selected()} in use"


def _open3d() -> str:
    from splatpaint.extras import import_open3d

    return import_open3d().__version__


def _prior() -> str:
    import torch

    from splatpaint.priors.load import PriorConfig, load_prior

    load_prior(PriorConfig(), torch.device("cpu"))
    return "loads"


def _cuda() -> str:
    import torch

    if not torch.cuda.is_available():
        raise BackendError("torch sees no NVIDIA GPU; if there is one, install its driver and a CUDA build of torch")
    from importlib.metadata import version

    return f"{torch.cuda.get_device_name()}, gsplat {version('gsplat')} (its kernels compile at first use)"


def _lpips() -> str:
    from splatpaint.image.perceptual import Lpips

    Lpips("alex")
    Lpips("vgg")
    return "alex and vgg"


NEEDED = {"python": _python, "torch": _torch, "kernels": _kernels, "open3d": _open3d, "bundled prior": _prior}
OPTIONAL = {"cuda": _cuda, "lpips": _lpips}
