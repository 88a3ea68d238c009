"""What is shown: plain and in colour, nothing of a student's unescaped, values for the grader; `finish` sums up."""

import json

import pytest
import torch
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from labkit.exercises import report
from labkit.exercises.compare import NotAValue, decode, encode, values
from labkit.exercises.report import MIME, Unfinished, check, finish, publish
from labkit.exercises.task import tasks


@pytest.fixture
def shell(monkeypatch):
    """A running IPython and no check so far."""
    monkeypatch.setattr(report, "_verdicts", {})
    shell = InteractiveShell.instance()
    yield shell
    InteractiveShell.clear_instance()


def shown(call, *arguments, **options):
    """The display data of a call, a dict for each output."""
    with capture_output() as captured:
        call(*arguments, **options)
    return [output.data for output in captured.outputs]


def test_a_verdict_in_text_colour_and_values(shell):
    (data,) = shown(check, "1.1", 0.04)
    assert data["text/plain"].startswith("✘ 1.1 One pixel by hand: not right yet, 1 of 2 points\n")
    assert "#D55E00" in data["text/html"]
    assert data[MIME] == {"task": "1.1", "seed": 0, "outcomes": [{"value": {"shape": [], "numbers": "0.04"}}]}
    json.dumps(data, allow_nan=False)


def test_what_a_student_writes_is_escaped(shell):
    def answer(*arguments):
        raise ValueError("<script>alert(1)</script>")

    (data,) = shown(check, "1.3", answer)
    assert "<script>" not in data["text/html"]
    assert "&lt;script&gt;" in data["text/html"]
    assert data[MIME]["outcomes"][0]["error"] == "ValueError"


def test_publish_stores_values_of_other_inputs_and_no_verdict(shell):
    (one,), (other,) = [shown(publish, "1.9", lambda beta, share: 3, seed, left=True) for seed in (5, 6)]
    assert one[MIME]["seed"] == 5
    values = [[outcome["value"] for outcome in told[MIME]["outcomes"]] for told in (one, other)]
    assert values[0] == values[1]
    assert one[MIME]["outcomes"] != other[MIME]["outcomes"]  # what is left of the inputs goes along
    assert "right" not in one["text/plain"]
    (file,) = shown(publish, "1.9", lambda beta, share: 3, 5)
    assert [outcome["value"] for outcome in file[MIME]["outcomes"]] == values[0]
    assert "left" not in str(file[MIME])  # in a notebook's file it is long and nobody reads it


def test_finish_sums_up_and_raises_one_line(shell):
    with pytest.raises(Unfinished, match="No check has run"):
        finish()
    shown(check, "1.1", -0.2), shown(check, "1.2", 0.36), shown(check, "1.3", ...)
    with capture_output() as captured, pytest.raises(Unfinished) as raised:
        finish()
    count = len(tasks("1"))
    assert str(raised.value).startswith(f"{count - 1} tasks are open or not right yet: 1.2, 1.3, 1.4")
    text = captured.outputs[0].data["text/plain"]
    assert f"Lab 1: 2 of 25 points (1 right, 1 not right yet, {count - 2} not done yet)" in text
    assert "01_forward_encoder.ipynb" in text
    assert raised.value._render_traceback_() == [str(raised.value)]


def test_finish_is_content_when_all_is_right(shell):
    for number, task in tasks("1").items():
        report._verdicts[number] = report.judge(task, task.reference, watch=False)
    with capture_output() as captured:
        finish()
    assert "Lab 1: 25 of 25 points (9 right)" in captured.outputs[0].data["text/plain"]


def test_finish_counts_one_task_as_one(shell):
    for number, task in tasks("1").items():
        report._verdicts[number] = report.judge(task, task.reference, watch=False)
    shown(check, "1.1", ...)
    with capture_output(), pytest.raises(Unfinished, match=r"^1 task is open or not right yet: 1\.1\.$"):
        finish()


@pytest.mark.parametrize(
    "result",
    [
        1.5,
        3,
        True,
        "word",
        torch.arange(6).reshape(2, 3),
        float("inf"),
        [1, 2.5],
        (torch.ones(2), 3.0),
        [torch.ones(2)] * 3,
    ],
)
def test_values_survive_being_stored(result):
    value = values(result)
    again = decode(json.loads(json.dumps(encode(value), allow_nan=False)))
    assert repr(again) == repr(value)


@pytest.mark.parametrize(
    "stored",
    [
        {"shape": [2]},
        {"shape": [3], "numbers": "1"},
        {"numbers": "x", "shape": [1]},
        {"numbers": [1], "shape": [1]},
        7,
        None,
    ],
)
def test_what_was_not_stored_by_us_is_refused(stored):
    with pytest.raises(NotAValue):
        decode(stored)
