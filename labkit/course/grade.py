"""Grades a class: finds the submissions, grades those that are not graded yet, in several processes, and writes it all.

Each result is stored as soon as it is there, under a name that depends on the file, the seed, the limits and the
course, so the same command again goes on where it was ended, whatever ended it. Results depend on no order.
"""

import contextlib
import csv
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labkit.course import gradebook
from labkit.course.grading import NOT_GRADED, Result, course_fingerprint, fingerprint, prove
from labkit.course.reading import NotANotebook, load, read
from labkit.course.release import NotReleased, version
from labkit.course.sandbox import Limits, problem
from labkit.course.submissions import Submission, clean, find
from labkit.course.workers import Worker, anywhere, courses, grade_with, not_graded
from labkit.exercises.task import labs

MIB_WANTED = 200  # free on the disk before the first student
UNSAFE = "graded WITHOUT a sandbox"


class CannotGrade(ValueError):
    """Grading cannot begin or go on; the message says why and what to do."""


@dataclass
class Job:
    """A submission to grade: where its result goes, and the bytes of its file, or why they cannot be had."""

    submission: Submission
    raw: bytes = b""
    stored: Path = Path()
    result: Result | None = None


def grade_class(
    source: Path,
    out: Path,
    *,
    seed: int | None = None,
    jobs: int = 0,
    limits: Limits | None = None,
    shard: tuple[int, int] = (1, 1),
    dask: str = "",
    canvas: Path | None = None,
    column: str = "",
    progress: bool = True,
) -> list[gradebook.Row]:
    """Grade everything in `source` (folder, zip or notebook) into the folder `out`; returns the rows of the gradebook.

    seed: of the hidden inputs; None takes the one in `out`, or draws one there. jobs: processes, 0 for one a core.
    shard: (i, n) grades only every n-th submission, and writes no gradebook. dask: the address of a scheduler that does
    the work. canvas: Canvas' export; column: the assignment's name there. Raises CannotGrade, early or at a clear stop.
    """
    limits = limits or Limits()
    if shard != (1, 1) and seed is None:
        raise CannotGrade("--shard needs --seed S, the same for all parts: each would draw its own")
    if limits.sandbox and (why := problem()):
        raise CannotGrade(f"{why}; or take the risk with --unsafe-no-sandbox")
    seed = _prepare(out, seed)
    with tempfile.TemporaryDirectory(prefix="submissions-") as scratch:
        found = find(source, Path(scratch))[shard[0] - 1 :: shard[1]]
        work = [_job(one, out, seed, limits) for one in found]
        for job in work:
            if job.result and not job.stored.exists():  # a file that nobody need try to read
                _store(job)
        waiting = [job for job in work if job.result is None]
        _prove_all(out, {lab for job in waiting if (lab := _lab(job))}, seed, limits)
        results = (
            _dask(waiting, seed, limits, dask) if dask else _pool(waiting, seed, limits, jobs or os.cpu_count() or 1)
        )
        _collect(results, len(waiting), len(work), progress)
    _note_releases([job.result for job in work])
    rows = _rows(work, limits)
    if shard == (1, 1):
        _write(out, rows, seed, limits, canvas, column)
    return rows


def _prove_all(out: Path, needed: set[str], seed: int, limits: Limits) -> None:
    """The solved notebooks score everything on this seed; once proved, it is remembered in `out`."""
    record = json.loads((out / "run.json").read_text("utf8"))
    for lab in sorted(needed - set(record["proved"])):
        if wrong := prove(lab, courses(limits.sandbox), seed, limits):
            raise CannotGrade(f"{wrong}; mend it before anybody is graded")
        record["proved"].append(lab)
    gradebook.write(out / "run.json", json.dumps(record) + "\n")


def _prepare(out: Path, seed: int | None) -> int:
    """The folder is there, can be written and has room; the seed of this class."""
    try:
        (out / "results").mkdir(parents=True, exist_ok=True)
        (out / "pages").mkdir(exist_ok=True)
        record = out / "run.json"
        kept = json.loads(record.read_text("utf8")) if record.is_file() else {}
        seed = kept.get("seed", secrets.randbelow(2**31)) if seed is None else seed
        now = {"seed": seed, "course": course_fingerprint().hex()[:16], "proved": []}
        same = {**kept, "proved": []} == now
        gradebook.write(record, json.dumps(kept if same else now) + "\n")
        free = shutil.disk_usage(out).free
    except (OSError, ValueError) as error:
        raise CannotGrade(f"{out} cannot be used for grades: {getattr(error, 'strerror', '') or error}") from None
    if free < MIB_WANTED * 2**20:
        raise CannotGrade(f"{out} has {free / 2**20:.0f} MiB left; make room for {MIB_WANTED}")
    return seed


def _job(one: Submission, out: Path, seed: int, limits: Limits) -> Job:
    raw, result = b"", None
    try:
        raw = load(one.path)
    except NotANotebook as reason:
        result = Result("unreadable", notes=[str(reason)])
    whose = repr((one.student, one.user, one.path.name, result and result.notes)).encode("utf8", "surrogateescape")
    key = fingerprint(raw + whose, seed, limits)
    job = Job(one, raw, out / "results" / f"{_slug(one.student)}-{key}.json", result)
    if result:
        return job
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):  # not graded yet, or half of something
        job.result = Result.from_dict(json.loads(job.stored.read_text("utf8")))
    return job


def _slug(name: str) -> str:
    """A name as part of a file's name."""
    return (
        "".join(letter if letter.isalnum() and letter.isascii() else "-" for letter in name)[:40].strip("-")
        or "student"
    )


def _lab(job: Job) -> str:
    from labkit.course.compose import lab_of

    try:
        return lab_of(read(job.raw), job.submission.path.name)
    except NotANotebook:
        return ""


def _pool(waiting: list[Job], seed: int, limits: Limits, jobs: int) -> Iterator[tuple[Job, dict[str, Any]]]:
    """Grade in several processes; one that dies takes nothing with it but what it had, which is tried once more."""
    made = [Worker(slot) for slot in range(1, min(jobs, len(waiting)) + 1)]
    idle = list(made)
    threads = ThreadPoolExecutor(max(1, len(made)))
    try:
        futures = {
            threads.submit(grade_with, idle, job.raw, job.submission.path.name, seed, limits): job for job in waiting
        }
        for future in as_completed(futures):
            yield futures[future], future.result()
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
        for worker in made:
            worker.close()


def _dask(waiting: list[Job], seed: int, limits: Limits, address: str) -> Iterator[tuple[Job, dict[str, Any]]]:
    """Grade on a Dask cluster; a worker that is lost has its work done by another."""
    try:
        from distributed import Client
        from distributed import as_completed as completed
    except ImportError:
        raise CannotGrade("--dask needs the package distributed: pip install distributed") from None
    try:
        client = Client(address, timeout=20)
    except (OSError, ValueError) as error:
        raise CannotGrade(f"no Dask scheduler answers at {address} ({error})") from None
    with client:
        futures = {
            client.submit(
                anywhere, job.raw, job.submission.path.name, seed, limits, key=f"{job.stored.stem}-{i}", retries=3
            ): job
            for i, job in enumerate(waiting)
        }
        for future in completed(list(futures)):
            job = futures[future]
            failed = future.exception()
            yield job, future.result() if failed is None else not_graded(str(failed)[:300])


def _collect(results: Iterator[tuple[Job, dict[str, Any]]], waiting: int, total: int, progress: bool) -> None:
    """Store each result as it comes."""
    from tqdm import tqdm

    with tqdm(total=total, initial=total - waiting, desc="grading", unit="", disable=not progress) as bar:
        for job, found in results:
            job.result = Result.from_dict(found)
            if job.result.status != NOT_GRADED:
                _store(job)
            bar.update()


def _store(job: Job) -> None:
    found = {"student": job.submission.student, **job.result.as_dict()}
    try:
        gradebook.write(job.stored, json.dumps(found, indent=1) + "\n")
    except OSError as error:
        raise CannotGrade(f"{job.stored} cannot be written ({error.strerror}): make room, run the same again") from None


def _note_releases(results: list[Result | None]) -> None:
    """What is of another release than this course would write is graded all the same, and its notes say so."""
    stamped = [result for result in results if result and result.release]
    try:
        ours = version() if stamped else ""
    except NotReleased:
        ours = "in no state to be released: try `labkit release`"
    for result in stamped:
        if result.release != ours:
            result.notes.append(f"of release {result.release}; this course is {ours}")


def _rows(work: list[Job], limits: Limits) -> list[gradebook.Row]:
    """A row a student. Of two notebooks of one lab the better one counts."""
    rows: dict[tuple[str, str], gradebook.Row] = {}
    for job in work:
        one = job.submission
        row = rows.setdefault((one.student, one.user), gradebook.Row(one.student, one.user))
        row.notes += [note for note in one.notes if note not in row.notes]
        row.results.append(job.result)
    for row in rows.values():
        for lab in {result.lab for result in row.results if result.lab}:
            same = sorted((result for result in row.results if result.lab == lab), key=lambda result: -result.points)
            if len(same) > 1:
                row.notes.append(f"{len(same)} notebooks of lab {lab}: the better one counts")
                row.results = [result for result in row.results if result.lab != lab or result is same[0]]
        if any(result.lab for result in row.results):  # what else lay there is no fault
            row.results = [result for result in row.results if result.lab or result.status == NOT_GRADED]
        row.results.sort(key=lambda result: result.lab)
        row.notes += [] if limits.sandbox else [UNSAFE]
    return list(rows.values())


def _write(out: Path, rows: list[gradebook.Row], seed: int, limits: Limits, canvas: Path | None, column: str) -> None:
    """The pages, the gradebook, the summary, and Canvas' import."""
    seen = [lab for lab in labs() if any(result.lab == lab for row in rows for result in row.results)] or list(labs())
    stamp = f"course {course_fingerprint().hex()[:8]}, hidden inputs of seed {seed}" + (
        "" if limits.sandbox else f"; {UNSAFE}"
    )
    try:
        for name, row in _page_names(rows):
            gradebook.write(out / "pages" / f"{name}.html", gradebook.page(row, stamp))
        gradebook.write(out / "gradebook.csv", gradebook.gradebook(rows, seen))
        gradebook.write(out / "summary.html", gradebook.summary(rows, seen, stamp))
        if canvas:
            column = column or f"Lab {', '.join(seen)}"
            text, missing = gradebook.canvas(rows, canvas.read_text("utf-8-sig"), column)
            gradebook.write(out / "canvas.csv", text)
            (out / "not-in-canvas.txt").unlink(missing_ok=True)  # of an earlier run
            if missing:
                gradebook.write(out / "not-in-canvas.txt", "\n".join(missing) + "\n")
    except (ValueError, UnicodeError, csv.Error) as error:
        raise CannotGrade(f"{canvas}: {error}") from None
    except OSError as error:
        raise CannotGrade(f"{error.filename or out} cannot be written ({error.strerror})") from None


def _page_names(rows: list[gradebook.Row]) -> Iterator[tuple[str, gradebook.Row]]:
    used: dict[str, int] = {}
    for row in rows:
        name = _slug(clean(row.student))
        used[name] = used.get(name, 0) + 1
        yield (name if used[name] == 1 else f"{name}-{used[name]}"), row
