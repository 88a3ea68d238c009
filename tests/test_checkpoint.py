"""checkpoint: what fp16 needs to go on exactly is kept, too; train.py's tests have the rest."""

from pathlib import Path

import torch

from labkit.checkpoint import resume_run, save_run


def scaler(start: float) -> torch.amp.GradScaler:
    """What scales the loss in fp16, so that small gradients survive."""
    return torch.amp.GradScaler("cpu", init_scale=start)


def test_the_scale_of_the_loss_goes_on(tmp_path: Path) -> None:
    used = scaler(1024.0)
    weight = torch.nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([weight], lr=0.1)
    used.scale(weight.sum() * torch.inf).backward()  # an overflow halves it
    used.step(optimizer)
    used.update()
    save_run(tmp_path / "run.pt", {"scaler": used}, [1.0])
    anew = scaler(2.0**16)
    assert resume_run(tmp_path / "run.pt", {"scaler": anew}) == [1.0]
    assert anew.state_dict() == used.state_dict()
    assert anew.get_scale() == 512.0


def test_a_run_may_go_on_in_another_precision(tmp_path: Path) -> None:
    """Begun on a CPU in bf16, ended on Colab's T4 in fp16, or the other way round."""
    net = torch.nn.Linear(2, 1)
    save_run(tmp_path / "bf16.pt", {"model": net}, [1.0])
    assert resume_run(tmp_path / "bf16.pt", {"model": net, "scaler": scaler(4.0)}) == [1.0]
    save_run(tmp_path / "fp16.pt", {"model": net, "scaler": scaler(4.0)}, [2.0])
    assert resume_run(tmp_path / "fp16.pt", {"model": net}) == [2.0]
