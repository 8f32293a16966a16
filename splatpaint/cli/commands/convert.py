"""`splatpaint convert`."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from splatpaint.cli.options import PATH, with_format


@click.command()
@click.argument("source", type=PATH, metavar="IN")
@click.argument("out", type=PATH, metavar="OUT")
@with_format
def convert(source: Path, out: Path, compact: bool, spz_version: str, spz_frame: Any) -> None:
    """Write the splats of IN to OUT; the suffixes say the formats.

    Reads .ply, .compressed.ply, .spz, .sog, .ksplat, .splat and .safetensors; writes all of them but .ksplat.
    """
    from splatpaint.errors import FormatError
    from splatpaint.formats import FormatOptions, check_writable, link_target, read_found, write_splats
    from splatpaint.formats.offset import read_offset

    check_writable(out)
    options = FormatOptions(compact=compact, spz_version=int(spz_version), spz_frame=spz_frame)  # pyright: ignore[reportArgumentType]
    found = read_found(source, options)
    for note in found.notes:
        click.echo(f"{source}: {note}", err=True)
    if len(found.splats) == 0:
        raise FormatError(f"{source} holds no splats")
    write_splats(link_target(out), found.splats, replace(options, antialiased=found.antialiased, offset=read_offset(source)))
    click.echo(f"{len(found.splats)} splats: {out}")
