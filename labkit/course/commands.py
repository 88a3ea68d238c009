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


def _shard(context: click.Context, option: click.Parameter, text: str) -> tuple[int, int]:
    first, _, of = text.partition("/")
    if not (first.isdigit() and of.isdigit() and 1 <= int(first) <= int(of)):
        raise click.BadParameter(f"{text!r} is no part; give I/N, such as 2/5")
    return int(first), int(of)


@click.command()
@click.argument("submissions", type=click.Path(path_type=Path), required=False)
@click.option("--out", type=click.Path(path_type=Path), help="Folder for the grades; needed for a class.")
@click.option("--seed", type=click.IntRange(0), help="Of the hidden inputs; by default drawn once and kept in OUT.")
@click.option("--jobs", type=click.IntRange(0), default=0, help="Processes; by default one a core.")
@click.option("--canvas", type=click.Path(path_type=Path, exists=True), help="Canvas' export: write canvas.csv.")
@click.option("--column", default="", help="The column there.")
@click.option(
    "--shard", callback=_shard, default="1/1", help="I/N: only each N-th submission, for Slurm or a CI matrix."
)
@click.option("--dask", default="", help="Address of a Dask scheduler that does the work.")
@click.option("--task-seconds", type=click.FloatRange(1), default=20, show_default=True, help="CPU time of a task.")
@click.option("--task-wall", type=click.FloatRange(1), default=60, show_default=True, help="Its time by the clock.")
@click.option("--total-seconds", type=click.FloatRange(10), default=600, show_default=True, help="All of a submission.")
@click.option("--memory", type=click.IntRange(512), default=4096, show_default=True, help="MiB.")
@click.option("--disk", type=click.IntRange(1), default=256, show_default=True, help="MiB of files it may write.")
@click.option("--processes", type=click.IntRange(32), default=128, show_default=True, help="Processes and threads.")
@click.option("--files", type=click.IntRange(64), default=512, show_default=True, help="Open files.")
@click.option("--output", type=click.FloatRange(0.1), default=2, show_default=True, help="MiB that a cell may print.")
@click.option("--unsafe-no-sandbox", is_flag=True, help="Run students' code with your own rights. Every row says so.")
@click.option("--self-test", is_flag=True, help="Try to break out of the sandbox on this machine, and say what held.")
def grade(submissions: Path | None, out: Path | None, self_test: bool, **options: object) -> None:
    """Grade SUBMISSIONS: a folder or zip (a file or folder a student, or Canvas' bulk download), or one notebook."""
    if self_test:
        _self_test()
        return
    if submissions is None:
        raise click.UsageError("give SUBMISSIONS and, for a class, --out GRADES")
    if not submissions.exists():
        raise click.UsageError(f"{submissions} does not exist; give a folder, a zip or a notebook")
    if out is None and not submissions.is_file():
        raise click.UsageError("for a class, give --out GRADES: the folder for the grades")
    import tempfile

    from labkit.course import gradebook
    from labkit.course.grade import CannotGrade, grade_class
    from labkit.course.sandbox import Limits
    from labkit.course.submissions import NoSubmissions

    names = {"task_seconds": "task_cpu", "task_wall": "task_wall", "total_seconds": "total_wall"}
    same = ("memory", "disk", "processes", "files", "output")
    limits = Limits(
        **{field: options.pop(option) for option, field in names.items()},
        **{name: options.pop(name) for name in same},
        sandbox=not options.pop("unsafe_no_sandbox"),
    )
    with tempfile.TemporaryDirectory() as scratch:
        try:
            rows = grade_class(submissions, out or Path(scratch), limits=limits, progress=out is not None, **options)
        except (CannotGrade, NoSubmissions) as problem:
            raise click.ClickException(str(problem)) from None
    if out is None:
        click.echo("\n".join(gradebook.plain(row) for row in rows))
    elif options["shard"] != (1, 1):
        click.echo(f"{len(rows)} students of this part: {out / 'results'}. When all parts are there, run it without")
        click.echo("--shard: that writes the gradebook.")
    else:
        click.echo(f"{len(rows)} students: {out / 'gradebook.csv'}, {out / 'summary.html'}, {out / 'pages'}")
    if waiting := sum(row.waits for row in rows):
        raise click.ClickException(f"{waiting} not graded: run the same command again")


def _self_test() -> None:
    from labkit.course.selftest import probes

    leaks = 0
    try:
        for what, held, how in probes():
            leaks += not held
            click.echo(f"{'held  ' if held else 'BROKEN'}  {what}{f' ({how})' if how and held else ''}")
    except RuntimeError as problem:
        raise click.ClickException(str(problem)) from None
    if leaks:
        raise click.ClickException(f"{leaks} of these got out: do not grade on this machine")
    click.echo("the sandbox holds")
