"""pretrained.py: the bundled model, saving without loss, and the Hub through its real client on 127.0.0.1."""

import hashlib
import http.server
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from diffusers import DDPMPipeline, DDPMScheduler, FlowMatchEulerDiscreteScheduler, UNet2DModel

import labkit
from labkit import data, pretrained
from labkit.pretrained import ModelUnavailable, known_models, load_pretrained, schedule_of
from labkit.schedule import NoiseSchedule
from labkit.store import save_pipeline

WEIGHTS = "unet/diffusion_pytorch_model.safetensors"
COMMIT = "0123456789abcdef" * 2 + "01234567"


def tiny_unet(seed: int = 0) -> UNet2DModel:
    """A U-Net of a few thousand weights for images (B, 1, 8, 8)."""
    torch.manual_seed(seed)
    blocks = {"down_block_types": ("DownBlock2D",) * 2, "up_block_types": ("UpBlock2D",) * 2}
    sizes = {"sample_size": 8, "block_out_channels": (8, 16), "layers_per_block": 1, "norm_num_groups": 4}
    return UNet2DModel(in_channels=1, out_channels=1, add_attention=False, **sizes, **blocks)


@pytest.fixture(scope="module")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline that save_pipeline wrote, with a schedule of 50 steps."""
    return save_pipeline(tiny_unet(), NoiseSchedule.linear(50), tmp_path_factory.mktemp("saved") / "tiny")


@pytest.fixture
def course(tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the course's data folder whose one bundled model is the tiny one, called "tiny"."""
    folder = tmp_path / "data" / "pretrained" / "tiny"
    shutil.copytree(tiny_folder, folder)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    lines = [f"{sha256(path)}  {path.relative_to(tmp_path / 'data').as_posix()}\n" for path in files]
    (tmp_path / "data" / "SHA256SUMS").write_text("".join(lines))
    monkeypatch.setattr(data, "ROOT", tmp_path)
    data.checksums.cache_clear()
    yield folder
    data.checksums.cache_clear()


def sha256(path: Path) -> str:
    """The digest as SHA256SUMS writes it."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def without_labkit(folder: Path) -> dict:
    """What a Python that never saw labkit finds in `folder`."""
    code = (
        "import sys, json, torch, diffusers\n"
        "p = diffusers.DDPMPipeline.from_pretrained(sys.argv[1], use_safetensors=True)\n"
        "z = torch.linspace(-1, 1, p.unet.config.sample_size ** 2).reshape(1, 1, p.unet.config.sample_size, -1)\n"
        "with torch.no_grad(): out = p.unet(z, 0).sample\n"
        "print(json.dumps({'labkit': 'labkit' in sys.modules, 'dtype': str(p.unet.dtype),\n"
        "  'out': out.flatten().tolist(),\n"
        "  'scheduler': {k: p.scheduler.config[k] for k in ('variance_type', 'clip_sample', 'beta_schedule',\n"
        "  'beta_start', 'beta_end', 'num_train_timesteps')}}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], cwd=folder, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


# ---- saving ----


@pytest.mark.slow
def test_a_saved_pipeline_loads_in_diffusers_without_labkit(tiny_folder: Path) -> None:
    found = without_labkit(tiny_folder)
    z = torch.linspace(-1, 1, 64).reshape(1, 1, 8, 8)
    with torch.no_grad():
        expected = tiny_unet()(z, 0).sample.flatten()
    assert not found["labkit"]
    assert found["dtype"] == "torch.float32"  # nothing has to be passed for it
    torch.testing.assert_close(torch.tensor(found["out"]), expected, atol=5e-3, rtol=0)  # stored as float16
    assert found["scheduler"] == {
        "variance_type": "fixed_large", "clip_sample": False, "beta_schedule": "linear",
        "beta_start": 1e-4, "beta_end": 0.02, "num_train_timesteps": 50,
    }  # fmt: skip


def test_weights_are_stored_as_float16_safetensors_only(tiny_folder: Path) -> None:
    from safetensors.torch import load_file

    stored = load_file(tiny_folder / WEIGHTS)
    assert {tensor.dtype for tensor in stored.values()} == {torch.float16}
    parameters = sum(parameter.numel() for parameter in tiny_unet().parameters())
    assert (tiny_folder / WEIGHTS).stat().st_size < 2 * parameters + 20_000
    assert not [path for path in tiny_folder.rglob("*") if path.suffix in {".bin", ".pt", ".pkl", ".ckpt"}]


def test_float32_and_channels_last_and_the_adapter_are_saved_without_loss(tmp_path: Path) -> None:
    unet = tiny_unet(1).to(memory_format=torch.channels_last)
    save_pipeline(labkit.UNet(unet), NoiseSchedule.linear(50), tmp_path / "model", dtype=torch.float32)
    loaded = DDPMPipeline.from_pretrained(tmp_path / "model").unet
    for key, value in unet.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[key], value, atol=0, rtol=0)


@pytest.mark.parametrize("schedule", [NoiseSchedule.linear(1000), NoiseSchedule.cosine(100), NoiseSchedule([0.5])])
def test_the_schedule_survives(schedule: NoiseSchedule, tmp_path: Path) -> None:
    save_pipeline(tiny_unet(), schedule, tmp_path / "model")
    again = schedule_of(DDPMPipeline.from_pretrained(tmp_path / "model").scheduler)
    assert again.T == schedule.T
    torch.testing.assert_close(again.alpha, schedule.alpha, atol=1e-6, rtol=0)


def test_saving_again_keeps_a_model_card_and_leaves_no_path_and_no_temporary_folder(tmp_path: Path) -> None:
    folder = save_pipeline(tiny_unet(0), NoiseSchedule.linear(50), tmp_path / "model")
    (folder / "README.md").write_text("card")
    loaded = DDPMPipeline.from_pretrained(folder).unet  # diffusers now remembers where it came from
    before = {key: value.clone() for key, value in loaded.state_dict().items()}
    save_pipeline(loaded, NoiseSchedule.cosine(20), folder)
    assert (folder / "README.md").read_text() == "card"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert all(str(tmp_path) not in path.read_text() for path in folder.rglob("*.json"))
    assert schedule_of(DDPMPipeline.from_pretrained(folder).scheduler).T == 20
    assert all(torch.equal(before[key], value) for key, value in loaded.state_dict().items())


@pytest.mark.parametrize("velocity", [False, True])
def test_what_the_network_predicts_is_saved_with_it(velocity: bool, tmp_path: Path) -> None:
    model = labkit.UNet(tiny_unet(), NoiseSchedule.linear(50), velocity)
    save_pipeline(model, model.schedule, tmp_path / "model")
    scheduler = DDPMPipeline.from_pretrained(tmp_path / "model").scheduler
    assert scheduler.config.prediction_type == ("v_prediction" if velocity else "epsilon")


def test_schedule_of_equals_the_table_of_diffusers() -> None:
    scheduler = DDPMScheduler(1000)
    alpha = schedule_of(scheduler).alpha
    torch.testing.assert_close(alpha[1:].float(), scheduler.alphas_cumprod, atol=1e-6, rtol=0)


@pytest.mark.parametrize("scheduler", [DDPMScheduler(10, prediction_type="sample"), FlowMatchEulerDiscreteScheduler()])
def test_schedule_of_refuses_what_predicts_neither_epsilon_nor_v(scheduler: object) -> None:
    with pytest.raises(ModelUnavailable, match="epsilon"):
        schedule_of(scheduler)


# ---- the course's own models ----


def test_a_bundled_model_is_called_with_the_times_of_the_lecture(course: Path) -> None:
    model = load_pretrained("tiny", "cpu")
    z = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    unet = DDPMPipeline.from_pretrained(course).unet
    assert model.schedule.T == 50
    for t in (1, 50):
        torch.testing.assert_close(model(z, t), unet(z, t - 1).sample.detach(), atol=1e-5, rtol=0)
        torch.testing.assert_close(model(z, torch.tensor([t, t])), model(z, t), atol=0, rtol=0)
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


@pytest.mark.parametrize("name", ["Tiny", "fashoin", "", "tin"])
def test_an_unknown_name_lists_the_known_ones(course: Path, name: str) -> None:
    assert known_models() == ["tiny"]
    with pytest.raises(ValueError, match="unknown; use one of: tiny, or a Hub id"):
        load_pretrained(name)


@pytest.mark.parametrize("file", [WEIGHTS, "unet/config.json", "scheduler/scheduler_config.json", "model_index.json"])
def test_a_damaged_or_missing_file_is_named_with_digests_and_remedy(course: Path, file: str) -> None:
    name = f"data/pretrained/tiny/{file}"
    expected = sha256(course / file)
    raw = bytearray((course / file).read_bytes())
    raw[-1] ^= 1
    (course / file).write_bytes(raw)
    with pytest.raises(data.DataError) as damaged:
        load_pretrained("tiny")
    (course / file).unlink()
    with pytest.raises(data.DataError) as missing:
        load_pretrained("tiny")
    found = hashlib.sha256(raw).hexdigest()
    for error, parts in (damaged, [expected, found]), (missing, [expected, "missing"]):
        message = str(error.value)
        assert message.startswith(name)
        assert all(part in message for part in [*parts, f"git checkout -- {name}"])
        assert str(data.ROOT) not in message


@pytest.mark.parametrize("name", ["emojis", "", "stabilityai/sd-turbo"])
def test_an_unknown_painter_lists_the_known_ones(name: str) -> None:
    with pytest.raises(ValueError, match=rf"model {name!r} is unknown; use one of: emoji$"):
        labkit.load_painter(name)


def test_a_model_of_the_other_kind_names_the_function_that_loads_it() -> None:
    with pytest.raises(ValueError, match=r"'fashion' draws without captions; load it with labkit\.load_pretrained"):
        labkit.load_painter("fashion")
    with pytest.raises(ValueError, match=r"'emoji' draws from captions; load it with labkit\.load_painter"):
        load_pretrained("emoji")


def test_a_painters_missing_weights_are_named_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(data.ROOT / "data", tmp_path / "data", ignore=lambda *_: ["fashion-mnist", "samples"])
    gone = "data/pretrained/emoji/vae/diffusion_pytorch_model.safetensors"
    (tmp_path / gone).unlink()
    monkeypatch.setattr(data, "ROOT", tmp_path)
    with pytest.raises(data.DataError, match=f"{gone} is missing .*git checkout -- {gone}"):
        labkit.load_painter()


def test_the_device_must_exist(course: Path) -> None:
    with pytest.raises(ValueError, match="device='cuda:99' is not available"):
        load_pretrained("tiny", "cuda:99")


class TestFashion:
    """The bundled model itself."""

    folder = data.ROOT / "data" / "pretrained" / "fashion"

    def test_it_is_known_and_listed_file_by_file(self) -> None:
        assert "fashion" in known_models()
        listed = {name for name in data.checksums() if name.startswith("pretrained/fashion/")}
        needed = {"model_index.json", "unet/config.json", WEIGHTS, "scheduler/scheduler_config.json"}
        assert {f"pretrained/fashion/{file}" for file in needed} <= listed

    def test_its_size(self) -> None:
        assert sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file()) <= 6e6
        parameters = sum(parameter.numel() for parameter in load_pretrained("fashion", "cpu").parameters())
        assert 1e6 <= parameters <= 4e6

    @pytest.mark.slow
    def test_diffusers_loads_it_without_labkit_and_gives_the_same(self) -> None:
        found = without_labkit(self.folder)
        assert not found["labkit"]
        assert found["scheduler"]["variance_type"] == "fixed_large"
        assert found["scheduler"]["clip_sample"] is False
        z = torch.linspace(-1, 1, 32 * 32).reshape(1, 1, 32, 32)
        model = load_pretrained("fashion", "cpu")
        torch.testing.assert_close(model.unet(z, 0).sample.flatten(), torch.tensor(found["out"]), atol=1e-4, rtol=0)

    def test_diffusers_and_labkit_take_the_same_x_from_it(self) -> None:
        """The library's own reading of the network's output, whatever it predicts, against ours."""
        pipeline, model = DDPMPipeline.from_pretrained(self.folder), load_pretrained("fashion", "cpu")
        z = torch.randn(2, 1, 32, 32, generator=torch.Generator().manual_seed(0))
        for t in (1, 300, 700):  # rounding of ε̂ grows with 1 / sqrt(α_t): 12 times at 700
            with torch.no_grad():
                step = pipeline.scheduler.step(pipeline.unet(z, t - 1).sample, t - 1, z)
                ours = labkit.predict_x(model.schedule, z, t, model(z, t))
            torch.testing.assert_close(ours, step.pred_original_sample, atol=3e-4, rtol=0)

    def test_it_predicts_noise(self) -> None:
        """On test images the guess of ε explains most of it: at T nearly all, halfway more than 3/4."""
        model = load_pretrained("fashion", "cpu")
        x = data.fashion_mnist("test")[0][:16]
        epsilon = torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
        for t, allowed in (model.schedule.T, 0.02), (model.schedule.T // 2, 0.25):
            z_t = labkit.diffuse(model.schedule, x, t, epsilon)
            assert (model(z_t, t) - epsilon).square().mean() < allowed

    def test_the_same_seed_draws_the_same_bits(self) -> None:
        """Loaded twice and in float32, with fresh noise at each step, bit for bit."""
        images = []
        for _ in range(2):
            model, noise = load_pretrained("fashion", "cpu"), torch.Generator().manual_seed(3)
            how = {"steps": 4, "generator": noise, "device": "cpu", "progress": False}
            images.append(labkit.sample(model, model.schedule, (3, 1, 32, 32), **how))
        assert images[0].dtype == torch.float32
        assert torch.equal(*images)


# ---- the Hub: its real client against a small server ----


class Hub(http.server.BaseHTTPRequestHandler):
    """Enough of the Hub's protocol for a download: model_info, the tree, HEAD and GET of a file.

    A repository is a folder under `server.root`. `server.fault[repository]` makes it misbehave.
    """

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Stay quiet."""

    def do_HEAD(self) -> None:
        """Same as GET, without the body."""
        self.do_GET()

    def do_GET(self) -> None:
        """Answer /api/models/owner/name[...] and /owner/name/resolve/main/path."""
        if self.server.stopped:  # a connection kept alive: cut it
            self.close_connection = True
            return
        if self.path == "/stop":
            self.server.stop()  # before the answer: whoever has read it finds the door closed
            return self.answer(200, b"bye")
        path = self.path.split("?")[0].strip("/")
        api = path.startswith("api/models/")
        self.server.asked.append(path)
        owner, name, *rest = path.removeprefix("api/models/").split("/")
        repository, folder = f"{owner}/{name}", self.server.root / owner / name
        fault = self.server.fault.get(repository)
        if fault == "busy":
            return self.answer(503, b"")
        if not folder.is_dir():  # the Hub says 401, not 404, to whoever is not logged in
            return self.answer(401, b"{}", {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"})
        files = sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())
        if fault == "pinned" and COMMIT not in rest:
            return self.answer(404, b"{}", {"X-Error-Code": "RevisionNotFound", "X-Error-Message": "No such revision"})
        if api and rest[:1] == ["tree"]:
            return self.answer(200, json.dumps([self.entry(folder, file) for file in files]).encode())
        if api:
            siblings = [{"rfilename": file} for file in files]
            info = {"id": repository, "modelId": repository, "sha": COMMIT, "siblings": siblings, "tags": []}
            return self.answer(200, json.dumps(info | {"private": False, "downloads": 0}).encode())
        file = "/".join(rest[2:])
        if fault == "gated":
            return self.answer(403, b"{}", {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access is restricted"})
        if file not in files:
            return self.answer(404, b"{}", {"X-Error-Code": "EntryNotFound", "X-Error-Message": "Entry not found"})
        self.send_file(folder / file, self.entry(folder, file), fault)

    @staticmethod
    def entry(folder: Path, file: str) -> dict:
        """One line of the tree: weights are LFS files whose oid is their SHA-256, the rest git blobs."""
        body = (folder / file).read_bytes()
        blob = hashlib.sha1(b"blob %d\0" % len(body) + body).hexdigest()
        entry = {"type": "file", "path": file, "size": len(body), "oid": blob}
        if file.endswith((".safetensors", ".bin")):
            entry["lfs"] = {"oid": hashlib.sha256(body).hexdigest(), "size": len(body), "pointerSize": 134}
        return entry

    def send_file(self, path: Path, entry: dict, fault: str | None) -> None:
        """The file, or what `fault` makes of the weights."""
        body = path.read_bytes()
        headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{entry["oid"]}"', "Accept-Ranges": "bytes"}
        if "lfs" in entry:
            headers |= {"X-Linked-Etag": f'"{entry["lfs"]["oid"]}"', "X-Linked-Size": str(len(body))}
        if "lfs" in entry and self.command == "GET":
            if fault == "wrong":  # the right length, one bit of one weight off
                body = body[:-1] + bytes([body[-1] ^ 1])
            elif fault == "short":
                body = body[: len(body) // 2]
            elif fault == "dropped":  # half of it at first, then nothing
                half = b"" if "Range" in self.headers else body[: len(body) // 2]
                return self.answer(206 if "Range" in self.headers else 200, half, headers, promised=len(body))
        self.answer(200, body, headers)

    def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None, promised: int = 0) -> None:
        """Send status, headers and, unless it is a HEAD, the body; `promised` bytes that do not come break it off."""
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(promised or len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self.close_connection = self.close_connection or bool(promised)


class Server(http.server.ThreadingHTTPServer):
    """The repositories under `root`, on a free port of 127.0.0.1."""

    def __init__(self, root: Path, fault: dict[str, str]) -> None:
        super().__init__(("127.0.0.1", 0), Hub)
        self.root, self.fault, self.stopped, self.asked = root, fault, False, []
        self.address = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Close the door: whoever knocks from now on is refused. Called from a request's own thread."""
        self.stopped = True
        threading.Thread(target=self.shutdown).start()
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


CHILD = """
import json, sys, time, urllib.request
import diffusers, torch
from labkit.pretrained import ModelUnavailable, load_hub, load_pretrained, text_to_image, weights_size

def attempt(key, call):
    start = time.perf_counter()
    try:
        made, word = call(), "loaded"
    except ModelUnavailable as error:
        made, word = None, str(error)
    except BaseException as error:
        made, word = None, f"WRONG KIND {type(error).__name__}: {error}"
    answers[key] = [word, time.perf_counter() - start]
    return made

answers = {}
local = diffusers.DDPMPipeline.from_pretrained(sys.argv[1]).unet
z = torch.randn(2, 1, 8, 8)
for name in sys.argv[4:]:
    if name == "stop":
        urllib.request.urlopen(sys.argv[2] + "/stop").read()
        continue
    key = name if name not in answers else name + " again"
    if name == "no/code":
        attempt(key, lambda: load_hub(name, diffusers.DiffusionPipeline))
        continue
    if name in ("words/xl", "words/ddpm"):
        torch.cuda.is_available = lambda: True  # nothing is put there: the Hub's answer comes first
        attempt(key, lambda: text_to_image(name))
        continue
    if name == "ok/pinned":
        attempt(key, lambda: load_hub(name, diffusers.DDPMPipeline, revision=sys.argv[3]))
        answers[key].append(weights_size(name, sys.argv[3]))
        continue
    model = attempt(key, lambda: load_pretrained(name, "cpu"))
    if model is not None:
        with torch.no_grad():
            answers[key].append([float((model(z, t) - local(z, t - 1).sample).abs().max()) for t in (1, 50)])
            answers[key].append(model.schedule.T)
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def hub(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list]:
    """What one fresh Python with the real client got for each repository: [message, seconds, ...]."""
    root = tmp_path_factory.mktemp("hub")
    for name in ("ok/nested", "ok/pinned", "no/gated", "no/wrong", "no/short", "no/dropped", "no/busy"):
        shutil.copytree(tiny_folder, root / name)
    (root / "ok" / "flat").mkdir()  # the layout of google/ddpm-cifar10-32: no folders
    (root / "no" / "pickle-flat").mkdir()
    for file in tiny_folder.rglob("*.*"):
        shutil.copy(file, root / "ok" / "flat")
        shutil.copy(file, root / "no" / "pickle-flat" / file.name.replace(".safetensors", ".bin"))
    for name in ("no/pickle", "no/text", "no/code", "no/index", "no/entry"):
        shutil.copytree(tiny_folder, root / name)
    torch.save(tiny_unet().state_dict(), root / "no/pickle/unet/diffusion_pytorch_model.bin")
    (root / "no/pickle" / WEIGHTS).unlink()
    index = json.loads((tiny_folder / "model_index.json").read_text())
    text = index | {"_class_name": "StableDiffusionPipeline", "unet": ["diffusers", "UNet2DConditionModel"]}
    (root / "no/text/model_index.json").write_text(json.dumps(text))
    (root / "no/code/model_index.json").write_text(json.dumps(index | {"unet": ["mine", "UNet2DModel"]}))
    (root / "no/code/unet/mine.py").write_text(f"open({str(root / 'ran')!r}, 'w')\nfrom diffusers import UNet2DModel\n")
    (root / "no/index/model_index.json").write_text('{"_class_name": "DDPM')
    (root / "no/entry/model_index.json").unlink()
    for name, kind in {"words/xl": "StableDiffusionXLPipeline", "words/ddpm": "DDPMPipeline"}.items():
        shutil.copytree(tiny_folder, root / name)
        (root / name / "model_index.json").write_text(json.dumps(index | {"_class_name": kind}))
    server = Server(
        root, {f"no/{kind}": kind for kind in ("gated", "wrong", "short", "dropped", "busy")} | {"ok/pinned": "pinned"}
    )
    names = [
        "ok/nested",
        "ok/flat",
        "ok/pinned",
        "no/such",
        "a/b/c",
        *(f"no/{path.name}" for path in (root / "no").iterdir()),
    ]
    names += ["no/wrong", "words/xl", "words/ddpm", "stop", "ok/nested", "no/network"]
    environment = os.environ | {
        "HF_ENDPOINT": server.address, "HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path_factory.mktemp("home")),
        "HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "NO_PROXY": "127.0.0.1", "HF_TOKEN": "",
    }  # fmt: skip
    command = [sys.executable, "-c", CHILD, str(tiny_folder), server.address, COMMIT, *names]
    done = subprocess.run(command, env=environment, cwd=data.ROOT, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    answers = json.loads(done.stdout.splitlines()[-1])
    answers["code ran"], answers["asked"] = (root / "ran").exists(), server.asked
    return answers


@pytest.mark.parametrize("name", ["ok/nested", "ok/flat", "ok/nested again"])
def test_a_model_of_the_hub_is_the_local_one(hub: dict, name: str) -> None:
    """Downloaded in both layouts, and, after the server is gone, taken from the cache."""
    word, _, *found = hub[name]
    assert word == "loaded"
    differences, T = found
    assert T == 50
    assert max(differences) < 1e-5


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("no/such", "the Hub has no such repository, or it is private"),
        ("a/b/c", "this is no Hub id, which reads owner/name"),
        ("no/gated", "it is gated: accept its terms"),
        ("no/entry", "it holds no diffusers pipeline, or a file of it is missing"),
        ("no/pickle", "it has no safetensors weights"),
        ("no/pickle-flat", "it has no safetensors weights"),
        ("no/text", "is a StableDiffusionPipeline, not an unconditional DDPM"),
        ("no/index", "its model_index.json is damaged"),
        ("no/short", "the download broke off"),
        ("no/dropped", "the Hub cannot be reached or broke off"),
        ("no/wrong", "is damaged (expected SHA-256"),
        ("no/wrong again", "is damaged (expected SHA-256"),  # the damaged file was not kept
        ("no/busy", "the Hub answers with an error (Server error '503"),
        ("no/network", "the Hub cannot be reached or broke off"),
        ("no/code", "it needs code of its own to run"),
    ],
)
def test_whatever_the_hub_refuses_is_one_sentence(hub: dict, name: str, reason: str) -> None:
    word, seconds, *_ = hub[name]
    assert reason in word
    assert word.startswith(name.removesuffix(" again"))
    assert word.endswith(".")
    assert "\n" not in word
    assert len(word) < 330
    assert seconds < (15 if name == "no/dropped" else 5)


@pytest.mark.parametrize(("name", "kind"), [("xl", "StableDiffusionXLPipeline"), ("ddpm", "DDPMPipeline")])
def test_text_to_image_refuses_what_the_lab_cannot_draw_with_before_it_is_read(hub: dict, name: str, kind: str) -> None:
    word, *_ = hub[f"words/{name}"]
    assert word == (
        f"words/{name} is a {kind}, not a Stable Diffusion of the first two generations, with one text encoder; "
        "use the bundled load_painter('emoji') instead."
    )
    assert f"words/{name}/resolve/main/model_index.json" in hub["asked"]
    assert not [path for path in hub["asked"] if path.startswith(f"words/{name}") and path.endswith(".safetensors")]


def test_a_revision_is_asked_for_and_its_weights_are_counted(hub: dict, tiny_folder: Path) -> None:
    """Without the revision that server says no to every question."""
    word, _, size = hub["ok/pinned"]
    assert word == "loaded"
    assert size == (tiny_folder / WEIGHTS).stat().st_size


def test_no_code_of_a_repository_is_run(hub: dict) -> None:
    assert not hub["code ran"]


def test_offline_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """At once: nobody is asked, so there is nothing to wait for."""
    asked = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda *where, **how: asked.append(where))
    monkeypatch.setattr(socket.socket, "connect", lambda self, where: asked.append(where))
    monkeypatch.setattr(time, "sleep", lambda seconds: asked.append(seconds))
    with pytest.raises(ModelUnavailable) as error:
        load_pretrained("google/ddpm-cifar10-32", "cpu")
    assert str(error.value) == (
        "google/ddpm-cifar10-32 is not available: offline mode is on (HF_HUB_OFFLINE=1); "
        "use a bundled model instead, such as load_pretrained('fashion')."
    )
    assert asked == []


def test_text_to_image_without_a_gpu_says_so_and_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(pretrained, "load_hub", lambda *_, **__: pytest.fail("it tried to download"))
    with pytest.raises(ModelUnavailable, match="owner/name is skipped: it needs a CUDA GPU") as error:
        pretrained.text_to_image("owner/name")
    assert "\n" not in str(error.value)


def test_text_to_image_says_first_how_much_is_read_and_asks_for_the_revision(monkeypatch, capsys) -> None:
    asked = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(pretrained, "weights_size", lambda *what: asked.append(what) or 2_580_000_000)

    def refuse(repository: str, _: object, **how: object) -> None:
        assert "owner/name: 2.6 GB of weights to read" in capsys.readouterr().out
        asked.append((repository, how["revision"], how["variant"]))
        raise ModelUnavailable("owner/name is not available.")

    monkeypatch.setattr(pretrained, "load_hub", refuse)
    with pytest.raises(ModelUnavailable):
        pretrained.text_to_image("owner/name", variant="fp16", revision=COMMIT)
    assert asked == [("owner/name", COMMIT, "fp16")] * 2
