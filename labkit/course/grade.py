"""Grades a class: finds the submissions, grades those that are not graded yet, in several processes, and writes it all.

Each result is stored as soon as it is there, under a name that depends on the file, the seed, the limits and the
course, so the same command again goes on where it was ended, whatever ended it. Results depend on no order.
"""

import atexit
import contextlib
import csv
import json
import multiprocessing
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch

from labkit.course import answerless, gradebook
from labkit.course.grading import Result, course_fingerprint, fingerprint, grade, prove
from labkit.course.reading import NotANotebook, load, read
from labkit.course.sandbox import Limits, problem
from labkit.course.submissions import Submission, clean, find
from labkit.exercises.task import labs

MIB_WANTED = 200  # free on the disk before the first student
UNSAFE = "graded WITHOUT a sandbox"
NOT_GRADED = "not graded"


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
    shard: (i, n) grades only every n-th submission. dask: the address of a scheduler that does the work. canvas:
    Canvas' export; column: the assignment's name there. Raises CannotGrade, early or at a clear stop.
    """
    limits = limits or Limits()
    if limits.sandbox and (why := problem()):
        raise CannotGrade(f"{why}; or take the risk with --unsafe-no-sandbox")
    seed = _prepare(out, seed)
    with tempfile.TemporaryDirectory(prefix="submissions-") as scratch:
        found = find(source, Path(scratch))[shard[0] - 1 :: shard[1]]
        work = [_job(one, out, seed, limits) for one in found]
        waiting = [job for job in work if job.result is None]
        _prove_all(out, {lab for job in waiting if (lab := _lab(job))}, seed, limits)
        results = (
            _dask(waiting, seed, limits, dask) if dask else _pool(waiting, seed, limits, jobs or os.cpu_count() or 1)
        )
        _collect(results, len(waiting), len(work), progress)
    rows = _rows(work, limits)
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
    try:
        raw = load(one.path)
    except NotANotebook as reason:
        return Job(one, result=Result("unreadable", notes=[str(reason)]))
    key = fingerprint(raw + one.path.name.encode("utf8", "surrogateescape"), seed, limits)
    job = Job(one, raw, out / "results" / f"{_slug(one.student)}-{key}.json")
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


@cache
def courses(sandbox: bool) -> Callable[[str], Path]:
    """Gives for a lab the folder with its grading copy of labkit, made once a process."""
    folder = Path(tempfile.mkdtemp(prefix="course-"))
    folder.chmod(0o755)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return cache(lambda lab: answerless.write(folder / lab, lab, data_as_link=not sandbox))


_slot = 0


def _begin(counter: Any) -> None:
    """A worker's first act: take a number of its own, and one thread: two jobs' threads would wait for each other."""
    global _slot
    torch.set_num_threads(1)
    with counter.get_lock():
        _slot, counter.value = counter.value, counter.value + 1


def work_on(raw: bytes, name: str, seed: int, limits: Limits) -> dict[str, Any]:
    """Grade one submission in this process, here or on another machine; its result for JSON."""
    try:
        return grade(raw, name, courses(limits.sandbox), seed, limits, _slot or os.getpid() % 4000).as_dict()
    except Exception as error:  # a fault of ours must not end the class: it is a row that says so
        return Result(NOT_GRADED, notes=[f"the grader failed: {type(error).__name__}: {error}"[:300]]).as_dict()


def _pool(waiting: list[Job], seed: int, limits: Limits, jobs: int) -> Iterator[tuple[Job, dict[str, Any]]]:
    """Grade in several processes, new ones after 50 submissions each, so that none grows for good.

    One that dies takes nothing with it: what it had is tried once more, by itself. (Python's max_tasks_per_child does
    the same, but stands still where all processes come to their end together.)
    """
    context = multiprocessing.get_context("spawn")
    counter, left, tries = context.Value("i", 1), list(waiting), {id(job): 0 for job in waiting}
    while left:
        done = set()
        alone = left[:1] if tries[id(left[0])] else left[: 50 * jobs]
        with ProcessPoolExecutor(min(jobs, len(alone)), context, _begin, (counter,)) as pool:
            futures = {pool.submit(work_on, job.raw, job.submission.path.name, seed, limits): job for job in alone}
            for future in as_completed(futures):
                job = futures[future]
                try:
                    yield job, future.result()
                    done.add(id(job))
                except BrokenProcessPool:
                    tries[id(job)] += 1
        for job in [job for job in alone if id(job) not in done and tries[id(job)] > 1 and len(alone) == 1]:
            yield job, Result(NOT_GRADED, notes=["it ended the grader's own process, twice"]).as_dict()
            done.add(id(job))
        left = [job for job in left if id(job) not in done]


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
                work_on, job.raw, job.submission.path.name, seed, limits, key=f"{job.stored.stem}-{i}", retries=3
            ): job
            for i, job in enumerate(waiting)
        }
        for future in completed(list(futures)):
            job = futures[future]
            failed = future.exception()
            yield job, future.result() if failed is None else Result(NOT_GRADED, notes=[str(failed)[:300]]).as_dict()


def _collect(results: Iterator[tuple[Job, dict[str, Any]]], waiting: int, total: int, progress: bool) -> None:
    """Store each result as it comes."""
    from tqdm import tqdm

    with tqdm(total=total, initial=total - waiting, desc="grading", unit="", disable=not progress) as bar:
        for job, found in results:
            job.result = Result.from_dict(found)
            try:
                if job.result.status != NOT_GRADED:
                    gradebook.write(
                        job.stored, json.dumps({"student": job.submission.student, **found}, indent=1) + "\n"
                    )
            except OSError as error:
                raise CannotGrade(
                    f"{job.stored} cannot be written ({error.strerror}): make room, run the same again"
                ) from None
            bar.update()


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
            row.results = [result for result in row.results if result.lab]
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
