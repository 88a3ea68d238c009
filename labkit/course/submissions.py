"""Finds what a class handed in: a folder or a zip, one file or folder a student, or the names of Canvas' bulk download.

A zip is unpacked into a scratch folder, member by member, and nothing of it leaves that folder. This file knows nothing
of what is in the notebooks.
"""

import re
import shutil
import unicodedata
import zipfile
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

CANVAS = re.compile(r"(?P<name>[^_]+)_(?:(?P<late>LATE)_)?(?P<user>\d+)_(?P<file>\d+)_(?P<rest>.+)")
IGNORED = {"__MACOSX", ".ipynb_checkpoints", "data", "labkit"}  # what comes along when a whole folder is handed in
LARGEST, MOST = 2**30, 20_000  # bytes unpacked, and files, of one zip


class NoSubmissions(ValueError):
    """There is nothing to grade; the message says why."""


@dataclass
class Submission:
    """One file of one student. user: the student's number where Canvas gave it; notes: for the grader."""

    student: str
    path: Path
    user: str = ""
    notes: list[str] = field(default_factory=list)


def find(source: Path, scratch: Path) -> list[Submission]:
    """Every submission in a folder, a zip, or a single notebook, in the order of the students' names.

    scratch: an empty folder for what a zip holds. Raises NoSubmissions.
    """
    notes: list[str] = []
    if source.is_dir():
        folder = source
    elif zipfile.is_zipfile(source):
        folder, notes = unpack(source, scratch / "unpacked")
    elif source.is_file():
        return [Submission(clean(source.stem), source)]
    else:
        raise NoSubmissions(f"{source} does not exist; give a folder, a zip or a notebook")
    folder = _only_folder(folder)
    found = []
    for entry in sorted(folder.iterdir()):
        if entry.name in IGNORED or entry.name.startswith("."):
            continue
        if entry.is_symlink():
            found.append(
                Submission(clean(entry.stem), Path("/nonexistent"), notes=["it is a link, which is not followed"])
            )
        elif entry.is_dir():
            found += _of_folder(entry)
        elif zipfile.is_zipfile(entry) and entry.suffix.lower() == ".zip":
            inner, said = unpack(entry, scratch / f"zip-{len(found)}")
            found += [Submission(s.student, s.path, s.user, said + s.notes) for s in _of_folder(inner, entry.name)]
        else:
            found.append(_of_file(entry))
    found = [one for one in found if one.path.suffix.lower() not in (".csv", ".txt", ".md", ".json")]
    if not found:
        raise NoSubmissions(f"{source} holds no submissions; give a folder with one notebook or one folder a student")
    for one in found:
        one.notes = notes + one.notes
    return sorted(found, key=lambda one: (one.student, str(one.path)))


def _only_folder(folder: Path) -> Path:
    """A zip of a folder has that folder inside: go in, unless it is a student's."""
    entries = [entry for entry in folder.iterdir() if entry.name not in IGNORED and not entry.name.startswith(".")]
    if len(entries) == 1 and entries[0].is_dir() and not list(entries[0].glob("*.ipynb")):
        return _only_folder(entries[0])
    if len(entries) == 1 and entries[0].is_dir() and len(list(entries[0].glob("*.ipynb"))) > 1:
        return entries[0]
    return folder


def _of_folder(folder: Path, name: str = "") -> list[Submission]:
    """A student's folder: all notebooks in it, however deep; without one, a row that says so."""
    student, user, notes = _who(name or folder.name)
    paths = [
        path
        for path in sorted(folder.rglob("*.ipynb"))
        if path.is_file() and not path.is_symlink() and not IGNORED & set(path.relative_to(folder).parts[:-1])
    ]
    if not paths:
        others = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
        return [
            Submission(student, others[0] if others else folder / "nothing.ipynb", user, [*notes, "no notebook in it"])
        ]
    return [Submission(student, path, user, list(notes)) for path in paths]


def _of_file(path: Path) -> Submission:
    student, user, notes = _who(path.name)
    return Submission(student, path, user, notes)


def _who(name: str) -> tuple[str, str, list[str]]:
    """(student, Canvas' number, notes) from the name of a file or folder."""
    found = CANVAS.fullmatch(name)
    if found:
        return clean(found["name"]), found["user"], ["handed in late"] if found["late"] else []
    return clean(re.sub(r"\.(ipynb|zip)$", "", name, flags=re.IGNORECASE)), "", []


def clean(name: str) -> str:
    """A name that can be printed: no control characters, no line breaks, at most 100 characters."""
    kept = "".join(" " if unicodedata.category(letter)[0] in "CZ" else letter for letter in name)
    return " ".join(kept.split())[:100] or "(no name)"


def unpack(archive: Path, folder: Path) -> tuple[Path, list[str]]:
    """The members of a zip as files under `folder`, and notes on those that were left out. Raises NoSubmissions."""
    notes, total = [], 0
    folder.mkdir(parents=True)
    try:
        with zipfile.ZipFile(archive) as opened:
            members = [member for member in opened.infolist() if not member.is_dir()]
            if len(members) > MOST:
                raise NoSubmissions(f"{archive.name} holds {len(members)} files; at most {MOST} are unpacked")
            for member in members:
                target = _inside(folder, member.filename)
                is_link = (member.external_attr >> 16) & 0o170000 == 0o120000
                total += member.file_size
                if target is None or is_link or member.flag_bits & 1:
                    notes.append(f"left out of {clean(archive.name)}: {clean(member.filename)}")
                    continue
                if total > LARGEST:
                    raise NoSubmissions(f"{archive.name} unpacks to more than {LARGEST // 2**20} MiB")
                target.parent.mkdir(parents=True, exist_ok=True)
                with opened.open(member) as source, target.open("wb") as out:
                    shutil.copyfileobj(source, out)
    except (zipfile.BadZipFile, OSError, NotImplementedError, EOFError) as problem:
        raise NoSubmissions(f"{archive.name} cannot be unpacked ({problem}); download it again") from None
    return folder, notes


def _inside(folder: Path, name: str) -> Path | None:
    """Where a member goes, or None for one that would leave the folder or has a name that no file can have."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if (
        not parts
        or parts[0] == "/"
        or ".." in parts
        or ":" in parts[0]
        or any(len(part.encode()) > 250 for part in parts)
    ):
        return None
    return folder.joinpath(*(part.replace("\0", "") for part in parts))
