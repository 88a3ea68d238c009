"""INSTRUCTOR.md is true: every prediction's answer, every task among the misconceptions, commands that exist."""

import re
from pathlib import Path

from click.testing import CliRunner

from labkit.cli import main
from labkit.exercises.check import RIGHT, judge
from labkit.exercises.task import find, labs, tasks

TEXT = (Path(__file__).resolve().parent.parent.parent / "INSTRUCTOR.md").read_text("utf8")
ALL = {number: task for lab in labs() for number, task in tasks(lab).items()}


def section(title: str) -> str:
    return TEXT.split(f"## {title}")[1].split("\n## ")[0]


def test_the_answers_are_the_right_ones():
    rows = dict(re.findall(r"^\| (\d+\.\d+) \| ([^|]+) \|", section("Answers to the predictions"), re.M))
    assert set(rows) == {number for number, task in ALL.items() if task.is_value}
    for number, answer in rows.items():
        value = tuple(map(float, answer.strip().strip("()").split(","))) if "(" in answer else answer
        assert judge(find(number), value).kind == RIGHT, number


def test_every_task_has_its_misconception():
    rows = re.findall(r"^\| [^|]+ \| ([\d. ]+) \|", section("Misconceptions"), re.M)
    named = {number for row in rows for number in row.split()}
    assert set(ALL) - named == {"4.1"}  # what is in a folder is no matter of belief
    assert named <= set(ALL)


def test_every_lab_has_its_timing():
    for lab in labs():
        assert f"\n| {int(lab):02} |" in section("Timing")


def test_the_commands_and_options_exist():
    helped = CliRunner().invoke(main, ["grade", "--help"]).output
    for option in set(re.findall(r"(?<=`)--[a-z-]+|(?<= )--[a-z-]+(?=[ `])", section("To grade"))):
        assert option in helped, option
    named = {word for pair in re.findall(r"`labkit (\w+)|^labkit (\w+)", TEXT, re.M) for word in pair}
    assert named - {""} <= set(main.commands)
