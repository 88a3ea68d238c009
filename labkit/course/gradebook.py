"""What a grader gets: a page and a JSON file a student, gradebook.csv, Canvas' import, and a summary of the class.

Everything of a student's is text here: escaped on pages, harmless in a spreadsheet's cell. Files are written to a
temporary one and renamed. This file knows nothing of how a grade came about.
"""

import csv
import html
import io
import os
import secrets
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labkit.course.grading import GRADED, NOT_GRADED, Result
from labkit.exercises.check import BORROWED, OPEN
from labkit.exercises.report import SIGNS, WORDS
from labkit.exercises.task import find, tasks

STYLE = """body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; } td, th { padding: .3rem .8rem; text-align: left; border-bottom: 1px solid #ccc; }
td.n { text-align: right; }
td:first-child { min-width: 14rem; }
pre { background: #f4f4f4; padding: .6rem; overflow-x: auto; white-space: pre-wrap; }
.right { color: #00694c; } .wrong, .stopped, .borrowed { color: #a34700; } .open { color: #555; }
.bar { background: #0072b2; height: 1rem; } svg text { font: 13px system-ui, sans-serif; }"""
POLICY = "default-src 'none'; style-src 'unsafe-inline'"  # a page runs nothing and fetches nothing


@dataclass
class Row:
    """A student of the class: the results of all labs handed in."""

    student: str
    user: str = ""
    results: list[Result] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def grades(self) -> dict[str, Any]:
        """Every task's grade by its number."""
        return {number: grade for result in self.results for number, grade in result.grades.items()}

    @property
    def total(self) -> float:
        """The sum of the points."""
        return sum(result.points for result in self.results)

    @property
    def waits(self) -> bool:
        """Whether something handed in is not graded yet: then the row has no total."""
        return any(result.status == NOT_GRADED for result in self.results)

    @property
    def worth(self) -> str:
        """The total for a table; nothing where it is not known yet."""
        return "" if self.waits else f"{self.total:g}"

    @property
    def status(self) -> str:
        """graded, or why not."""
        kinds = {result.status for result in self.results}
        return GRADED if kinds == {GRADED} else ", ".join(sorted(kinds)) or "nothing handed in"


def write(path: Path, text: str) -> None:
    """Write a file at once or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")  # others may write it, too
    try:
        temporary.write_text(text, "utf8", errors="replace")  # half a character, as JSON can hold it, stops nobody
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def harmless(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    text = text.replace("\r", " ")  # the csv module leaves it unquoted, and a spreadsheet begins a new row there
    return f"'{text}" if text.lstrip()[:1] in ("=", "+", "-", "@") or text[:1] == "\t" else text


def gradebook(rows: list[Row], labs: Iterable[str]) -> str:
    """gradebook.csv: student, a column a task, total, status, notes."""
    numbers = [number for lab in labs for number in tasks(lab)]
    lines = [["student", *numbers, "total", "status", "notes"]]
    for row in rows:
        points = [f"{row.grades[number].points:g}" if number in row.grades else "" for number in numbers]
        notes = "; ".join(dict.fromkeys([*row.notes, *(note for result in row.results for note in result.notes)]))
        lines.append([harmless(row.student), *points, row.worth, row.status, harmless(notes)])
    return _csv(lines)


def _csv(lines: list[list[str]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(lines)
    return out.getvalue()


def canvas(rows: list[Row], export: str, column: str) -> tuple[str, list[str]]:
    """Canvas' import from Canvas' own export: its rows with the points in `column`; and who could not be found in it.

    A student is found by Canvas' number where the file names had it, else by name, login or SIS id. Raises ValueError
    where the export has no column "Student" or no column "ID".
    """
    lines = list(csv.reader(io.StringIO(export.removeprefix("\ufeff"))))
    if not lines or not {"Student", "ID"} <= set(lines[0]):
        raise ValueError("the file is no export of Canvas' gradebook: it has no columns Student and ID")
    head = lines[0]
    fixed = [i for i, name in enumerate(head) if name in ("Student", "ID", "SIS User ID", "SIS Login ID", "Section")]
    place = next((i for i, name in enumerate(head) if name == column or name.startswith(f"{column} (")), None)
    by_id = {row.user: row for row in rows if row.user}  # a row that waits is found, too, and left out below
    keyed = [(_key(row.student), row) for row in rows if not row.user]
    names = [_key(cells.get("Student", "")) for cells in (dict(zip(head, line, strict=False)) for line in lines[1:])]
    by_key = {key: row for key, row in keyed if [other for other, _ in keyed].count(key) == 1 and names.count(key) < 2}
    out, used = [[head[i] for i in fixed] + [head[place] if place is not None else column]], set()
    for line in lines[1:]:
        cells = dict(zip(head, line, strict=False))
        if "Points Possible" in cells.get("Student", ""):
            out.append([line[i] if i < len(line) else "" for i in fixed] + [line[place] if place is not None else ""])
            continue
        keys = [_key(cells.get(name, "")) for name in ("Student", "SIS Login ID", "SIS User ID")]
        row = by_id.get(cells.get("ID", "")) or next((by_key[key] for key in keys if key in by_key), None)
        if row is not None:
            used.add(id(row))
            if not row.waits:
                out.append([line[i] if i < len(line) else "" for i in fixed] + [row.worth])
    return _csv(out), [row.student for row in rows if id(row) not in used]


def _key(name: str) -> str:
    """«Löfgren, Åsa Maria» as Canvas writes it in file names: lofgrenasamaria is löfgrenåsamaria, without signs."""
    return "".join(letter for letter in unicodedata.normalize("NFC", name).lower() if letter.isalnum())


def page(row: Row, stamp: str) -> str:
    """A student's page: points, what each task's answer was found to be, and the answer itself."""
    parts = [f"<h1>{_text(row.student)}: {'not graded yet' if row.waits else f'{row.worth} points'}</h1>"]
    for note in row.notes:
        parts.append(f"<p>{_text(note)}</p>")
    for result in row.results:
        parts.append(f"<h2>Lab {_text(result.lab) or '?'}: {result.points:g} of {result.of} points</h2>")
        parts += [
            f"<p>{_text(note)}</p>" for note in [*([] if result.status == GRADED else [result.status]), *result.notes]
        ]
        for number, grade in result.grades.items():
            title = f"{SIGNS[grade.kind]} {number} {find(number).title}: {WORDS[grade.kind]}"
            worth = f"{grade.points:g} of {grade.of}"
            parts.append(f'<h3 class="{_text(grade.kind)}">{_text(title)}, {worth}</h3>')
            parts += [f"<p>{_text(line)}</p>" for line in grade.says]
            if number in result.code:
                parts.append(
                    f"<details><summary>Your answer</summary><pre>{_text(result.code[number])}</pre></details>"
                )
    return _page(row.student, [*parts, f"<p><small>{_text(stamp)}</small></p>"])


def summary(rows: list[Row], labs: Iterable[str], stamp: str) -> str:
    """The class on one page: the distribution, the hardest tasks first, and how often each known mistake was made."""
    known = [row for row in rows if not row.waits]
    waiting = f", {len(rows) - len(known)} not graded yet" if len(known) < len(rows) else ""
    parts = [f"<h1>{len(rows)} students{waiting}</h1>", _histogram(known), "<h2>Tasks, the hardest first</h2>"]
    scores = []
    for number in [number for lab in labs for number in tasks(lab)]:
        grades = [row.grades[number] for row in rows if number in row.grades]
        if grades:
            scores.append((sum(grade.points / grade.of for grade in grades) / len(grades), number, grades))
    lines = []
    for share, number, grades in sorted(scores, key=lambda score: score[0]):
        bar = f'<div class=bar style="width:{share * 8:.2f}rem"></div>'
        counts = "".join(f"<td class=n>{sum(grade.kind == kind for grade in grades)}</td>" for kind in WORDS)
        title = f"{number} {_text(find(number).title)}"
        lines.append(f"<tr><td>{title}</td><td class=n>{share:.0%}</td><td>{bar}</td>{counts}</tr>")
    heads = "".join(f"<th>{_text(kind)}</th>" for kind in WORDS)
    parts.append(f"<table><tr><th>task</th><th>mean</th><th></th>{heads}</tr>{''.join(lines)}</table>")
    parts += ["<h2>Known mistakes</h2>", _mistakes(scores), f"<p><small>{_text(stamp)}</small></p>"]
    return _page("Summary", parts)


def _mistakes(scores: list[tuple[float, str, list[Any]]]) -> str:
    found = []
    for _, number, grades in scores:
        for i, mistake in enumerate(find(number).mistakes):
            count = sum(grade.mistake == i for grade in grades)
            found += [(count, number, mistake.says)] if count else []
    lines = [f"<tr><td class=n>{count}</td><td>{number}</td><td>{_text(says)}</td></tr>"
             for count, number, says in sorted(found, key=lambda row: -row[0])]  # fmt: skip
    return f"<table><tr><th>how often</th><th>task</th><th>what was said</th></tr>{''.join(lines)}</table>"


def _histogram(rows: list[Row]) -> str:
    """The distribution of the totals as a picture, ten bars."""
    most = max((sum(result.of for result in row.results) for row in rows), default=0) or 1
    counts = [0] * 10
    for row in rows:
        counts[min(9, int(10 * row.total / most))] += 1
    tall = max(counts) or 1
    bars = ""
    for i, n in enumerate(counts):
        high, middle = 100 * n / tall, 40 * i + 21
        bars += f'<rect x="{middle - 17}" y="{130 - high:.1f}" width="34" height="{high:.1f}" fill="#0072b2"/>'
        bars += f'<text x="{middle}" y="{125 - high:.1f}" text-anchor="middle">{n or ""}</text>'
        bars += f'<text x="{middle}" y="147" text-anchor="middle">{most * i / 10:.3g}</text>'
    told = f"<p>Students by points: each bar is {most / 10:.3g} points wide and begins at the number below it.</p>"
    words = f"Students by points, of {most}, in ten steps: {', '.join(map(str, counts))}"
    size = 'viewBox="0 0 410 152" width="615" role="img"'
    return f'<svg {size} aria-label="{words}"><title>{words}</title>{bars}</svg>{told}'


def _page(title: str, parts: list[str]) -> str:
    head = f'<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{POLICY}">'
    head += f'<meta name="viewport" content="width=device-width"><title>{_text(title)}</title><style>{STYLE}</style>'
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{"".join(parts)}</body></html>\n'


def _text(words: str) -> str:
    return html.escape(words)


def plain(row: Row) -> str:
    """The grades of one student as text, for a terminal."""
    lines = []
    for result in row.results:
        lines.append(
            f"{row.student}, lab {result.lab or '?'}: {result.points:g} of {result.of} points ({result.status})"
        )
        lines += [f"  note: {note}" for note in result.notes]
        for number, grade in result.grades.items():
            lines.append(f"{SIGNS[grade.kind]} {number} {find(number).title}: {grade.points:g} of {grade.of}")
            told = grade.says or ([WORDS[grade.kind]] if grade.kind in (OPEN, BORROWED) else [])
            lines += [f"     {line}" for line in told]
    return "\n".join(lines)
