"""Renders one view to OUT/0001.png, OUT/0002.png, ... while the fill is trained, and stops after a few pictures.

    python examples/02_look_while_it_fills.py CAPTURE OUT

Every training step yields a `SceneChanged`. Its `splats()` gives the scene as it is then and costs nothing unless it is called,
so an editor may look as often as it can draw. Closing the generator stops the run; called again, the example continues it.
"""

import math
import time
from argparse import ArgumentParser
from pathlib import Path

import splatpaint as sp
from splatpaint.image.files import write_image


def main() -> None:
    """Runs the example."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("capture", type=Path, metavar="CAPTURE")
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("--steps", type=int, default=500, help="training steps of the reconstruction and of each round")
    parser.add_argument("--pictures", type=int, default=20, help="number of pictures after which it stops")
    parser.add_argument("--per-second", type=float, default=2.0, help="pictures a second at most")
    arguments = parser.parse_args()

    config = sp.RunConfig(reconstruct=sp.ReconstructConfig(steps=arguments.steps), inpaint=sp.FillConfig(steps=arguments.steps))
    device = sp.pick_device(config.device)
    rasterizer = sp.pick_rasterizer(config.rasterizer, device)
    files = sp.inputs(arguments.capture, config.capture)
    with sp.RunFolder.open(arguments.out / "run", arguments.capture, config, files=files, resume=True) as folder:
        capture = sp.load_capture(arguments.capture, config.capture, cache=folder.stage("capture"))
        camera = capture.views[0].camera.to(device)
        events = sp.run(arguments.capture, folder, config)
        pictures, last = 0, -math.inf
        for event in events:
            if not isinstance(event, sp.SceneChanged) or event.stage != "inpaint":
                continue
            if time.monotonic() - last < 1 / arguments.per_second:
                continue
            pictures, last = pictures + 1, time.monotonic()
            splats = event.splats()
            write_image(arguments.out / f"{pictures:04d}.png", rasterizer(splats, camera).color[0])
            print(f"picture {pictures}: {len(splats)} splats")
            if pictures == arguments.pictures:
                break
        events.close()


if __name__ == "__main__":
    main()
