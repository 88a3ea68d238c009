"""The student's words of the command `labkit` that have to do with tasks."""

from pathlib import Path

import click


@click.command()
@click.argument("old", type=click.Path(path_type=Path))
@click.argument("new", type=click.Path(path_type=Path))
def carry(old: Path, new: Path) -> None:
    """Move your answers from the notebook OLD into NEW, a newer release of the same lab; nothing is lost."""
    from labkit.exercises.carry import Unreadable
    from labkit.exercises.carry import carry as move

    try:
        click.echo("\n".join(move(old, new)))
    except Unreadable as problem:
        raise click.ClickException(str(problem)) from None
