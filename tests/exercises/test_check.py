"""What the check says of every kind of answer: it never raises, names the line, finds what is labkit's own."""

import functools
import json
import math
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

import labkit
from labkit.exercises import lab01_forward_encoder as lab
from labkit.exercises.check import (
    BORROWED,
    OPEN,
    RIGHT,
    STOPPED,
    WRONG,
    Outcome,
    diagnose,
    judge,
    outcomes_of,
)
from labkit.exercises.compare import NotAValue
from labkit.exercises.report import sentence
from labkit.exercises.task import Mistake, Task, find

STEP = find("1.3")


def right(beta, z_prev, t, epsilon):
    return math.sqrt(1 - beta[t]) * z_prev + math.sqrt(beta[t]) * epsilon


def test_a_right_answer_gets_its_points():
    verdict = judge(STEP, right)
    assert (verdict.kind, verdict.points, verdict.lines) == (RIGHT, 3, [])


@pytest.mark.parametrize("answer", [..., None])
def test_dots_are_not_done_yet(answer):
    assert judge(STEP, answer).kind == OPEN
    assert judge(find("1.1"), answer).kind == OPEN


def test_whether_inputs_were_changed_is_seen_in_what_was_stored():
    def restored(answer):
        stored = json.loads(json.dumps([one.stored(left=True) for one in outcomes_of(STEP, answer, 5)]))
        return [Outcome.restored(one) for one in stored]

    def changes(beta, z_prev, t, epsilon):
        result = right(beta, z_prev, t, epsilon)
        epsilon *= 2
        return result

    assert diagnose(STEP, 5, restored(right)).kind == RIGHT
    verdict = diagnose(STEP, 5, restored(changes))
    assert (verdict.kind, verdict.points) == (WRONG, 1.5)
    assert "changes its input epsilon in place" in verdict.lines[0]
    silent = restored(right)
    silent[2].left = []
    with pytest.raises(NotAValue, match="what is left of the arguments"):
        diagnose(STEP, 5, silent)


def test_labkits_own_answer_is_seen_in_a_thread_too():
    def asks(beta, z_prev, t, epsilon):
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(labkit.forward_step, labkit.NoiseSchedule(beta[1:]), z_prev, t, epsilon).result()

    verdict = judge(STEP, asks)
    assert verdict.kind == BORROWED
    assert "forward_step" in verdict.lines[0]
    assert threading.getprofile() is None


def test_a_stub_is_not_done_yet():
    def stub(beta, z_prev, t, epsilon):
        raise NotImplementedError("1.3: your turn")

    assert judge(STEP, stub).kind == OPEN


def test_an_error_is_shown_with_the_students_own_line():
    def broken(beta, z_prev, t, epsilon):
        shrunk = math.sqrt(1 - beta[t]) * z_prev
        return shrunk + math.sqrt(beta[t]) * epsilon.no_such_thing

    verdict = judge(STEP, broken)
    text = sentence(verdict)
    assert verdict.kind == STOPPED
    assert "AttributeError" in text
    assert "return shrunk + math.sqrt(beta[t]) * epsilon.no_such_thing" in text
    assert "t = 1" in text
    assert "/" not in text.replace("(", "")  # no path


@pytest.mark.parametrize("leave", [SystemExit, RecursionError, MemoryError, GeneratorExit])
def test_whatever_is_raised_is_caught(leave):
    def leaves(*arguments):
        raise leave

    assert judge(STEP, leaves).kind == STOPPED


def test_an_interrupt_gets_through():
    def long(*arguments):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        judge(STEP, long)
    assert sys.getprofile() is None


def test_nothing_returned_is_said_so():
    verdict = judge(STEP, lambda *arguments: None)
    assert verdict.kind == WRONG
    assert "return" in sentence(verdict)


def test_an_input_changed_in_place_is_half_right():
    def in_place(beta, z_prev, t, epsilon):
        z_prev *= math.sqrt(1 - beta[t])
        z_prev += math.sqrt(beta[t]) * epsilon
        return z_prev

    verdict = judge(STEP, in_place)
    assert (verdict.kind, verdict.points) == (WRONG, 1.5)
    assert "z_prev" in sentence(verdict)


def test_a_wrong_shape_is_named():
    assert "shape (2,)" in sentence(judge(STEP, lambda beta, z, t, e: torch.cat([right(beta, z, t, e)] * 2)))


def test_an_unknown_mistake_shows_the_smallest_input():
    text = sentence(judge(STEP, lambda beta, z, t, e: right(beta, z, t, e) + 1))
    assert "t = 1" in text
    assert "It returns [1.8]; right is [0.8]" in text


def test_a_part_of_a_wrong_shape_is_shown():
    text = sentence(judge(find("1.6"), lambda beta, m, v: ([m] * 5, [v] * 5)))
    assert "It returns" in text
    assert "right is" in text


def test_a_word_that_is_no_option_gets_the_options():
    assert "'grows', 'half', 'one', 'zero'" in sentence(judge(find("1.7"), "0.5 or so"))


def test_a_value_is_never_told():
    verdict = judge(find("1.1"), 17.0)
    assert verdict.kind == WRONG
    assert "0.2" not in sentence(verdict)


@pytest.mark.parametrize(
    "answer", [object(), {1, 2}, 1 + 2j, torch.tensor([1j]), float("nan"), np.array(["a"]), "β", [[1], [2, 3]], b"x"]
)
def test_odd_values_are_wrong_and_nothing_worse(answer):
    assert judge(find("1.1"), answer).kind == WRONG
    assert judge(STEP, lambda *arguments: answer).kind == WRONG
    assert judge(STEP, answer).kind == WRONG


def test_a_function_for_a_value_and_a_value_for_a_function():
    assert "asks for a value" in sentence(judge(find("1.1"), right))
    assert "by its name alone" in sentence(judge(STEP, torch.ones(1)))


def test_a_flood_of_numbers_is_refused():
    verdict = judge(STEP, lambda *arguments: torch.zeros(2_000_000))
    assert "2,000,000 numbers" in sentence(verdict)
    assert len(str(verdict.outcomes[0].stored())) < 200


def schedule_of(beta):
    return labkit.NoiseSchedule(beta[1:])


BORROWERS = {
    "labkit's function": lambda beta, z, t, e: labkit.forward_step(schedule_of(beta), z, t, e),
    "another door": lambda beta, z, t, e: labkit.forward.forward_step(schedule_of(beta), z, t, e),
    "as a partial": lambda beta, z, t, e: functools.partial(labkit.forward_step, schedule_of(beta))(z, t, e),
    "the jump of one step": lambda beta, z, t, e: labkit.diffuse(labkit.NoiseSchedule([beta[t]]), z, 1, e),
    "the reference": lab.forward_step,
    "the reference, called": lambda beta, z, t, e: lab.forward_step(beta, z, t, e),
    "out of the task": lambda beta, z, t, e: find("1.3").reference(beta, z, t, e),
}


@pytest.mark.parametrize("answer", BORROWERS.values(), ids=BORROWERS)
def test_labkits_own_answer_is_not_the_students(answer):
    verdict = judge(STEP, answer)
    assert (verdict.kind, verdict.points) == (BORROWED, 0)
    assert "labkit" in sentence(verdict)


def test_a_function_that_is_given_may_be_called():
    model = labkit.MLP(1, 10)
    task = Task("9.1", 1, "Calls", lambda model, z: model(z, 1), [], lambda g: [(model, torch.ones(3))])
    assert judge(task, lambda model, z: model(z, 1)).kind == RIGHT
    exact = labkit.exact_model(labkit.GaussianMixture([1.0], [0.0], [1.0]), labkit.NoiseSchedule([0.1, 0.2]))
    task = Task("9.1", 1, "Calls", lambda model, z: model(z, 1), [], lambda g: [(exact, torch.ones(3))])
    assert judge(task, lambda model, z: model(z, 1)).kind == RIGHT


def test_what_a_task_allows_may_be_called():
    def answer(schedule, x, epsilon):
        return labkit.diffuse(schedule, x, 1, epsilon).mean()

    def reference(schedule, x, epsilon):
        return ((1 - schedule.beta[1]).sqrt() * x + schedule.beta[1].sqrt() * epsilon).mean()

    cases = lambda g: [(labkit.NoiseSchedule([0.5]), torch.ones(3), torch.ones(3))]  # noqa: E731
    assert judge(Task("9.1", 1, "Allowed", reference, [], cases), answer).kind == BORROWED
    assert judge(Task("9.1", 1, "Allowed", reference, [], cases, may_use=["diffuse"]), answer).kind == RIGHT


def test_a_mistake_may_raise_on_some_inputs():
    """Works for batch 1 only: right there, and an error of the same kind elsewhere."""

    def only_one(x):
        return x.item() * 2

    task = Task(
        "9.1", 2, "Twice", lambda x: 2 * x, [Mistake("Only for one image.", only_one, 0.5)],
        lambda g: [(torch.ones(1),), (torch.ones(3),)],
    )  # fmt: skip
    verdict = judge(task, lambda x: float(x) + float(x))
    assert verdict.mistake is task.mistakes[0] or verdict.kind == STOPPED
    verdict = judge(task, lambda x: x.item() + x.item())
    assert (verdict.mistake, verdict.points) == (task.mistakes[0], 1)


def test_the_check_leaves_the_profiler_as_it_was():
    def mine(*_):
        return None

    sys.setprofile(mine)
    try:
        judge(STEP, right)
        assert sys.getprofile() is mine
    finally:
        sys.setprofile(None)


def test_inputs_are_the_same_for_a_seed_and_differ_between_seeds():
    one, again, other = (STEP.inputs(seed)[-1][1] for seed in (5, 5, 6))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_without_ipython_the_check_prints():
    code = "import labkit; labkit.check('1.1', -0.2); labkit.check('1.1', 0.04); labkit.check('9.9', 1)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    first, second, third, last = done.stdout.splitlines()
    assert "right, 2 of 2 points" in first
    assert "1 of 2 points" in second
    assert "variance" in third
    assert "There is no task '9.9'" in last
