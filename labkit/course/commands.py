"""The instructor's words of the command `labkit`; `cli.py` adds them where this folder is, and so not in a release."""

from pathlib import Path

import click


@click.command()
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The students' folder.")
@click.option("--zip", "archive", is_flag=True, help="Write OUT.zip as well.")
def release(out: Path, archive: bool) -> None:
    """Write the students' folder: the labs without solutions, labkit, the data, a README."""
    from labkit.course.release import NotReleased
    from labkit.course.release import release as write

    try:
        stamp = write(out, archive)
    except NotReleased as problem:
        raise click.ClickException(str(problem)) from None
    except OSError as problem:
        raise click.ClickException(f"{problem.filename or out} cannot be written: {problem.strerror}") from None
    click.echo(f"release {stamp['version']} in {out}{f' and {out}.zip' if archive else ''}")
    for name, points in stamp["points"].items():
        click.echo(f"  {name}: {points} points")
    click.echo(f"Its notebooks expect it at {stamp['url']} ([tool.labkit] release_url in pyproject.toml).")
