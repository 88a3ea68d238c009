"""Hostile submissions: each gets the grade it must get, and what must not happen does not. The corpus is hostile.py."""

import json
import multiprocessing
import os
import socket
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import hostile
import psutil
import pytest
from hostile_files import FILES
from nbval.plugin import find_comment_markers

from labkit.course import grading
from labkit.course.compose import compose
from labkit.course.grade import courses
from labkit.course.reading import NotANotebook, load, read
from labkit.course.sandbox import FIRST_UID, Limits, problem

SEED = 987_654_321
LIMITS = Limits(task_cpu=4, task_wall=8, total_wall=300, memory=2048, disk=32, output=0.5)
WHY = problem()
sandbox = pytest.mark.skipif(bool(WHY), reason=f"hostile submissions are not tried: {WHY}")


def begin(counter, temporary):
    """A worker's first act: a number and a folder for temporary files of its own."""
    with counter.get_lock():
        counter.value += 1
        begin.slot = counter.value
    tempfile.tempdir = temporary
    os.environ["SECRET_OF_THE_GRADER"] = "env-secret"


def work(raw):
    """Grade one submission; its result, and all that its kernels stored, as text."""
    seen, true = [], grading.rerun

    def rerun(*arguments):
        ran = true(*arguments)
        seen.append(repr(ran))
        return ran

    grading.rerun = rerun
    try:
        result = grading.grade(raw, "01_forward_encoder.ipynb", courses(True), SEED, LIMITS, begin.slot)
    finally:
        grading.rerun = true
    return result, "".join(seen) + json.dumps(result.as_dict())


@pytest.fixture(scope="module")
def world():
    """What stands outside: a folder with a secret, a port that is listened on, a folder for temporary files."""
    with tempfile.TemporaryDirectory(prefix="hostile-") as name, socket.create_server(("127.0.0.1", 0)) as server:
        folder = Path(name)
        folder.chmod(0o777)
        (folder / "home").write_text("home-secret")
        (folder / "home").chmod(0o644)
        (folder / "t").mkdir(mode=0o755)
        server.setblocking(False)
        yield folder, server


@pytest.fixture(scope="module")
def graded(world):
    """Every pack graded once, in two processes: {name: (result, all that was stored)}."""
    folder, server = world
    fill = {"HOME": f"{folder}/home", "OUTSIDE": str(folder), "PORT": str(server.getsockname()[1]), "SEED": str(SEED)}
    context = multiprocessing.get_context("spawn")
    counter = context.Value("i", 3000 + os.getpid() % 900)
    with ProcessPoolExecutor(2, context, begin, (counter, str(folder / "t"))) as pool:
        futures = {name: pool.submit(work, hostile.submission(cases, fill)) for name, cases in hostile.PACKS.items()}
        yield {name: future.result() for name, future in futures.items()}
    users = {FIRST_UID + 3000 + os.getpid() % 900 + i for i in (1, 2)}
    left = [one.info for one in psutil.process_iter(["cmdline", "uids"])
            if str(folder) in " ".join(one.info["cmdline"] or []) or one.info["uids"].real in users]  # fmt: skip
    assert not left, f"processes outlived the run: {left}"


@sandbox
@pytest.mark.slow
@pytest.mark.parametrize("pack", hostile.PACKS)
def test_each_task_gets_the_points_it_must_get(graded, pack):
    result, _ = graded[pack]
    assert result.status == "graded"
    cases = {case.number: case for case in hostile.PACKS[pack]}
    wrong = []
    for number, grade in result.grades.items():
        case = cases.get(number)
        if not case and pack in hostile.OTHERS_ARE_THEIR_OWN:
            continue
        said = " ".join([*grade.says, *result.notes])
        if grade.points != (case.worth if case else grade.of) or (case and case.says not in said):
            wrong.append((number, case.name if case else "the right answer", grade.points, said))
    assert not wrong


@sandbox
@pytest.mark.slow
def test_nothing_got_in_or_out(graded, world):
    folder, server = world
    with pytest.raises(BlockingIOError):
        server.accept()
    for name, (_, stored) in graded.items():
        for secret in ("home-secret", "env-secret"):
            assert secret not in stored, name
    assert sorted(path.name for path in folder.iterdir()) == ["home", "t"]
    assert (folder / "home").read_text() == "home-secret"
    left = [path for path in (folder / "t").iterdir() if not path.name.startswith("course-")]
    assert not left


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_file_is_read_as_it_must_be(file):
    if file.reason:
        with pytest.raises(NotANotebook, match=file.reason):
            read(file.raw)
        return
    submitted = read(file.raw)
    composed = compose("1", grading.solved("1"), submitted, SEED)
    assert {cell.number for cell in composed.cells if cell.kind == "TASK"} == file.ready
    assert [cell.kind for cell in composed.cells if cell.number] == ["TASK", "PUBLISH"] * len(file.ready)
    assert file.note in " ".join(composed.notes)
    for number, words in file.settled:
        assert words in composed.settled[number]
    assert not [marker for cell in composed.cells for marker in find_comment_markers(cell.source)]
    json.dumps(grading.Result("graded", "1", notes=composed.notes, release=submitted.release).as_dict())


def test_a_file_over_the_limit_is_not_opened(tmp_path):
    (tmp_path / "large.ipynb").touch()
    os.truncate(tmp_path / "large.ipynb", 21 * 2**20)
    with pytest.raises(NotANotebook, match="21 MiB; at most 20"):
        load(tmp_path / "large.ipynb")
    for name, words in (("none.ipynb", "No such file"), ("", "directory")):
        with pytest.raises(NotANotebook, match=words):
            load(tmp_path / name)


def test_the_corpus_is_large_and_each_case_has_a_name_of_its_own():
    names = [case.name for cases in hostile.PACKS.values() for case in cases]
    assert len(set(names)) == len(names) >= 45
    assert len({file.name for file in FILES}) == len(FILES)
