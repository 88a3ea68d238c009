"""Finds what a class handed in: a folder or a zip, one file or folder a student, or the names of Canvas' bulk download.

A zip is unpacked into a scratch folder, member by member, and nothing of it leaves that folder. This file knows nothing
of what is in the notebooks.
"""

import contextlib
import errno
import lzma
import re
import shutil
import unicodedata
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

CANVAS = re.compile(r"(?P<name>[^_]+)_(?:(?P<late>LATE)_)?(?P<user>\d+)_(?P<file>\d+)_(?P<rest>.+)")
IGNORED = {"__MACOSX", ".ipynb_checkpoints", "data", "labkit"}  # what comes along when a whole folder is handed in
BESIDE = {".csv", ".txt", ".md", ".json"}  # files beside the students' that are none of theirs, by their names
LARGEST, MOST, DEEPEST = 2**30, 20_000, 50  # bytes unpacked, files, and folders in each other, of one zip
OF_ONE = 100 * 2**20  # bytes unpacked of one student's zip: the whole course with its data has 60 MiB


class NoSubmissions(ValueError):
    """There is nothing to grade; the message says why."""


class NoRoom(NoSubmissions):
    """The disk is full: nobody's fault, and no grade; the message says what to do."""


@dataclass
class Submission:
    """One file of one student. user: the student's number where Canvas gave it; notes: for the grader."""

    student: str
    path: Path
    user: str = ""
    notes: list[str] = field(default_factory=list)


def find(source: Path, scratch: Path) -> list[Submission]:
    """Every submission in a folder, a zip, or a single notebook, in the order of the students' names.

    scratch: an empty folder for what a zip holds. Raises NoSubmissions, and NoRoom where that is full.
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
    found, names = [], {}
    for entry in sorted(folder.iterdir()):
        if entry.name in IGNORED or entry.name.startswith(".") or _beside(entry):
            continue
        if entry.is_symlink():
            new = [Submission(clean(entry.stem), Path("/nonexistent"), notes=["it is a link, which is not followed"])]
        elif entry.is_dir():
            new = _of_folder(entry)
        elif zipfile.is_zipfile(entry) and entry.suffix.lower() == ".zip":
            new = _of_zip(entry, scratch / f"zip-{len(found)}")
        else:
            new = [_of_file(entry)]
        for one in new:  # two students whose names only look alike, once they can be printed, stay two
            alike = names.setdefault((one.student, one.user), [])
            alike += [key] if (key := _stem(entry.name)) not in alike and not one.user else []
            one.student += f" ({alike.index(key) + 1})" if alike and alike[0] != key else ""
        found += new
    if not found:
        raise NoSubmissions(f"{source} holds no submissions; give a folder with one notebook or one folder a student")
    for one in found:
        one.notes = notes + one.notes
    return sorted(found, key=lambda one: (one.student, str(one.path)))


def _beside(entry: Path) -> bool:
    """Whether a file is none of a student's. Browsers save a notebook as x.ipynb.txt or x.json: that one is."""
    if entry.suffix.lower() not in BESIDE or not entry.is_file():
        return False
    if CANVAS.fullmatch(entry.name) or ".ipynb" in entry.name.lower():
        return False
    with contextlib.suppress(OSError), entry.open("rb") as opened:
        return b'"cell_type"' not in opened.read(2**20)
    return True


def _only_folder(folder: Path) -> Path:
    """A zip of a folder has that folder inside: go in, unless it is a student's."""
    entries = [entry for entry in folder.iterdir() if entry.name not in IGNORED and not entry.name.startswith(".")]
    if len(entries) == 1 and entries[0].is_dir():
        inside = entries[0]
        notebooks, others = list(inside.glob("*.ipynb")), [*inside.glob("*.zip"), *inside.glob("*/*.ipynb")]
        if not notebooks:
            return _only_folder(inside)
        if len(notebooks) > 1 or any(path.parent.name not in IGNORED for path in others):
            return inside
    return folder


def _of_folder(folder: Path, name: str = "") -> list[Submission]:
    """A student's folder: all notebooks in it, however deep; without one, a row that says so."""
    student, user, notes = _who(name or folder.name)
    paths = [
        path
        for path in sorted(folder.rglob("*"))
        if ".ipynb" in path.name.lower()
        and path.is_file()
        and not path.is_symlink()
        and not IGNORED & set(path.relative_to(folder).parts[:-1])
    ]
    if not paths:
        others = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
        return [
            Submission(student, others[0] if others else folder / "nothing.ipynb", user, [*notes, "no notebook in it"])
        ]
    return [Submission(student, path, user, notes + _odd_name(path)) for path in paths]


def _of_zip(archive: Path, folder: Path) -> list[Submission]:
    """A student's zip; one that cannot be unpacked is a row that says so."""
    try:
        inner, said = unpack(archive, folder, OF_ONE)
    except NoRoom:
        raise
    except NoSubmissions as why:
        student, user, notes = _who(archive.name)
        return [Submission(student, folder / "nothing.ipynb", user, [*notes, str(why)])]
    return [Submission(one.student, one.path, one.user, said + one.notes) for one in _of_folder(inner, archive.name)]


def _of_file(path: Path) -> Submission:
    student, user, notes = _who(path.name)
    return Submission(student, path, user, notes + _odd_name(path))


def _odd_name(path: Path) -> list[str]:
    return [f"its name ends in {path.suffix}, not in .ipynb"] if path.suffix.lower() in (".txt", ".json") else []


def _who(name: str) -> tuple[str, str, list[str]]:
    """(student, Canvas' number, notes) from the name of a file or folder."""
    found = CANVAS.fullmatch(name)
    if found:
        return clean(found["name"]), found["user"], ["handed in late"] if found["late"] else []
    return clean(_stem(name)), "", []


def _stem(name: str) -> str:
    return re.sub(r"(\.ipynb(\.txt|\.json)?|\.zip|\.json)$", "", name, flags=re.IGNORECASE)


def clean(name: str) -> str:
    """A name that can be printed: no control characters, no line breaks, at most 100 characters."""
    kept = "".join(" " if unicodedata.category(letter)[0] in "CZ" else letter for letter in name)
    return " ".join(kept.split())[:100] or "(no name)"


def unpack(archive: Path, folder: Path, largest: int = 0) -> tuple[Path, list[str]]:
    """The members of a zip as files under `folder`, and notes on those that were left out.

    largest: bytes, LARGEST by default. Raises NoSubmissions, and NoRoom where the disk is full.
    """
    largest = largest or LARGEST
    notes, total = [], 0
    folder.mkdir(parents=True)
    try:
        with zipfile.ZipFile(archive) as opened:
            members = [member for member in opened.infolist() if not member.is_dir()]
            if len(members) > MOST:
                raise NoSubmissions(f"{clean(archive.name)} holds {len(members)} files; at most {MOST} are unpacked")
            for member in members:
                target = _inside(folder, member.filename)
                is_link = (member.external_attr >> 16) & 0o170000 == 0o120000
                total += member.file_size
                if target is None or is_link or member.flag_bits & 1:
                    notes.append(f"left out of {clean(archive.name)}: {clean(member.filename)}")
                    continue
                if total > largest:
                    raise NoSubmissions(f"{clean(archive.name)} unpacks to more than {largest // 2**20} MiB")
                target.parent.mkdir(parents=True, exist_ok=True)
                with opened.open(member) as source, target.open("wb") as out:
                    shutil.copyfileobj(source, out)
    except NoSubmissions:
        raise
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, OSError, RuntimeError, EOFError, ValueError) as problem:
        if getattr(problem, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
            raise NoRoom(
                f"{folder.parent} has no room to unpack {clean(archive.name)}: make room there, or name another place "
                "with TMPDIR=, and run the same again"
            ) from None
        raise NoSubmissions(
            f"{clean(archive.name)} cannot be unpacked ({clean(str(problem))}); download it again"
        ) from None
    return folder, notes


def _inside(folder: Path, name: str) -> Path | None:
    """Where a member goes, or None for one that would leave the folder or has a name that no file can have."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if (
        not parts
        or parts[0] == "/"
        or ".." in parts
        or ":" in parts[0]
        or len(parts) > DEEPEST
        or any(len(part.encode()) > 250 for part in parts)
    ):
        return None
    return folder.joinpath(*(part.replace("\0", "") for part in parts))
