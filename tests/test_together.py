"""Two processes on one CPU, started as CONTRIBUTING.md says: they train as one does, stop together, and one writes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import together

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    """What each of the two processes found."""
    out = tmp_path_factory.mktemp("together")
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [*start, together.__file__, out], env=environment, capture_output=True, text=True, timeout=400
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads((out / f"{rank}.json").read_text()) for rank in (0, 1)]


def test_two_processes_train_as_one_does_with_the_whole_batch(found: list[dict]):
    alone, losses = together.run(device="cpu")
    weights = [value for part in alone.parameters() for value in part.flatten().tolist()]
    for one in found:
        assert one["losses"] == pytest.approx(losses, rel=1e-5)
        assert one["weights"] == pytest.approx(weights, abs=1e-5)
        assert one["again"] == one["losses"], "the checkpoint is there when `train` returns"
        assert one["other precision"] == 8


def test_where_the_time_is_over_for_one_all_stop(found: list[dict]):
    assert found[0]["steps"] == found[1]["steps"]
    assert 0 < found[0]["steps"] < 200


def test_a_batch_that_cannot_be_shared_out_is_refused(found: list[dict]):
    for one in found:
        for size, said in zip((1, 33), one["refusals"], strict=True):
            assert said == f"batch_size={size} for 2 processes; give a multiple of 2, so that all images count the same"


def test_one_process_writes_and_prints(found: list[dict]):
    assert found[0]["printed"].startswith("2 of 2 steps done")
    assert found[0]["written"] == ["save_pipeline", "save_curve"]
    assert found[1]["printed"] == ""
    assert found[1]["written"] == []
