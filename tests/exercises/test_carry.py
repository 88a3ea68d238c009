"""Answers move from an older release into a newer one, and nothing is lost on the way."""

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from labkit.exercises.carry import HEADING, RELEASED, Unreadable, carry, digest

FIRST = "# TASK 1.1 points=2: One\nanswer = ...  # your turn"
SECOND = '# TASK 1.2 points=3: Two\ndef two(x):\n    raise NotImplementedError("1.2: your turn")'
LAST = "labkit.finish()"
DOTS, STUB = "...  # your turn", 'raise NotImplementedError("1.2: your turn")'


def released(*sources):
    """A notebook as `labkit release` writes it."""
    cells = [new_markdown_cell(s) if s.startswith("## ") else new_code_cell(s) for s in sources]
    for cell in cells:
        cell.metadata["labkit"] = {RELEASED: digest(cell.source)}
    return new_notebook(cells=cells, metadata={"labkit": {"release": "1"}})


def filled(notebook, change):
    """The notebook with the text of some cells changed."""
    for cell in notebook.cells:
        cell.source = change.get(cell.source, cell.source)
    return notebook


def saved(notebook, path):
    nbformat.write(notebook, path)
    return path


def sources(path):
    return [cell.source for cell in nbformat.read(path, as_version=4).cells]


@pytest.fixture
def old():
    own = new_code_cell("def helper(x):\n    return x + 1")
    notebook = filled(
        released("import labkit", FIRST, "# CHECK 1.1", SECOND, "# CHECK 1.2", LAST),
        {FIRST: FIRST.replace(DOTS, "42"), SECOND: SECOND.replace(STUB, "return helper(x)")},
    )  # fmt: skip
    notebook.cells.insert(3, own)
    return notebook


def test_answers_and_own_cells_move(old, tmp_path):
    first = FIRST.replace("points=2: One", "points=4: Another title")
    new = released("import labkit", "## New words", first, "# CHECK 1.1", SECOND, "# CHECK 1.2", LAST)
    path = saved(new, tmp_path / "new.ipynb")
    said = carry(saved(old, tmp_path / "old.ipynb"), path)
    assert said == ["carried into new.ipynb: 1.1, a cell of your own, 1.2"]
    assert sources(path) == [
        "import labkit", "## New words", "# TASK 1.1 points=4: Another title\nanswer = 42", "# CHECK 1.1",
        "def helper(x):\n    return x + 1", "# TASK 1.2 points=3: Two\ndef two(x):\n    return helper(x)",
        "# CHECK 1.2", LAST,
    ]  # fmt: skip
    before = path.read_bytes()
    assert carry(tmp_path / "old.ipynb", path) == ["carried into new.ipynb: nothing, as nothing was new"]
    assert path.read_bytes() == before


def test_what_has_no_place_is_kept_as_text(old, tmp_path):
    old.cells[0].source += "\nimport numpy"  # a course cell that the student changed
    path = saved(released("import labkit", SECOND, "# CHECK 1.2", LAST), tmp_path / "new.ipynb")
    said = carry(saved(old, tmp_path / "old.ipynb"), path)
    assert "2 cell(s)" in said[1]
    *_, kept, last = sources(path)
    assert last == LAST
    assert kept.startswith(HEADING)
    assert "answer = 42" in kept
    assert "import numpy" in kept
    again = path.read_bytes()
    carry(tmp_path / "old.ipynb", path)
    assert path.read_bytes() == again


def test_an_answer_in_the_newer_one_stays_and_the_older_is_kept(old, tmp_path):
    mine = FIRST.replace(DOTS, "43")
    new = filled(released("import labkit", FIRST, "# CHECK 1.1", SECOND, LAST), {FIRST: mine})
    path = saved(new, tmp_path / "new.ipynb")
    carry(saved(old, tmp_path / "old.ipynb"), path)
    assert mine in sources(path)
    assert "answer = 42" in sources(path)[-2]


def test_lost_metadata_and_missing_ids_lose_nothing(old, tmp_path):
    for cell in old.cells:
        cell.metadata = {}
        del cell["id"]
    old.nbformat_minor = 4
    path = saved(released("import labkit", FIRST, "# CHECK 1.1", SECOND, "# CHECK 1.2", LAST), tmp_path / "new.ipynb")
    carry(saved(old, tmp_path / "old.ipynb"), path)
    assert [text for text in sources(path) if text not in {cell.source for cell in old.cells}] == []
    assert {cell.source for cell in old.cells} <= set(sources(path))


def test_an_answer_beside_its_stub_moves_with_all_that_stands_above_its_mark(tmp_path):
    done = f"%%time\nimport math\n{FIRST.replace('answer', '# answer')}\nanswer = 42"
    begun = SECOND.replace(STUB, f"y = 2 * x\n    {STUB}")
    one = saved(filled(released(FIRST, SECOND, LAST), {FIRST: done, SECOND: begun}), tmp_path / "old.ipynb")
    other = saved(released(FIRST.replace("2: One", "4: Uno"), SECOND, LAST), tmp_path / "new.ipynb")
    assert carry(one, other) == ["carried into new.ipynb: 1.1, 1.2"]
    assert sources(other) == [done.replace("2: One", "4: Uno"), begun, LAST]
    assert carry(one, other) == ["carried into new.ipynb: nothing, as nothing was new"]


def test_untouched_tasks_do_not_move(tmp_path):
    one = saved(released(FIRST, LAST), tmp_path / "old.ipynb")
    other = saved(released(FIRST, LAST), tmp_path / "new.ipynb")
    assert carry(one, other) == ["carried into new.ipynb: nothing, as nothing was new"]


@pytest.mark.parametrize(
    ("content", "words"), [(None, "does not exist"), ("{", "cannot be read"), ('{"a": 1}', "cannot be read")]
)
def test_what_is_no_notebook_is_refused_and_the_new_one_left_alone(tmp_path, content, words):
    path, old = saved(released(FIRST), tmp_path / "new.ipynb"), tmp_path / "old.ipynb"
    if content is not None:
        old.write_text(content)
    before = path.read_bytes()
    with pytest.raises(Unreadable, match=words):
        carry(old, path)
    assert path.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted({"new.ipynb"} | ({"old.ipynb"} if content else set()))


def test_a_notebook_is_not_carried_into_itself(tmp_path):
    path = saved(released(FIRST), tmp_path / "new.ipynb")
    with pytest.raises(Unreadable, match="same file"):
        carry(path, path)
