"""Stops a run in the middle of its fill, continues it, and compares the result with that of a run that was not stopped.

    python examples/03_stop_and_resume.py CAPTURE OUT

A run folder keeps the product of every finished stage and the checkpoint of the one at work. Work since the last checkpoint is
done again, with the same random numbers: on a CPU both runs end with the same splats, bit for bit.
"""

from argparse import ArgumentParser
from pathlib import Path

import torch

import splatpaint as sp


def main() -> None:
    """Runs the example."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("capture", type=Path, metavar="CAPTURE")
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("--steps", type=int, default=200, help="training steps of the reconstruction and of each round")
    arguments = parser.parse_args()

    config = sp.RunConfig(reconstruct=sp.ReconstructConfig(steps=arguments.steps), inpaint=sp.FillConfig(steps=arguments.steps))
    files = sp.inputs(arguments.capture, config.capture)

    with sp.RunFolder.open(arguments.out / "stopped", arguments.capture, config, files=files) as folder:
        events, steps = sp.run(arguments.capture, folder, config), 0
        for event in events:
            steps += isinstance(event, sp.SceneChanged) and event.stage == "inpaint"
            if steps > 1.5 * arguments.steps:  # in the middle of the second round
                break
        events.close()
        print(f"stopped after {steps} steps of the fill")

    with sp.RunFolder.open(arguments.out / "stopped", arguments.capture, config, files=files, resume=True) as folder:
        resumed = sp.drain(sp.run(arguments.capture, folder, config))
    with sp.RunFolder.open(arguments.out / "whole", arguments.capture, config, files=files) as folder:
        whole = sp.drain(sp.run(arguments.capture, folder, config))

    pairs = zip(resumed.tensors().values(), whole.tensors().values(), strict=True)
    same = len(resumed) == len(whole) and all(torch.equal(*pair) for pair in pairs)
    print(f"{len(resumed)} splats resumed, {len(whole)} at once: {'the same, bit for bit' if same else 'not the same'}")


if __name__ == "__main__":
    main()
