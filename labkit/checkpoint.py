"""A training run on disk, so that one that was killed goes on exactly; knows nothing of what is trained."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch


class WrongCheckpoint(ValueError):
    """A file is no checkpoint of this model and training; the message says which, and what to do."""


def save_run(path: Path | str | None, parts: Mapping[str, Any], losses: list[float]) -> None:
    """Write the state of each part (a network, an optimizer, ...) and the losses: at once or not at all.

    path: None writes nothing; its folder is made.
    """
    if path is None:
        return
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {name: part.state_dict() for name, part in parts.items()}
    torch.save({**state, "losses": losses}, path.with_suffix(".tmp"))
    os.replace(path.with_suffix(".tmp"), path)


def resume_run(path: Path | str | None, parts: Mapping[str, Any]) -> list[float]:
    """Give each part its state in the file and return the losses; [], and nothing is touched, where there is no file.

    A "scaler" may be absent from the file: in float32 and bf16, where a run may have begun, there is none. Raises
    WrongCheckpoint where the file is damaged or of other parts.
    """
    if path is None or not Path(path).is_file():
        return []
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        for name, part in parts.items():
            if name in state or name != "scaler":
                part.load_state_dict(state[name])
        return list(state["losses"])
    except Exception as problem:
        reason = (str(problem).strip() or type(problem).__name__).splitlines()[0]
        raise WrongCheckpoint(
            f"{path} does not belong to this model and training ({reason}); remove it or name another"
        ) from None
