"""Removes the masked object from splats that another tool fitted; nothing is reconstructed. Writes OUT/scene.ply.

    python examples/04_fill_splats_of_another_tool.py CAPTURE SPLATS OUT

SPLATS is a .ply, .splat or .safetensors file in the frame of CAPTURE's poses; OUT/scene.ply is in the same frame. Kept splats
stay as they are, except those right around the holes.
"""

from argparse import ArgumentParser
from pathlib import Path

import splatpaint as sp


def show(event: sp.Event) -> None:
    """Prints what a user should know: messages, measurements and written files."""
    if isinstance(event, sp.Noted | sp.Measured | sp.Saved):
        print(event)


def main() -> None:
    """Runs the example."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("capture", type=Path, metavar="CAPTURE")
    parser.add_argument("splats", type=Path, metavar="SPLATS")
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("--steps", type=int, default=600, help="training steps of each of the two rounds of the fill")
    arguments = parser.parse_args()

    device = sp.pick_device("auto")
    rasterizer = sp.pick_rasterizer("auto", device)
    config = sp.CaptureConfig(max_resolution=480)
    capture = sp.load_capture(arguments.capture, config, cache=arguments.out / "cache", show=show)
    photos = sp.Photos(capture.views, device)

    found = sp.drain(sp.adopt(arguments.splats, capture, photos, rasterizer, sp.ReconstructConfig()), show)
    capture = sp.with_exposures(capture, found.exposures)
    photos = photos.of(capture.views)
    removal = sp.drain(sp.remove(found.splats, photos, rasterizer, sp.RemoveConfig()), show)

    tools = sp.Tools(sp.load_prior(sp.PriorConfig(), device), rasterizer, device, seed=0)
    scene = sp.drain(sp.inpaint(photos, removal, tools, sp.FillConfig(steps=arguments.steps)), show)

    # Unlike write_splats, export undoes the capture's normalization, reads the file back, and renders it as a check.
    views, out = capture.views[:4], arguments.out / "scene.ply"
    sp.drain(sp.export(scene, capture.world_from_input, out, views=views, rasterizer=rasterizer, device=device), show)


if __name__ == "__main__":
    main()
