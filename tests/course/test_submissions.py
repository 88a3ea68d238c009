"""What a class hands in is found, whatever the files, folders, zips and students are called, and nothing gets out."""

import errno
import io
import os
import zipfile

import pytest

from labkit.course import submissions as room
from labkit.course.submissions import NoRoom, NoSubmissions, clean, find

NOTEBOOK = b'{"cells": []}'
ODD = [
    "Ada Lovelace",
    'O\'Brien, "Bob"',
    "=1+1",
    "李小龙",
    "Зоя",
    "عائشة",
    "-rf",
    "$(id)",
    "a;b",
    "%s",
    "<b>",
    "~",
    "A\nB",
]


def files(folder, *names):
    """Notebooks of these names; returns the folder."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(NOTEBOOK)
    return folder


def packed(path, members, compression=zipfile.ZIP_DEFLATED):
    """A zip with these members: {name: bytes}."""
    with zipfile.ZipFile(path, "w", compression) as out:
        for name, raw in members.items():
            out.writestr(name, raw)
    return path


def inner(members):
    """The bytes of a zip."""
    return packed(held := io.BytesIO(), members) and held.getvalue()


def students(found):
    return [one.student for one in found]


@pytest.fixture
def class_(tmp_path):
    (tmp_path / "class").mkdir()
    return tmp_path / "class"


@pytest.fixture
def scratch(tmp_path):
    (tmp_path / "scratch").mkdir()
    return tmp_path / "scratch"


def test_one_file_a_student(class_, scratch):
    files(class_, "Bo.ipynb", "Al.IPYNB", ".x.ipynb", ".ipynb_checkpoints/Bo-checkpoint.ipynb", "__MACOSX/._Bo.ipynb")
    (class_ / "readme.txt").write_text("hello")
    (class_ / "grades.csv").write_text("a,b")
    (class_ / "Cy.docx").write_bytes(b"x")
    assert students(find(class_, scratch)) == ["Al", "Bo", "Cy.docx"]


def test_a_notebook_that_a_browser_saved_under_another_name_is_a_students(class_, scratch):
    files(class_, "Al.ipynb", "Bo.ipynb.txt", "leeann_124_457_01_forward_encoder.ipynb.txt", "kimmin_125_458_01.json")
    files(class_, "roe_126_459_answers.md", "Ed/01.ipynb.txt", "Fi/01.IPYNB")
    (class_ / "Cy.json").write_text('{"cells": [{"cell_type": "code"}]}')
    (class_ / "release.json").write_text("{}")
    (class_ / "readme.txt").write_text("Bo.ipynb")
    found = find(class_, scratch)
    text, json = (["its name ends in .txt, not in .ipynb"], ["its name ends in .json, not in .ipynb"])
    assert [(one.student, one.user, one.notes) for one in found] == [
        ("Al", "", []), ("Bo", "", text), ("Cy", "", json), ("Ed", "", text), ("Fi", "", []), ("kimmin", "125", json),
        ("leeann", "124", text), ("roe", "126", []),
    ]  # fmt: skip


def test_a_full_disk_stops_the_class_and_is_no_student_s_fault(class_, scratch, monkeypatch):
    (class_ / "Al.zip").write_bytes(inner({"01.ipynb": NOTEBOOK}))
    for number in (errno.ENOSPC, errno.EDQUOT):

        def full(*_, number=number):
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(room.shutil, "copyfileobj", full)
        with pytest.raises(NoRoom, match=r"no room to unpack Al\.zip.*TMPDIR.*run the same again"):
            find(files(class_, "Bo.ipynb"), scratch / str(number))


def test_one_student_may_not_unpack_as_much_as_a_class(tmp_path, class_, scratch, monkeypatch):
    monkeypatch.setattr(room, "OF_ONE", 2**20)
    raw = inner({f"{i}.ipynb": bytes(2**18) for i in range(6)})
    (class_ / "Bo.zip").write_bytes(raw)
    found = find(files(class_, "Al.ipynb"), scratch / "one")
    assert [one.student for one in found] == ["Al", "Bo"]
    assert found[1].notes == ["Bo.zip unpacks to more than 1 MiB"]
    (tmp_path / "all.zip").write_bytes(raw)
    assert len(find(tmp_path / "all.zip", scratch / "all")) == 6


def test_one_folder_a_student_with_all_that_comes_along(class_, scratch):
    files(class_, "Al/01.ipynb", "Al/data/other.ipynb", "Al/.ipynb_checkpoints/01-copy.ipynb", "Al/labkit/x.ipynb")
    files(class_, "Bo/course/notebooks/01.ipynb", "Bo/course/notebooks/02.ipynb")
    (class_ / "Cy").mkdir()
    files(class_, "Di/report.pdf", "Ed/notes.txt")
    found = find(class_, scratch)
    assert students(found) == ["Al", "Bo", "Bo", "Cy", "Di", "Ed"]
    names = [one.path.name for one in found]
    assert names == ["01.ipynb", "01.ipynb", "02.ipynb", "nothing.ipynb", "report.pdf", "notes.txt"]
    assert [one.notes for one in found] == [[], [], [], *[["no notebook in it"]] * 3]


def test_a_single_notebook_and_nothing(class_, scratch):
    assert students(find(files(class_, "me.ipynb") / "me.ipynb", scratch)) == ["me"]
    for source in (class_ / "none", scratch):
        with pytest.raises(NoSubmissions):
            find(source, scratch)


@pytest.mark.parametrize("zipped", [False, True])
def test_odd_names(class_, scratch, zipped):
    files(class_, *[f"{name}.ipynb" for name in ODD], "x" * 200 + ".ipynb")
    if zipped:
        members = {path.name: NOTEBOOK for path in class_.iterdir()}
        class_ = packed(class_.parent / "class.zip", members)
    found = find(class_, scratch)
    assert sorted(students(found)) == sorted([clean(name) for name in ODD] + ["x" * 100])
    assert all(one.path.read_bytes() == NOTEBOOK for one in found)
    assert all(len(name) <= 100 and name.isprintable() for name in students(found))


def test_a_name_that_is_no_text(class_, scratch):
    with open(os.path.join(os.fsencode(class_), b"\xff\xfe.ipynb"), "wb") as out:
        out.write(NOTEBOOK)
    (one,) = find(class_, scratch)
    assert one.student.encode()
    assert one.path.read_bytes() == NOTEBOOK


def test_two_students_whose_names_only_look_alike_stay_two(class_, scratch):
    files(class_, "A\nB.ipynb", "A B.ipynb", *["x" * 150 + f"{i}.ipynb" for i in range(3)])
    files(class_, "Al.ipynb", "Al/01.ipynb")  # but this is one
    assert len(set(students(find(class_, scratch)))) == 6


def test_canvas_names(class_, scratch):
    files(class_, "lovelaceada_1234_567_01_encoder.ipynb", "lovelaceada_LATE_1234_568_01_encoder-1.ipynb")
    files(class_, "löfgrenåsa_LATE_77_99_my_file.ipynb", "no_canvas_name.ipynb", "kimmin_8_9_all.zip/x.ipynb")
    found = find(class_, scratch)
    assert [(one.student, one.user, one.notes) for one in found] == [
        ("kimmin", "8", []),
        ("lovelaceada", "1234", []),
        ("lovelaceada", "1234", ["handed in late"]),
        ("löfgrenåsa", "77", ["handed in late"]),
        ("no_canvas_name", "", []),
    ]


def test_a_zip_of_a_folder_and_zips_inside(tmp_path, scratch):
    members = {
        "lab1/Al.ipynb": NOTEBOOK, "lab1/Bo/01.ipynb": NOTEBOOK, "lab1/Bo/data/x.ipynb": NOTEBOOK,
        "lab1/Cy_1_2_all.zip": inner({"a/b/01.ipynb": NOTEBOOK}), "lab1/Di.zip": inner({"x.txt": b"x"}),
        "__MACOSX/lab1/._Al.ipynb": b"",
    }  # fmt: skip
    found = find(packed(tmp_path / "all.zip", members), scratch)
    assert [(one.student, one.user, one.path.name) for one in found] == [
        ("Al", "", "Al.ipynb"), ("Bo", "", "01.ipynb"), ("Cy", "1", "01.ipynb"), ("Di", "", "x.txt"),
    ]  # fmt: skip


def link(name, target):
    """A zip's member that is a link."""
    member = zipfile.ZipInfo(name)
    member.create_system, member.external_attr = 3, 0o120777 << 16
    return member, target


def test_nothing_of_a_zip_leaves_its_folder(tmp_path, scratch):
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as out:
        bad = ["../up.ipynb", "/abs.ipynb", "a/../../up2.ipynb", "..\\up3.ipynb", "C:\\up4.ipynb", "C:up5.ipynb"]
        for name in [*bad, "y" * 300 + ".ipynb", "Al.ipynb", "./Bo.ipynb"]:
            out.writestr(name, NOTEBOOK)
        out.writestr(*link("Li.ipynb", "/etc/passwd"))
        out.writestr(*link("dir", str(tmp_path)))
        out.writestr("dir/through.ipynb", NOTEBOOK)
    found = find(tmp_path / "all.zip", scratch)
    assert students(found) == ["Al", "Bo", "dir"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all.zip", "scratch"]
    assert not list(tmp_path.glob("*.ipynb"))
    assert sum("left out of all.zip" in note for note in found[0].notes) == len(bad) + 3
    assert not any(path.is_symlink() for path in scratch.rglob("*"))


def test_links_in_a_folder_are_not_followed(tmp_path, class_, scratch):
    (tmp_path / "secret.ipynb").write_bytes(NOTEBOOK)
    (class_ / "Al.ipynb").symlink_to(tmp_path / "secret.ipynb")
    (class_ / "Bo").symlink_to(tmp_path)
    files(class_, "Cy/01.ipynb")
    (class_ / "Cy" / "02.ipynb").symlink_to(tmp_path / "secret.ipynb")
    (class_ / "Cy" / "all").symlink_to(tmp_path)
    found = find(class_, scratch)
    assert [(one.student, one.path.exists()) for one in found] == [("Al", False), ("Bo", False), ("Cy", True)]
    assert all("a link" in one.notes[0] for one in found[:2])


def damaged():
    """{name: bytes} of zips that cannot be unpacked, each in a way of its own."""
    good = inner({"01.ipynb": NOTEBOOK * 500})
    start = good.index(b"01.ipynb") + 8
    encrypted = bytearray(inner({"01.ipynb": NOTEBOOK}))
    for where, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        encrypted[encrypted.index(where) + at] |= 1
    unknown = bytearray(good)
    for where, at in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        unknown[unknown.index(where) + at] = 77
    not_text = inner({"ü1.ipynb": NOTEBOOK}).replace("ü".encode(), b"\xff\xff")
    return {
        "flate": good[:start] + bytes(4) + b"\xff" * 8 + good[start + 12 :],
        "crc": good.replace(good[14:18], b"\1\2\3\4"),
        "encrypted": bytes(encrypted),
        "method": bytes(unknown),
        "name": not_text,
        "cut": good[:40] + good[start + 20 :],
        "deep": inner({"a/" * 1500 + "01.ipynb": NOTEBOOK}),
        "both": inner({"a": b"x", "a/01.ipynb": NOTEBOOK}),
    }


@pytest.mark.parametrize("kind", damaged())
def test_a_student_s_damaged_zip_is_a_row_and_the_others_are_there(class_, scratch, kind):
    files(class_, "Al.ipynb", "Zo/01.ipynb")
    (class_ / "Mo.zip").write_bytes(damaged()[kind])
    found = find(class_, scratch)
    assert students(found) == ["Al", "Mo", "Zo"]
    assert found[1].notes
    assert not found[0].notes


@pytest.mark.parametrize("kind", [kind for kind in damaged() if kind != "encrypted"])
def test_a_class_s_damaged_zip_is_said_in_words(tmp_path, scratch, kind):
    (tmp_path / "all.zip").write_bytes(damaged()[kind])
    with pytest.raises(NoSubmissions, match=r"all\.zip"):
        find(tmp_path / "all.zip", scratch)


def test_a_bomb_is_not_unpacked(tmp_path, class_, scratch, monkeypatch):
    monkeypatch.setattr(room, "LARGEST", 2**20)
    monkeypatch.setattr(room, "OF_ONE", 2**20)
    monkeypatch.setattr(room, "MOST", 50)
    bomb = inner({f"{i}.ipynb": bytes(2**18) for i in range(6)})
    many = inner({f"{i}.ipynb": b"" for i in range(60)})
    for raw, words in ((bomb, "more than 1 MiB"), (many, "60 files")):
        (tmp_path / "all.zip").write_bytes(raw)
        with pytest.raises(NoSubmissions, match=words):
            find(tmp_path / "all.zip", scratch / words)
        (class_ / "Bo.zip").write_bytes(raw)
        found = find(files(class_, "Al.ipynb"), scratch / f"in the class, {words}")
        assert students(found) == ["Al", "Bo"]
        assert words in found[1].notes[0]
    assert sum(path.stat().st_size for path in scratch.rglob("*") if path.is_file()) < 3 * 2**20
