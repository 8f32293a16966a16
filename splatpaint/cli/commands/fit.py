"""`splatpaint fit`."""

from dataclasses import replace
from pathlib import Path

import click

from splatpaint.cli.interruption import resumable
from splatpaint.cli.options import DEVICES, PATH, assignments, mask_value, resolve_masks, with_config, with_masks


@click.command()
@click.argument("capture", type=PATH)
@click.option("-o", "--output", "run_path", type=PATH, required=True, metavar="RUN", help="Run folder; created if missing.")
@with_config
@click.option("--resume", is_flag=True, help="Continue an unfinished run.")
@click.option("--device", type=DEVICES, help="auto = a GPU where there is one.")
@click.option("--seed", type=int, metavar="N", help="Same seed, same machine: same result (on CPUs).")
@click.option("--max-resolution", type=int, metavar="N", help="Longest image side in pixels.")
@click.option("--test-every", type=int, metavar="N", help="Hold out every N-th view and measure it.")
@with_masks
@click.option("--shadow", type=click.Choice(["keep", "remove"]), help="What becomes of the shadow of what is removed.")
@click.option(
    "--init-ply",
    type=PATH,
    metavar="FILE",
    help="Splats in the frame of the poses, instead of a reconstruction.",
)
@click.option("--prior", metavar="NAME", help="auto, bundled, a hub id, or a local folder of a diffusion inpainting model.")
@click.option("--prompt", metavar="TEXT", help="Text prompt, for priors that read text.")
@click.option("--lora", type=PATH, metavar="FILE", help="A LoRA of the prior, in diffusers' format.")
def fit(
    capture: Path,
    run_path: Path,
    file: Path | None,
    overrides: tuple[str, ...],
    resume: bool,
    device: str | None,
    seed: int | None,
    max_resolution: int | None,
    test_every: int | None,
    masks: str | None,
    mask_polarity: str | None,
    mask_ids: tuple[int, ...],
    shadow: str | None,
    init_ply: Path | None,
    prior: str | None,
    prompt: str | None,
    lora: Path | None,
) -> None:
    """Reconstruct CAPTURE, remove the masked object, and fill the hole behind it.

    CAPTURE is a folder with images, masks and poses (transforms.json, COLMAP, or LLFF).
    """
    flags = {
        "device": device,
        "seed": seed,
        "capture.max_resolution": max_resolution,
        "capture.test_every": test_every,
        "capture.masks": resolve_masks(masks),
        "capture.mask_value": mask_value(mask_polarity, mask_ids),
        "remove.shadow": shadow,
        "reconstruct.init_ply": str(init_ply.resolve()) if init_ply else None,
        "prior.name": prior,
        "prior.prompt": prompt,
        "prior.lora": str(lora.resolve()) if lora else None,
    }
    with resumable() as interruption:
        from splatpaint.cli.progress import draw
        from splatpaint.config import load
        from splatpaint.priors.load import chosen_prior
        from splatpaint.stages.config import RunConfig
        from splatpaint.stages.folder import RunFolder
        from splatpaint.stages.run import inputs_of, pick_device, run

        config = load(RunConfig, file, [*overrides, *assignments(flags)])
        chosen = pick_device(config.device)
        if config.prior.name == "auto":
            config = replace(config, prior=replace(config.prior, name=chosen_prior(chosen)))
            click.echo(f"the prior is {config.prior.name}")
        with RunFolder.open(run_path, capture, config, files=inputs_of(capture, config), resume=resume) as folder:
            draw(interruption.stop_on_signal(folder.logged(run(capture, folder, config))))
    click.echo(f"done; next: splatpaint export {run_path} -o scene.ply")
