"""What can go wrong between here and the Hub, in words: was there an answer, is a download whole, why did it fail.

It loads no weights (`pretrained` does) and knows nothing of diffusion.
"""

import hashlib
import json
from pathlib import Path

BUNDLED = {  # what to do instead where a model was to draw from captions (True) or without (False)
    False: "use a bundled model instead, such as load_pretrained('fashion')",
    True: "use the bundled load_painter('emoji') instead",
}


class ModelUnavailable(ValueError):
    """A model cannot be had here and now; the message is one sentence that says why and what to do."""


def answered(error: Exception, http_error: type[Exception]) -> bool:
    """True where the Hub itself said no (not found, gated, a bad id), False where nobody could be reached."""
    status = getattr(getattr(error, "response", None), "status_code", 500)
    return isinstance(error, ValueError) or (isinstance(error, http_error) and status < 500)


def weights_size(repository: str, revision: str | None = None, variant: str | None = None) -> int:
    """The bytes of weights that a diffusers pipeline of the Hub reads: safetensors in its folders, those of `variant`.

    Raises what the Hub's client raises where it is not reached.
    """
    from huggingface_hub import HfApi

    files = HfApi().list_repo_tree(repository, recursive=True, revision=revision)
    weights = {file.path: file.size for file in files if file.path.endswith(".safetensors") and "/" in file.path}
    kind = {path: Path(path).name.removesuffix(".safetensors").partition(".")[2] for path in weights}
    return sum(size for path, size in weights.items() if kind[path] == (variant or ""))


def check_kind(repository: str, index: dict, words: bool) -> None:
    """Raise ModelUnavailable where model_index.json (`index`) names a pipeline that labkit's formulas do not fit.

    With words that is all but StableDiffusionPipeline: XL and 3 have two or three text encoders and other inputs.
    Without, it is all whose network is told more than z_t and t. A small file says it before gigabytes are read.
    """
    kind = index.get("_class_name")
    if words and kind != "StableDiffusionPipeline":
        wanted = "a Stable Diffusion of the first two generations, with one text encoder"
    elif not words and index.get("unet", [None])[-1] != "UNet2DModel":
        wanted = "an unconditional DDPM"
    else:
        return
    raise ModelUnavailable(f"{repository} is a {kind}, not {wanted}; {BUNDLED[words]}.")


def check_blobs(repository: str, folder: Path) -> None:
    """Compare the weights in the Hub's cache with their SHA-256, which is the name of the file linked to."""
    for path in folder.rglob("*.safetensors"):
        expected = path.readlink().name if path.is_symlink() else ""
        if len(expected) != 64:  # a file that the Hub lists without a SHA-256
            continue
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != expected:
            path.resolve().unlink()
            path.unlink()
            raise ModelUnavailable(
                f"{repository} is not available: the download of {path.name} is damaged (expected SHA-256 {expected}, "
                f"found {found}) and was removed; run this again to download it anew."
            )


def reason(error: Exception) -> str:
    """Why the Hub's client failed, in a few words."""
    from huggingface_hub import errors

    first = (str(error).strip() or type(error).__name__).splitlines()[0][:120].rstrip(".:;")
    text = str(error)
    reasons = [
        (isinstance(error, errors.OfflineModeIsEnabled), "offline mode is on (HF_HUB_OFFLINE=1)"),
        (isinstance(error, errors.GatedRepoError), "it is gated: accept its terms on huggingface.co and log in"),
        (isinstance(error, errors.RepositoryNotFoundError), "the Hub has no such repository, or it is private"),
        (isinstance(error, errors.HFValidationError), "this is no Hub id, which reads owner/name"),
        (isinstance(error, errors.EntryNotFoundError), "it holds no diffusers pipeline, or a file of it is missing"),
        ("safetensors" in text and ("not find" in text or "no file named" in text), "it has no safetensors weights"),
        ("remote_code" in text or "custom code" in text, "it needs code of its own to run, which labkit never runs"),
        ("Consistency check failed" in text, "the download broke off, so run this again"),
        (isinstance(error, json.JSONDecodeError), "its model_index.json is damaged"),
        (isinstance(error, errors.HfHubHTTPError), f"the Hub answers with an error ({first})"),
        (type(error).__module__.startswith("http"), f"the Hub cannot be reached or broke off ({type(error).__name__})"),
    ]
    return next((words for holds, words in reasons if holds), f"{type(error).__name__} ({first})")
