"""Options that several commands share, and their conversion to config overrides."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from splatpaint.errors import ConfigError


class UserPath(click.Path):
    """A path as a user writes it: a `~` that the shell has left alone, because it was quoted, is the home folder."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path without `~`.

        Raises:
            ConfigError: if it begins with the home folder of nobody.
        """
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        try:
            return path.expanduser()
        except RuntimeError as error:
            raise ConfigError(f"{path} is in the home folder of a user who is not known here") from error


PATH = UserPath()
DEVICES = click.Choice(["auto", "cpu", "cuda"])
SPLAT_STAGES = click.Choice(["locate", "reconstruct", "remove", "inpaint"])


def with_config(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds `--config FILE` (as `file`) and any number of `--set a.b=c` (as `overrides`)."""
    one = click.option("--set", "overrides", multiple=True, metavar="A.B=C", help="Change one setting; may be repeated.")
    many = click.option("--config", "file", type=PATH, metavar="FILE", help="YAML file with the settings that differ.")
    return many(one(command))


def with_masks(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds `--masks DIR`, `--mask-polarity` and any number of `--mask-id N` (as `mask_ids`)."""
    polarities = click.Choice(["auto", "white", "black"])
    ids = click.option("--mask-id", "mask_ids", type=int, multiple=True, metavar="N", help="Object of the masks; repeatable.")
    polarity = click.option("--mask-polarity", type=polarities, help="Which color of the masks is to be removed.")
    folder = click.option("--masks", metavar="DIR", help="Folder of the masks, if not found beside the images.")
    return folder(polarity(ids(command)))


def mask_value(polarity: str | None, ids: tuple[int, ...]) -> str | list[int] | None:
    """What of the masks is to be removed, by `--mask-polarity` or by `--mask-id`; None if neither is given."""
    if polarity and ids:
        raise click.UsageError("--mask-polarity and --mask-id exclude each other: objects are chosen by their numbers")
    return polarity or list(ids) or None


def with_format(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds `--compact`, `--spz-version` and `--spz-frame`."""
    frame = click.option(
        "--spz-frame",
        type=click.Choice(["ply", "rub"]),
        default="ply",
        show_default=True,
        help="Axes of .spz files: ply as in a .ply of the scene, rub as Niantic's own tools turn them.",
    )
    version = click.option("--spz-version", type=click.Choice(["2", "3", "4"]), default="3", show_default=True, help="Of .spz.")
    compact = click.option("--compact", is_flag=True, help="A .ply without zeros above the degree of the splats.")
    return compact(version(frame(command)))


def resolve_masks(masks: str | None) -> str | None:
    """The absolute path of a folder that exists in the working directory; other names are resolved in the capture."""
    return str(Path(masks).resolve()) if masks and Path(masks).is_dir() else masks


def assignments(options: dict[str, Any]) -> list[str]:
    """`a.b=c` for every option that is not None."""
    return [f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in options.items() if value is not None]
