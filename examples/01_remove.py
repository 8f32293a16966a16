"""Removes the masked object from a capture and fills what it hid, by one call a stage; writes OUT/scene.ply.

    python examples/01_remove.py CAPTURE OUT

CAPTURE is a folder with images, their poses and masks (white = remove). Events are printed as they come, except the one of
every training step. The defaults are those of the command line; they take minutes. A tenth of them gives a first look.
"""

from argparse import ArgumentParser
from pathlib import Path

import splatpaint as sp


def show(event: sp.Event) -> None:
    """Prints an event."""
    if not isinstance(event, sp.SceneChanged):
        print(event)


def main() -> None:
    """Runs the example."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("capture", type=Path, metavar="CAPTURE")
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("--steps", type=int, default=2000, help="training steps of the reconstruction")
    parser.add_argument("--fill-steps", type=int, default=600, help="training steps of each of the two rounds of the fill")
    arguments = parser.parse_args()

    device = sp.pick_device("auto")
    rasterizer = sp.pick_rasterizer("auto", device)

    config = sp.CaptureConfig(max_resolution=480)
    capture = sp.load_capture(arguments.capture, config, cache=arguments.out / "cache", show=show)
    photos = sp.Photos(capture.views, device)
    masks = sp.RemoveConfig()

    config = sp.ReconstructConfig(steps=arguments.steps)
    located = sp.drain(sp.locate(capture, photos, rasterizer, config, masks, seed=0), show)
    found = sp.drain(sp.reconstruct(capture, photos, rasterizer, config, seed=0, located=located), show)
    photos = photos.of(sp.with_exposures(capture, found.exposures).views)  # from here on as if all were exposed alike
    removal = sp.drain(sp.remove(found.splats, photos, rasterizer, masks, located=located), show)

    tools = sp.Tools(sp.load_prior(sp.PriorConfig(), device), rasterizer, device, seed=0)
    scene = sp.drain(sp.inpaint(photos, removal, tools, sp.FillConfig(steps=arguments.fill_steps)), show)
    sp.write_splats(arguments.out / "scene.ply", sp.in_input_frame(scene, capture.world_from_input))


if __name__ == "__main__":
    main()
