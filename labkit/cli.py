"""The command `labkit`: a thin face over the rooms; it parses words, calls them and prints."""

from pathlib import Path

import click

from labkit.checkpoint import WrongCheckpoint
from labkit.commands import evaluate, train
from labkit.data import DataError
from labkit.exercises.commands import carry
from labkit.hub import ModelUnavailable


class Commands(click.Group):
    """Commands that say in one sentence which file or model is at fault; a mistake in labkit keeps its traceback."""

    def invoke(self, context: click.Context) -> object:
        """Run the command that was asked for."""
        try:
            return super().invoke(context)
        except (DataError, ModelUnavailable, WrongCheckpoint) as problem:
            raise click.ClickException(str(problem)) from None


@click.group(cls=Commands)
def main() -> None:
    """The lab course on diffusion models: check this machine, train the course's models, measure them."""


@main.command()
def doctor() -> None:
    """Can this machine run the labs? Versions, device, memory, files, network, speed; exit 1 if a lab cannot run."""
    from labkit.doctor import examine

    raise SystemExit(0 if examine() else 1)


for command in (train, evaluate, carry):
    main.add_command(command)
if (Path(__file__).parent / "course").is_dir():  # the instructor's side; a release has none
    from labkit.course.commands import grade, release

    for command in (release, grade):
        main.add_command(command)

if __name__ == "__main__":
    main()
