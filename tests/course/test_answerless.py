"""The copy of labkit that answers meet while they are graded: what a lab asks for is not in it, and the rest is."""

import json
import subprocess
import sys

import pytest

from labkit.course.answerless import write
from labkit.data import ROOT
from labkit.exercises.task import labs

# what an answer may try, for each lab: each of these must raise Borrowed
GONE = {
    "1": ["NoiseSchedule([0.1, 0.2]).alpha", "NoiseSchedule([0.1, 0.2]).snr", "forward_step()"],
    "2": ["NoiseSchedule([0.1, 0.2]).alpha", "NoiseSchedule([0.1]).snr", "schedule.coefficients()", "diffuse()",
          "NoiseSchedule.linear(9).shortened(3).alpha"],
    "3": ["reverse_mean()", "posterior()", "epsilon_loss()", "exact_reverse()"],
    "4": ["NoiseSchedule.linear().times(10)", "NoiseSchedule.linear().shortened(10)", "ddim()", "predict_x()"],
    "5": ["guided()", "diffuse()", "forward_step()"],
    "6": ["ddim()", "quadratic_times()", "log_snr_times()", "ddim_eta()"],
    "7": ["evaluate.frechet_distance()", "evaluate.bootstrap_error()", "fidelity.precision_recall()",
          "fidelity.frechet_limit()", "fidelity._share_among()", "exact_model()"],
}  # fmt: skip
# what cells before an answer may rightly use
THERE = {
    "1": ["NoiseSchedule.linear(T=1000).alpha[-1]", "NoiseSchedule.linear(9).beta[2]", "NoiseSchedule([0.1]).T",
          "copy.copy(NoiseSchedule([0.1])).beta", "hasattr(NoiseSchedule([0.1]), 'gamma')"],
    "2": ["NoiseSchedule.cosine(T=1000).snr[5]", "NoiseSchedule.linear().alpha[3]"],
    "3": ["NoiseSchedule.linear().alpha", "NoiseSchedule([0.1, 0.2]).alpha"],
    "4": ["diffuse(NoiseSchedule([0.3]), torch.ones(1, 1), 1, torch.ones(1, 1))", "NoiseSchedule([0.3]).alpha"],
    "5": ["NoiseSchedule.linear().times(20)", "NoiseSchedule.linear().alpha"],
    "6": ["NoiseSchedule.linear().times(20)", "NoiseSchedule.linear().shortened(20).alpha"],
    "7": ["evaluate.nearest(torch.ones(2, 3), torch.ones(3, 3))", "NoiseSchedule.linear().alpha"],
}  # fmt: skip
TRY = """import copy, json, sys, torch, inspect
import labkit
from labkit import *
from labkit import evaluate, fidelity, schedule
from labkit.exercises.check import Borrowed
found = {}
for text in json.loads(sys.argv[1]):
    try:
        if text.endswith("()"):  # the body is gone, whatever it is called with
            f = eval(text[:-2])
            count = len(inspect.signature(f).parameters)
            f(*[None] * count)
        else:
            eval(text)
        found[text] = "there"
    except Borrowed:
        found[text] = "gone"
    except Exception as error:
        found[text] = repr(error)
print(json.dumps(found))
"""


@pytest.mark.parametrize("lab", labs())
def test_what_a_lab_asks_for_is_gone_and_the_rest_is_there(lab, tmp_path):
    course = write(tmp_path / "course", lab, data_as_link=True)
    texts = [*GONE[lab], *THERE[lab]]
    done = subprocess.run(
        [sys.executable, "-c", TRY, json.dumps(texts)], cwd=course, capture_output=True, text=True,
        env={"PYTHONPATH": str(course), "PATH": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {**dict.fromkeys(GONE[lab], "gone"), **dict.fromkeys(THERE[lab], "there")}
    assert str(ROOT) not in (course / "labkit" / "schedule.py").read_text("utf8")
