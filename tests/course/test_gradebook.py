"""The gradebook: harmless in a spreadsheet, its pages run nothing, Canvas takes it, and it counts mistakes."""

import csv
import io
import threading
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser

import pytest

from labkit.course import gradebook as book
from labkit.course.gradebook import Row
from labkit.course.grading import NOT_GRADED, Grade, Result
from labkit.exercises.check import OPEN, RIGHT, STOPPED, WRONG
from labkit.exercises.task import tasks

TASKS = tasks("1")
BAD = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "'><svg/onload=alert(1)>", "</pre></details><b>",
       "&lt;script&gt;", "javascript:alert(1)", "</title><meta http-equiv=refresh content=0>", "]]><!-- "]  # fmt: skip
FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", '=HYPERLINK("http://x","y")', "=cmd|' /C calc'!A0"]
TAGS = {"html", "head", "meta", "title", "style", "body", "h1", "h2", "h3", "p", "details", "summary", "pre", "small",
        "table", "tr", "td", "th", "div", "svg", "rect", "text"}  # fmt: skip


def row(student, points=1.0, user="", lab="1", notes=(), says=(), code="x = 1", kind=RIGHT, mistake=-1, release=""):
    """A student with the same grade in each task."""
    grades = {number: Grade(points * task.points, task.points, kind, list(says), mistake)
              for number, task in TASKS.items()}  # fmt: skip
    return Row(student, user, [Result("graded", lab, grades, list(notes), release, dict.fromkeys(TASKS, code))])


def cells(text):
    return list(csv.reader(io.StringIO(text)))


class Seen(HTMLParser):
    """The tags and attributes that a page has."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.attributes, self.text = [], [], ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]

    def handle_data(self, data):
        self.text += data


def test_the_gradebook_has_a_row_a_student_and_a_column_a_task():
    rows = [
        row("Al"),
        row("Bo", 0.5, notes=["late"]),
        Row("Cy", results=[Result("unreadable", notes=["empty"])]),
        Row("Di"),
    ]
    found = cells(book.gradebook(rows, ["1"]))
    assert found[0] == ["student", *TASKS, "total", "status", "notes"]
    assert found[1][:3] == ["Al", "2", "1"]
    assert found[1][-3:] == ["25", "graded", ""]
    assert found[2][-3:] == ["12.5", "graded", "late"]
    assert found[3] == ["Cy", *[""] * len(TASKS), "0", "unreadable", "empty"]
    assert found[4][-2:] == ["nothing handed in", ""]


@pytest.mark.parametrize("text", [*FORMULAS, *BAD, 'quote " and, comma', "two\nlines"])
def test_no_cell_is_a_formula_and_each_row_stays_a_row(text):
    found = cells(book.gradebook([row(text, notes=[text]), row("Zo")], ["1"]))
    assert len(found) == 3
    assert {len(line) for line in found} == {len(TASKS) + 4}
    assert found[1][0] == found[1][-1]
    assert found[1][0] in (text, f"'{text}", f"'{text}".replace("\r", " "))
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in found[1])


@pytest.mark.parametrize("text", BAD)
def test_nothing_of_a_student_s_is_more_than_text_on_a_page(text):
    one = row(text, notes=[text], says=[text], code=text, release=text)
    one.notes.append(text)
    one.results.append(Result(text, text, notes=[text]))
    for page in (book.page(one, text), book.summary([one, row("Zo")], ["1"], text)):
        seen = Seen(page)
        assert set(seen.tags) <= TAGS
        assert not [name for _, name, _ in seen.attributes if name.startswith("on") or name in ("href", "src")]
        assert ("meta", "content", book.POLICY) in seen.attributes
        assert seen.tags.count("meta") == 3
        assert page.index("Content-Security-Policy") < page.index("<title>")
        assert text in seen.text
    assert "script-src" not in book.POLICY
    assert "default-src 'none'" in book.POLICY


def test_who_is_not_graded_yet_has_no_points_anywhere():
    """Not even those of another lab: a total without this one would be taken for all of it."""
    waits = Row("Löfgren, Åsa Maria", "77", [row("x").results[0], Result(NOT_GRADED, notes=["the grader failed"])])
    rows = [row("lovelaceada", user="1234"), waits]
    found = cells(book.gradebook(rows, ["1"]))
    assert found[2][-3:] == ["", "graded, not graded", "the grader failed"]
    text, missing = book.canvas(rows, EXPORT, "Lab 1")
    assert [line[1] for line in cells(text)[2:]] == ["1234"]
    assert not missing
    assert "not graded yet" in Seen(book.page(waits, "")).text
    summary = book.summary(rows, ["1"], "")
    assert "2 students, 1 not graded yet" in Seen(summary).text
    assert "ten steps: 0, 0, 0, 0, 0, 0, 0, 0, 0, 1" in summary


def test_a_file_that_several_write_at_once_is_whole(tmp_path):
    together = threading.Barrier(8)

    def write(i):
        together.wait()
        for _ in range(20):
            book.write(tmp_path / "a", str(i) * 10_000)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(write, range(8)))
    assert len(set((tmp_path / "a").read_text())) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_page_shows_each_task_and_the_answer():
    one = row("Al", 0, kind=STOPPED, says=["It could not be finished: it ended the kernel."], code="os._exit(0)")
    seen = Seen(book.page(one, "seed 5"))
    for number, task in TASKS.items():
        assert f"{number} {task.title}" in seen.text
    assert seen.text.count("it ended the kernel") == seen.text.count("os._exit(0)") == len(TASKS)
    assert "seed 5" in seen.text


@pytest.mark.parametrize("text", [chr(0xD800), chr(0xDCFF), "a\0b", "\x1b[31m", "\u202e", "\U0001f600"])
def test_a_page_with_half_a_character_is_written(tmp_path, text):
    one = row("Al", notes=[text], says=[text], code=text)
    for name, made in (("page", book.page(one, "")), ("csv", book.gradebook([one], ["1"]))):
        book.write(tmp_path / name, made)
        assert "Al" in (tmp_path / name).read_text("utf8")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["csv", "page"]


def test_a_file_is_written_at_once_or_not_at_all(tmp_path, monkeypatch):
    book.write(tmp_path / "a", "old")
    monkeypatch.setattr(book.os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(OSError, match="No space"):
        book.write(tmp_path / "a", "new")
    assert (tmp_path / "a").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


EXPORT = """\ufeffStudent,ID,SIS User ID,SIS Login ID,Section,Lab 1 (77),Quiz (78),Final Score
    Points Possible,,,,,25,10,(read only)
"Lovelace, Ada",1234,s1,ada1,A,,9,90
"Löfgren, Åsa Maria",77,s2,asa2,A,3,,
"Kim, Min",8,s3,min3,B,,,
"Kim, Min",9,s4,min4,B,,,
"=1+1, X",10,s5,login5,B,,,
"Student, Test",11,,test,A,,,
"""


def test_canvas_import():
    rows = [
        row("lovelaceada", 1.0, "1234"), row("löfgrenåsamaria", 0.5), row("LOGIN5", 0.2), row("nobody", 1.0),
        row("kimmin", 0.4, "9"),
    ]  # fmt: skip
    text, missing = book.canvas(rows, EXPORT, "Lab 1")
    found = cells(text)
    assert found[0] == ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "Lab 1 (77)"]
    assert found[1] == ["    Points Possible", "", "", "", "", "25"]
    assert [(line[1], line[-1]) for line in found[2:]] == [("1234", "25"), ("77", "12.5"), ("9", "10"), ("10", "5")]
    assert missing == ["nobody"]


def test_canvas_names_in_pieces_are_the_same_names():
    """A Mac writes å as a and a ring."""
    text, missing = book.canvas([row("lo\u0308fgrena\u030asamaria")], EXPORT, "Lab 1")
    assert not missing
    assert cells(text)[2][1] == "77"


def test_two_students_of_one_name_are_not_mixed_up():
    text, missing = book.canvas([row("kimmin"), row("lovelaceada")], EXPORT, "Lab 1")
    assert [line[1] for line in cells(text)[2:]] == ["1234"]
    assert missing == ["kimmin"]


def test_a_number_of_canvas_is_no_login():
    text, missing = book.canvas([row("x", user="5")], EXPORT.replace("login5", "5"), "Lab 1")
    assert len(cells(text)) == 2
    assert missing == ["x"]


def test_a_new_column_and_an_export_that_is_none():
    text, _ = book.canvas([row("x", user="8")], EXPORT, "Lab 9")
    assert cells(text)[0][-1] == "Lab 9"
    assert cells(text)[1:] == [["    Points Possible", *[""] * 5], ["Kim, Min", "8", "s3", "min3", "B", "25"]]
    for wrong in ("", "a,b\n1,2\n", "Student\nx\n"):
        with pytest.raises(ValueError, match="no export"):
            book.canvas([], wrong, "Lab 1")


def test_the_summary_counts_known_mistakes_and_puts_the_hardest_first():
    wrong = [row(f"w{i}", 0.5, kind=WRONG) for i in range(3)]
    for one in wrong:
        one.results[0].grades["1.2"].mistake = 0
    wrong[0].results[0].grades["1.3"].mistake = 1
    wrong[0].results[0].grades["1.9"] = Grade(0, 3, OPEN)
    page = book.summary([*wrong, row("r"), Row("empty", results=[Result("unreadable")])], ["1"], "")
    text = Seen(page).text
    assert "5 students" in text
    said = {number: [mistake.says for mistake in task.mistakes] for number, task in TASKS.items()}
    part = page.split("Known mistakes")[1]
    rows = [line.split("<td")[1:] for line in part.split("<tr>")[2:]]
    assert [(cells[0][-7:-5].strip(">"), cells[1][1:4]) for cells in rows] == [("3", "1.2"), ("1", "1.3")]
    assert said["1.2"][0] in text
    assert said["1.3"][1] in text
    assert said["1.3"][0] not in text
    hardest = page.split("hardest first")[1]
    assert hardest.index("1.9 ") < hardest.index("1.1 ")
    assert "0, 0, 0, 0, 2" in page or "ten steps: 1," in page


def test_a_summary_of_nobody():
    assert "0 students" in book.summary([], ["1"], "")
