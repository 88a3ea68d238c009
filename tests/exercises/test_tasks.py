"""Every known mistake is rejected by its name, every right variant is accepted, and no mutant of a reference passes."""

import importlib

import mutants
import pytest

from labkit.exercises.check import RIGHT, judge
from labkit.exercises.report import sentence
from labkit.exercises.task import labs, tasks

ALL = {number: task for lab in labs() for number, task in tasks(lab).items()}
SEEDS = (0, 1, 20261)  # the instant check's, and what a grader might draw


def answers(table: str) -> dict:
    """A table of all labs' variants files, joined."""
    return {key: value for lab in labs() for key, value in getattr(_variants(lab), table).items()}


def _variants(lab: str):
    return importlib.import_module(f"variants_lab{int(lab):02}")


each = pytest.mark.parametrize("task", ALL.values(), ids=ALL)
mistakes = pytest.mark.parametrize(
    ("task", "mistake"),
    [
        pytest.param(task, mistake, id=f"{task.number}-{i}")
        for task in ALL.values()
        for i, mistake in enumerate(task.mistakes)
    ],
)
variants = pytest.mark.parametrize(
    ("task", "variant"),
    [
        pytest.param(ALL[number], variant, id=f"{number}-{getattr(variant, '__name__', variant)}")
        for number, row in answers("VARIANTS").items()
        for variant in row
    ],
)


@each
def test_a_task_is_whole(task):
    assert task.points >= 1
    assert len(task.mistakes) >= 3
    assert len({mistake.says for mistake in task.mistakes}) == len(task.mistakes)
    assert len(answers("VARIANTS")[task.number]) >= 3
    assert all(0 <= mistake.credit < 1 for mistake in task.mistakes)
    assert list(ALL).index(task.number) == list(ALL.values()).index(task)


@each
@pytest.mark.parametrize("seed", SEEDS)
def test_the_reference_is_right(task, seed):
    verdict = judge(task, task.reference, seed, watch=False)
    assert (verdict.kind, verdict.points) == (RIGHT, task.points)


@mistakes
@pytest.mark.parametrize("seed", SEEDS)
def test_a_known_mistake_is_named(task, mistake, seed):
    verdict = judge(task, mistake.answer, seed, watch=False)
    assert verdict.kind != RIGHT
    assert verdict.mistake is mistake, sentence(verdict)
    assert mistake.says in sentence(verdict)
    assert verdict.points == task.points * mistake.credit


@variants
@pytest.mark.parametrize("seed", SEEDS)
def test_a_right_answer_written_another_way_passes(task, variant, seed):
    verdict = judge(task, variant, seed)
    assert verdict.kind == RIGHT, sentence(verdict)


@each
def test_no_mutant_of_the_reference_passes(task):
    if task.is_value:
        pytest.skip("a value has no body")
    equivalent = answers("EQUIVALENT")
    broken = list(mutants.mutants(task.reference))
    assert len(broken) >= 2
    survivors = {(task.number, words) for words, mutant in broken if judge(task, mutant, watch=False).kind == RIGHT}
    assert survivors == {key for key in equivalent if key[0] == task.number}
