"""The command `labkit`: what doctor says of a good tree and of a damaged one."""

import hashlib
import http.server
import threading
from collections import namedtuple

import nbformat
import psutil
import pytest
from click.testing import CliRunner

from labkit import cli, data
from labkit import doctor as room

FILES = (
    "fashion-mnist/train-images-idx3-ubyte.xz",
    "pretrained/fashion/unet/weights.safetensors",
    "pretrained/classifier/model.safetensors",
    "samples/fashion-50.png",
    "emoji/noto.webp",
    "pretrained/emoji/unet/weights.safetensors",
)


def memory(monkeypatch, free_gib):
    state = namedtuple("State", "available total")(free_gib * 2**30, 16 * 2**30)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: state)


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A course in small: six data files with their checksums, a quick U-Net step, enough memory."""
    lines = []
    for name in FILES:
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True)
        path.write_bytes(name.encode())
        lines.append(f"{hashlib.sha256(name.encode()).hexdigest()}  {name}\n")
    (tmp_path / "data" / "SHA256SUMS").write_text("".join(lines))
    monkeypatch.setattr(data, "ROOT", tmp_path)
    monkeypatch.setattr(room, "unet_seconds", lambda device: 2 * room.REFERENCE_STEP)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    memory(monkeypatch, 8)
    data.checksums.cache_clear()
    yield tmp_path
    data.checksums.cache_clear()


def doctor():
    result = CliRunner().invoke(cli.main, ["doctor"])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def test_doctor_of_a_good_tree_names_everything_and_scales_the_seconds(tree):
    code, output = doctor()
    assert code == 0, output
    for word in ("python 3", "torch 2", "diffusers", "device: ", "memory: 8.0 of 16.0 GiB", "offline (HF_HUB_OFFLINE"):
        assert word in output
    for name in FILES:
        assert f"data/{name}: ok" in output
    for lab, (seconds, _) in room.LABS.items():
        assert f"{lab}: ready, about {float(f'{2 * seconds:.1g}'):.0f} s" in output
    assert str(tree) not in output  # no path of a machine


@pytest.mark.parametrize("harm", ["damage", "remove"])
def test_doctor_names_a_bad_file_and_fails_only_the_labs_that_read_it(tree, harm):
    path = tree / "data" / FILES[1]
    path.write_bytes(b"flipped") if harm == "damage" else path.unlink()
    code, output = doctor()
    assert code == 1
    assert f"data/{FILES[1]}: {'damaged' if harm == 'damage' else 'missing'}" in output
    assert f"git checkout -- data/{FILES[1]}" in output
    for lab, (_, folders) in room.LABS.items():
        assert f"{lab}: {'cannot run' if 'pretrained/fashion' in folders else 'ready'}" in output


def test_doctor_fails_where_a_folder_is_not_listed_at_all(tree):
    (tree / "data" / "SHA256SUMS").write_text("")
    code, output = doctor()
    assert code == 1
    assert "01: cannot run, data/fashion-mnist is missing" in output


@pytest.mark.parametrize("content", [None, "no list"])
@pytest.mark.parametrize("words", [["doctor"], ["train", "fashion"], ["train", "emoji"], ["evaluate"]], ids="-".join)
def test_a_bad_list_of_files_is_one_sentence_and_no_traceback(tree, words, content):
    listed = tree / "data" / "SHA256SUMS"
    listed.unlink() if content is None else listed.write_text(content)
    result = CliRunner().invoke(cli.main, words)
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == 1
    bad = "missing" if content is None else "damaged: give lines of a SHA-256 and a name"
    assert result.stderr == f"Error: data/SHA256SUMS is {bad}; restore it with: git checkout -- data/SHA256SUMS\n"


@pytest.mark.parametrize("harm", ["damaged", "missing"])
def test_a_bad_file_is_one_sentence_and_no_traceback(tree, harm):
    path = tree / "data" / FILES[0]
    path.write_bytes(b"flipped") if harm == "damaged" else path.unlink()
    result = CliRunner().invoke(cli.main, ["train", "fashion", "--out", str(tree / "runs")])
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: data/{FILES[0]} is {harm}")
    assert result.stderr.count("\n") == 1


def test_a_mistake_in_the_program_keeps_its_traceback(tree, monkeypatch):
    def mistaken():
        raise ValueError("too many values to unpack")

    monkeypatch.setattr(room, "examine", mistaken)
    assert isinstance(CliRunner().invoke(cli.main, ["doctor"]).exception, ValueError)


def test_doctor_fails_where_a_package_or_memory_is_missing(tree, monkeypatch):
    monkeypatch.setattr(room, "PACKAGES", ("labkit", "surely-not-there"))
    code, output = doctor()
    assert code == 1
    assert "surely-not-there MISSING" in output
    assert "02: cannot run, surely-not-there missing" in output
    monkeypatch.setattr(room, "PACKAGES", ("labkit",))
    memory(monkeypatch, 1)
    code, output = doctor()
    assert code == 1
    assert "3 GiB of free memory" in output


def test_doctor_tells_online_from_offline(monkeypatch):
    from huggingface_hub import constants

    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
    threading.Thread(target=server.handle_request, daemon=True).start()
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    assert room._network() == "online"
    server.server_close()
    assert room._network().startswith("offline (the Hub does not answer)")


@pytest.mark.slow
def test_the_unet_step_is_really_measured():
    assert 0 < room.unet_seconds("cpu") < 60


READS = {
    "fashion_mnist(": "fashion-mnist",
    "data.emoji": "emoji",
    'load_pretrained("fashion"': "pretrained/fashion",
    "load_classifier(": "pretrained/classifier",
    'load_painter("emoji"': "pretrained/emoji",
    "stored_samples(": "samples",
    "stored_steps(": "samples",
    'verified("samples/': "samples",
}


@pytest.mark.parametrize("path", sorted((data.ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_the_doctors_table_has_what_a_lab_reads(path):
    code = "".join(cell.source for cell in nbformat.read(path, 4).cells if cell.cell_type == "code")
    assert set(room.LABS[path.name[:2]][1]) == {folder for call, folder in READS.items() if call in code}
