"""Marks in first lines, and stubs in the place of solutions."""

import pytest

from labkit.exercises.cells import Mark, is_untouched, mark, mark_line, without_magics, without_solution

FUNCTION = '''# TASK 1.3 points=3: One step
def step(z):
    """Doc."""
    ### BEGIN SOLUTION
    twice = 2 * z
    return twice
    ### END SOLUTION
'''
VALUE = """# TASK 1.1 points=2: A pair
### BEGIN SOLUTION
low: float = 1
high = low + 1  # two
assert low == 1
### END SOLUTION
"""


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("# TASK 1.3 points=3: One step\nx", Mark("TASK", "1.3", 3, "One step")),
        ("\n\n#TASK  12.10   points=10:   Spaces  \nx", Mark("TASK", "12.10", 10, "Spaces")),
        ("# TASK 1.3\n", Mark("TASK", "1.3")),
        ("# CHECK 1.3\nlabkit.check('1.3', f)", Mark("CHECK", "1.3")),
        ("# HIDDEN 2.1", Mark("HIDDEN", "2.1")),
        ("# SETUP\nimport math", Mark("SETUP")),
        ("# SOLVED: it agrees with labkit", Mark("SOLVED")),
        ("x = 1\n# TASK 1.3", None),
        ("# a task 1.3", None),
        ("# TASKS 1.3", None),
        ("", None),
        ("%%time\n# TASK 1.3 points=3: One step\nx", Mark("TASK", "1.3", 3, "One step")),
        (
            "# my answer\n\nimport numpy as np\nfrom math import (\n    pi,\n    sqrt,\n)\n%matplotlib inline\n!ls\n"
            "?x\n# TASK 1.3 points=3: One step\nx",
            Mark("TASK", "1.3", 3, "One step"),
        ),
        ("import math\nx = 1\n# TASK 1.3 points=3: One step", None),
        ("# a helper for\n# TASK 1.3\ndef f(): pass", None),
        ("# a remark\n# SETUP", None),
        ("# TASK 1.1: a" + " " * 100_000 + "b", None),
        ("# TASK 1.1: " + "long " * 100, None),
        ("# TASK 1.1 points=" + "9" * 5000, None),
    ],
)
def test_the_first_line_says_what_a_cell_is(source, found):
    assert mark(source) == found


def test_the_line_of_the_mark_is_found():
    assert mark_line("# TASK 1.3\nx") == 0
    assert mark_line("\n%%time\n\nimport math\n# TASK 1.3 points=3: One step\nx") == 4


def test_a_solution_inside_a_function_becomes_an_error():
    stub = without_solution(FUNCTION, "1.3")
    assert stub.splitlines()[-1] == '    raise NotImplementedError("1.3: your turn")'
    assert "twice" not in stub
    assert '"""Doc."""' in stub
    assert is_untouched(stub)
    world = {}
    exec(stub, world)
    with pytest.raises(NotImplementedError, match=r"1\.3: your turn"):
        world["step"](1)


def test_a_value_becomes_dots():
    stub = without_solution(VALUE, "1.1")
    assert stub.splitlines() == ["# TASK 1.1 points=2: A pair", "low = ...  # your turn", "high = ...  # your turn"]
    assert is_untouched(stub)
    assert not is_untouched(VALUE)


@pytest.mark.parametrize(
    "source",
    [
        FUNCTION.replace("### BEGIN SOLUTION", ""),
        FUNCTION.replace("### END SOLUTION", ""),
        FUNCTION + "### BEGIN SOLUTION\n### END SOLUTION",
        "### END SOLUTION\nx = 1\n### BEGIN SOLUTION",
        "### BEGIN SOLUTION\nprint(1)\n### END SOLUTION",
    ],
)
def test_a_task_without_a_clear_solution_is_refused(source):
    with pytest.raises(ValueError, match=r"task 1\.3"):
        without_solution(source, "1.3")


STUB = 'def f(x):\n    """Twice.?"""\n    raise NotImplementedError("1.3: your turn")'


@pytest.mark.parametrize(
    "source",
    [
        STUB, f"%%time\n# a remark\n{STUB}", STUB.replace('    """Twice.?"""\n', ""), "a = ...\nb = ...  # your turn",
        STUB.replace("Twice.?", "Twice.\n\n    what?\n    "),
    ],
)  # fmt: skip
def test_a_stub_is_untouched(source):
    assert is_untouched(source)


@pytest.mark.parametrize(
    "source",
    [
        "# my_pixel = ...  # your turn\nmy_pixel = -0.2",
        "my_pixel = ...  # your turn\nmy_pixel = -0.2",
        "my_pixel = -0.2  # not = ...  # your turn",
        STUB.replace("raise", "# raise") + "\n    return 2 * x",
        STUB.replace("    raise", "    return 2 * x\n    raise"),
        STUB + "\n    return 2 * x",  # to be finished, and nothing of it may be lost
        STUB + "\ndef f(x): return 2 * x",
        'def f(x):\n    if x:\n        return 2 * x\n    raise NotImplementedError("1.3: your turn")',
        "text = 'raise NotImplementedError(\"1.3: your turn\")'",
        'def f(x:\n    raise NotImplementedError("1.3: your turn")',
        "x = " + "-" * 90_000 + "1",
        "",
    ],
)
def test_what_is_more_than_a_stub_is_touched(source):
    assert not is_untouched(source)


def test_magics_go_and_what_only_looks_like_one_stays():
    text = "%%time\n!ls\n%time x = f(3)\n  %timeit f(3)\nmath.sqrt?\n?f\ny = (5\n  % 3)  # so what?\n  # why?"
    assert without_magics(text) == "x = f(3)\ny = (5\n  % 3)  # so what?\n  # why?"
