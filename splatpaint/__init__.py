"""splatpaint removes, replaces and completes objects in 3D Gaussian splat scenes.

The names below are all that a script or notebook needs; each is imported when it is first used. The object that the masks of a
capture mark, removed and filled:

    from pathlib import Path

    import splatpaint as sp

    device = sp.pick_device("auto")
    rasterizer = sp.pick_rasterizer("auto", device)

    capture = sp.load_capture(Path("CAPTURE"), sp.CaptureConfig(max_resolution=480), cache=Path("cache"))
    photos = sp.Photos(capture.views, device)
    masks = sp.RemoveConfig()

    fit = sp.ReconstructConfig()
    located = sp.drain(sp.locate(capture, photos, rasterizer, fit, masks, seed=0))
    found = sp.drain(sp.reconstruct(capture, photos, rasterizer, fit, seed=0, located=located))
    photos = photos.of(sp.with_exposures(capture, found.exposures).views)
    removal = sp.drain(sp.remove(found.splats, photos, rasterizer, masks, located=located))

    tools = sp.Tools(sp.load_prior(sp.PriorConfig(), device), rasterizer, device, seed=0)
    scene = sp.drain(sp.inpaint(photos, removal, tools, sp.FillConfig()))
    sp.write_splats(Path("scene.ply"), sp.in_input_frame(scene, capture.world_from_input))

A stage is a generator of events that returns its product. `drain` runs it to its end; a `for` loop sees its events, and may
close it at any of them. `run` does all of the above in a run folder, from which it can be continued, as the command line does.
It also keeps views out whose poses contradict the others. The scripts in `examples/` show both ways.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from splatpaint.capture import CaptureConfig, inputs, load_capture, prepare
    from splatpaint.errors import SplatpaintError
    from splatpaint.events import Event, Events, Measured, Noted, Progressed, Saved, SceneChanged, Skipped, drain
    from splatpaint.fill.config import FillConfig
    from splatpaint.fill.tools import Tools
    from splatpaint.formats import FormatOptions, read_found, read_splats, write_splats
    from splatpaint.masks.removal import Removal
    from splatpaint.masks.selection import RemoveConfig
    from splatpaint.priors.load import PriorConfig, load_prior
    from splatpaint.render.pick import pick_rasterizer
    from splatpaint.scene.camera import Cameras
    from splatpaint.scene.frames import in_input_frame, in_world
    from splatpaint.scene.photos import Photos
    from splatpaint.scene.splats import Splats
    from splatpaint.scene.views import Capture, View, with_exposures
    from splatpaint.stages.config import RunConfig
    from splatpaint.stages.export import export
    from splatpaint.stages.folder import RunFolder
    from splatpaint.stages.inpaint import inpaint
    from splatpaint.stages.locate import locate
    from splatpaint.stages.reconstruct import ReconstructConfig, Reconstruction, adopt, reconstruct
    from splatpaint.stages.remove import remove
    from splatpaint.stages.run import pick_device, run

__version__ = "0.1.0"

__all__ = [
    "Cameras",
    "Capture",
    "CaptureConfig",
    "Event",
    "Events",
    "FillConfig",
    "FormatOptions",
    "Measured",
    "Noted",
    "Photos",
    "PriorConfig",
    "Progressed",
    "ReconstructConfig",
    "Reconstruction",
    "Removal",
    "RemoveConfig",
    "RunConfig",
    "RunFolder",
    "Saved",
    "SceneChanged",
    "Skipped",
    "SplatpaintError",
    "Splats",
    "Tools",
    "View",
    "adopt",
    "drain",
    "export",
    "in_input_frame",
    "in_world",
    "inpaint",
    "inputs",
    "load_capture",
    "load_prior",
    "locate",
    "pick_device",
    "pick_rasterizer",
    "prepare",
    "read_found",
    "read_splats",
    "reconstruct",
    "remove",
    "run",
    "with_exposures",
    "write_splats",
]

_NAMES = {
    "capture": ("CaptureConfig", "inputs", "load_capture", "prepare"),
    "errors": ("SplatpaintError",),
    "events": ("Event", "Events", "Measured", "Noted", "Progressed", "Saved", "SceneChanged", "Skipped", "drain"),
    "fill.config": ("FillConfig",),
    "fill.tools": ("Tools",),
    "formats": ("FormatOptions", "read_found", "read_splats", "write_splats"),
    "masks.removal": ("Removal",),
    "masks.selection": ("RemoveConfig",),
    "priors.load": ("PriorConfig", "load_prior"),
    "render.pick": ("pick_rasterizer",),
    "scene.camera": ("Cameras",),
    "scene.frames": ("in_input_frame", "in_world"),
    "scene.photos": ("Photos",),
    "scene.splats": ("Splats",),
    "scene.views": ("Capture", "View", "with_exposures"),
    "stages.config": ("RunConfig",),
    "stages.export": ("export",),
    "stages.folder": ("RunFolder",),
    "stages.inpaint": ("inpaint",),
    "stages.locate": ("locate",),
    "stages.reconstruct": ("ReconstructConfig", "Reconstruction", "adopt", "reconstruct"),
    "stages.remove": ("remove",),
    "stages.run": ("pick_device", "run"),
}
"""Public names by the module that defines them."""
_MODULES = {name: f"{__name__}.{module}" for module, names in _NAMES.items() for name in names}
"""The module of every public name. It is imported when the name is first used (PEP 562), since torch takes seconds."""


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
