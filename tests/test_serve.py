"""tools/serve.py: a server that answers is handed over and ended; one that does not gets one sentence, in time."""

import importlib.util
import sys
import time
import urllib.request
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent
ANSWERS = "lab:\n\t@mkdir -p api; exec {} -m http.server --bind 127.0.0.1 $(PORT)\n"


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The tool, to run make in an empty folder."""
    spec = importlib.util.spec_from_file_location("serve", ROOT / "tools" / "serve.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    return module


def recipe(folder: Path, text: str) -> None:
    """What `make lab` does there."""
    (folder / "Makefile").write_text(text)


def test_the_address_is_given_when_it_answers_and_all_ends_with_the_block(serve: ModuleType, tmp_path: Path) -> None:
    recipe(tmp_path, ANSWERS.format(sys.executable))
    with serve.lab("notebooks", 30) as address:
        assert urllib.request.urlopen(f"{address}/api/", timeout=5).status == 200
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"{address}/api/", timeout=5)


def test_make_gets_port_folder_words_and_environment(serve: ModuleType, tmp_path: Path) -> None:
    recipe(tmp_path, 'lab:\n\t@echo "$(PORT) $(NOTEBOOKS) $(ARGS) $$COLOUR"; exit 1\n')
    with (
        pytest.raises(serve.NoServer, match=r"said: \d+ my-folder --no-browser --IdentityProvider.token=t grey$"),
        serve.lab("my-folder", 30, COLOUR="grey"),
    ):
        pytest.fail("there is no server")


def test_a_server_that_ends_says_its_last_words_at_once(serve: ModuleType, tmp_path: Path) -> None:
    recipe(tmp_path, "lab:\n\t@echo starting; echo no room here; exit 3\n")
    started = time.monotonic()
    with pytest.raises(serve.NoServer) as found, serve.lab("notebooks", 60):
        pytest.fail("there is no server")
    assert time.monotonic() - started < 20
    assert str(found.value) == "`make lab` ended with exit status 2; the last that it said: no room here"


def test_a_server_that_never_answers_is_given_up_and_ended(serve: ModuleType, tmp_path: Path) -> None:
    recipe(tmp_path, "lab:\n\t@echo thinking; touch here; sleep 600; touch survived\n")
    started = time.monotonic()
    with pytest.raises(serve.NoServer) as found, serve.lab("notebooks", 1):
        pytest.fail("there is no server")
    assert time.monotonic() - started < 20
    assert str(found.value) == "`make lab` did not answer within 1 s; the last that it said: thinking"
    assert (tmp_path / "here").exists()


def test_what_fails_inside_the_block_ends_the_server_too(serve: ModuleType, tmp_path: Path) -> None:
    recipe(tmp_path, ANSWERS.format(sys.executable))
    with pytest.raises(ZeroDivisionError), serve.lab("notebooks", 30) as address:
        1 / 0  # noqa: B018
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"{address}/api/", timeout=5)
