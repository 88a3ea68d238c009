"""progress.py: time left on the line, seldom and late; in a kernel nothing stays, and an interrupt breaks nothing."""

import asyncio
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from nbclient import NotebookClient

from labkit import progress
from labkit.progress import bar, over, time_left

LEFT = re.compile(r"\w+: +\d+% \|.+\| \d+ of \d+, (\d\d:\d\d|\?) left")
WORK = """
import time, torch, labkit
from labkit.progress import bar, over

def work(seconds=1.3):
    with bar("work", 100) as shown:
        for _ in range(100):
            time.sleep(seconds / 100)
            shown.update()

def slow(z_t, t):
    time.sleep(pause)
    return z_t * 0.5

schedule = labkit.NoiseSchedule.linear(40)
def draw():
    return labkit.sample(slow, schedule, (3,), generator=torch.Generator().manual_seed(0), device="cpu")

def fit(steps=200):
    torch.manual_seed(0)
    x = torch.randn(64, 2)
    return labkit.train(labkit.MLP(2, 40, 8), schedule, x, steps=steps, batch_size=8, device="cpu")[1]
"""
CELLS = {  # source, by what it is
    "first": WORK,
    "alone": "work(2.2)",
    "short": "work(0.05)",
    "two": "work()\nwork()",
    "then words": "work()\nprint('after')",
    "words": "print('before')\nwork()",
    "picture": "from IPython.display import Image, display\ndisplay({'text/plain': 'a'}, raw=True)\nwork()",
    "nested": "for _ in over(range(2), 'work'):\n    work()",
    "captured": "%%capture\nwork()",
    "broken": "work()\n1 / 0",
    "stopped sample": "pause = 0.5\nx = draw()",
    "sample": "pause = 0.03\nx = draw()\nassert torch.equal(x, draw())\ntuple(x.shape)",
    "stopped train": "losses = fit(1_000_000)",
    "train": "losses = fit()\nassert losses == fit()\nlen(losses)",
    "left behind": "steps = over(range(100), 'work')\nfor i in steps:\n    time.sleep(0.02)\n    if i == 80: break",
    "closed elsewhere": "print('mine')\nsteps.close()",
    "last": "work()",
}


class Watched(NotebookClient):
    """Runs a notebook, notes each text of a bar with its time, and stops the cells that are to be stopped."""

    def process_message(self, msg: dict, cell: nbformat.NotebookNode, cell_index: int) -> object:
        """Look at a message of the kernel before it is worked on."""
        text = msg["content"].get("data", {}).get("text/plain", "") if "display" in msg["msg_type"] else ""
        if LEFT.match(text):
            cell.metadata.setdefault("seen", []).append([time.monotonic(), text])
            if "stop" in cell.metadata.get("tags", []) and len(cell.metadata["seen"]) == 1:
                self.stop = asyncio.ensure_future(self.km.interrupt_kernel())  # kept, as a loop forgets its tasks
        return super().process_message(msg, cell, cell_index)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> dict[str, nbformat.NotebookNode]:
    """The cells after they ran in one kernel, one after the other."""
    v4 = nbformat.v4
    notebook = v4.new_notebook(cells=[v4.new_code_cell(source) for source in CELLS.values()])
    for name, cell in zip(CELLS, notebook.cells, strict=True):
        kind = name.split()[0]
        cell.metadata["tags"] = {"stopped": ["raises-exception", "stop"], "broken": ["raises-exception"]}.get(kind, [])
    place = {"metadata": {"path": str(tmp_path_factory.mktemp("notebook"))}}
    Watched(notebook, timeout=40, kernel_name="python3", resources=place, record_timing=False).execute()
    return dict(zip(CELLS, notebook.cells, strict=True))


def outputs(cell: nbformat.NotebookNode) -> list[str | dict]:
    """What a cell stores, in short: text, an error's name, or the data."""
    return [one.get("text") or one.get("ename") or dict(one["data"]) for one in cell.outputs]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["alone", "two", "nested", "captured", "last"])
def test_a_bar_leaves_nothing_in_a_notebook(ran: dict, name: str) -> None:
    assert outputs(ran[name]) == []
    assert name == "captured" or ran[name].metadata.seen


@pytest.mark.slow
def test_what_a_cell_shows_besides_stays(ran: dict) -> None:
    assert outputs(ran["then words"]) == ["after\n"]
    # Jupyter clears all of a cell or nothing: the words are worth more than an empty line
    assert outputs(ran["words"]) == ["before\n", {}]
    assert outputs(ran["picture"]) == [{"text/plain": "a"}, {}]
    assert ran["words"].metadata.seen
    assert ran["picture"].metadata.seen
    assert outputs(ran["broken"]) == ["ZeroDivisionError"]


@pytest.mark.slow
def test_a_bar_tells_the_time_that_is_left_now_and_then(ran: dict) -> None:
    seen = ran["alone"].metadata.seen
    assert all(re.search(r"\d\d:\d\d left", text) for _, text in seen)
    assert 2 <= len(seen) <= 2 * (seen[-1][0] - seen[0][0]) + 2
    assert "seen" not in ran["short"].metadata


@pytest.mark.slow
@pytest.mark.parametrize(("name", "value"), [("sample", "(3,)"), ("train", "200")])
def test_an_interrupt_takes_the_bar_away_and_the_same_call_works_after_it(ran: dict, name: str, value: str) -> None:
    assert outputs(ran[f"stopped {name}"]) == ["KeyboardInterrupt"]
    assert ran[f"stopped {name}"].metadata.seen
    assert outputs(ran[name]) == [{"text/plain": value}]  # its assertion held


@pytest.mark.slow
def test_a_bar_that_ends_in_a_later_cell_takes_nothing_from_it(ran: dict) -> None:
    assert outputs(ran["closed elsewhere"]) == ["mine\n"]
    assert outputs(ran["left behind"]) == [{}]


@pytest.mark.slow
def test_nbval_compares_a_cell_as_if_it_had_no_bar(tmp_path: Path) -> None:
    v4 = nbformat.v4
    check = "# NBVAL_CHECK_OUTPUT\nfor _ in over(range(60), 'work'):\n    time.sleep(0.03)\nprint(6 * 7)"
    notebook = v4.new_notebook(cells=[v4.new_code_cell(WORK), v4.new_code_cell(check)])
    place = {"metadata": {"path": str(tmp_path)}}
    Watched(notebook, timeout=60, kernel_name="python3", resources=place, record_timing=False).execute()
    assert notebook.cells[1].metadata.pop("seen")
    assert outputs(notebook.cells[1]) == ["42\n"]
    nbformat.write(notebook, tmp_path / "one.ipynb")
    words = [sys.executable, "-m", "pytest", "-q", "--nbval-lax", "--nbval-current-env", "-p", "no:cacheprovider"]
    done = subprocess.run([*words, str(tmp_path)], capture_output=True, text=True, env=dict(os.environ))
    assert done.returncode == 0, done.stdout[-3000:]


# -- without a kernel


class Front:
    """Stands for a kernel and what it publishes to."""

    def __init__(self, counts: bool) -> None:
        self.session = SimpleNamespace(message_count=7) if counts else SimpleNamespace()
        self.kernel, self.display_pub, self.sent = self, self, []

    def _note(self, *what: object) -> None:
        self.sent.append(what)
        if hasattr(self.session, "message_count"):
            self.session.message_count += 1

    def publish(self, data: dict, metadata: dict, *, transient: dict, update: bool) -> None:
        """As IPython's."""
        self._note("update" if update else "show", data)

    def clear_output(self) -> None:
        """As IPython's."""
        self._note("clear")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """tqdm's time, to be moved by hand."""
    now = SimpleNamespace(seconds=1000.0)
    monkeypatch.setattr("tqdm.std.time", lambda: now.seconds)
    return now


def ticks(clock: SimpleNamespace, count: int = 100, seconds: float = 0.1) -> None:
    """A loop of `count` steps that each take so long."""
    with bar("work", count) as shown:
        for _ in range(count):
            clock.seconds += seconds
            shown.update()


def test_a_terminal_gets_one_line_with_the_time_left_that_is_wiped_out(
    clock: SimpleNamespace, capsys: pytest.CaptureFixture
) -> None:
    ticks(clock)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "\n" not in printed.err
    lines = printed.err.split("\r")
    assert any(LEFT.match(line) and "00:05 left" in line for line in lines)
    assert lines[-1] == "" == lines[-2].strip()


def test_a_loop_of_less_than_a_second_shows_nothing(clock: SimpleNamespace, capsys: pytest.CaptureFixture) -> None:
    ticks(clock, 90, 0.01)
    assert capsys.readouterr().err == ""


def test_a_fast_loop_is_drawn_twice_a_second(clock: SimpleNamespace, capsys: pytest.CaptureFixture) -> None:
    ticks(clock, 10_000, 0.001)
    assert 15 <= capsys.readouterr().err.count(" left") <= 21


def test_no_bar_where_none_is_wanted(clock: SimpleNamespace, capsys: pytest.CaptureFixture) -> None:
    for _ in over(range(100), "work", progress=False):
        clock.seconds += 1
    assert capsys.readouterr().err == ""


def test_over_gives_the_items_counts_them_and_closes_when_left_early(
    clock: SimpleNamespace, capsys: pytest.CaptureFixture
) -> None:
    got = []
    for one in over("abcdefgh", "work"):
        got.append(one)
        clock.seconds += 1
        if one == "d":
            break
    assert got == list("abcd")
    lines = capsys.readouterr().err.split("\r")
    assert any("3 of 8" in line for line in lines)
    assert lines[-1] == "" == lines[-2].strip()
    assert list(over([], "work")) == []


def test_an_interrupt_wipes_the_line_out(clock: SimpleNamespace, capsys: pytest.CaptureFixture) -> None:
    def stopped() -> None:
        with bar("work", 10) as shown:
            clock.seconds += 2
            shown.update()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    lines = capsys.readouterr().err.split("\r")
    assert LEFT.match(lines[1])
    assert lines[-1] == "" == lines[-2].strip()


def test_an_interrupt_of_the_first_drawing_takes_it_away_too(
    clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    front = Front(counts=True)
    monkeypatch.setattr(progress, "_shell", lambda: front)
    progress._begin()

    def interrupted(kind: str, data: dict) -> None:
        front.sent.append((kind, data))
        front.session.message_count += 1
        if kind == "update":
            raise KeyboardInterrupt

    monkeypatch.setattr(front, "_note", interrupted)
    monkeypatch.setattr(front, "clear_output", lambda: front.sent.append("clear"))
    with pytest.raises(KeyboardInterrupt):
        ticks(clock)
    assert front.sent[-1] == "clear"


def test_what_was_done_before_counts_but_not_for_the_time_left(
    clock: SimpleNamespace, capsys: pytest.CaptureFixture
) -> None:
    with bar("work", 100, done=90) as shown:
        for _ in range(5):
            clock.seconds += 1
            shown.update()
    assert "95 of 100, 00:05 left" in capsys.readouterr().err


@pytest.mark.parametrize("counts", [True, False])
def test_a_kernel_that_does_not_count_its_messages_keeps_what_a_cell_shows(
    clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, counts: bool
) -> None:
    front = Front(counts)
    monkeypatch.setattr(progress, "_shell", lambda: front)
    progress._begin()
    ticks(clock)
    assert front.sent[0] == ("show", {})
    assert all(kind == "update" and LEFT.match(data["text/plain"]) for kind, data in front.sent[1:-1])
    assert front.sent[-1] == (("clear",) if counts else ("update", {}))


def test_a_step_costs_next_to_nothing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    """A look at the clock each, and two drawings a second: 100,000 steps of 20 microseconds take two seconds."""
    looks = []

    def clock() -> float:
        looks.append(None)
        return 1000 + 20e-6 * len(looks)

    monkeypatch.setattr("tqdm.std.time", clock)
    with bar("work", 100_000) as shown:
        for _ in range(100_000):
            shown.update()
    assert len(looks) < 100_020
    assert 1 <= capsys.readouterr().err.count(" left") <= 4


def test_the_time_left_is_that_of_the_steps_to_come():
    assert [time_left(done, 20, 25.0) for done in (0, 5, 20)] == ["?", "01:15", "00:00"]
