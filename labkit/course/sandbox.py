"""A kernel that can do nothing but compute: bubblewrap around it, hooked into jupyter_client as a kernel provisioner.

No network, no other processes, no home, a read-only system, and limits on memory, processes, files, disk and time. It
sees Python, the grading copy of labkit and data/, and nothing of the grader's. This file knows nothing of tasks.
"""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import zmq
from jupyter_client.provisioning import LocalProvisioner
from traitlets import Dict, Unicode

from labkit.data import ROOT

NAME = "labkit-sandbox"
INSIDE = "/course"  # where labkit and data/ are seen
LARGEST_MESSAGE = 32 * 2**20  # bytes; a larger one from the kernel closes the connection
FIRST_UID = 61_000  # as root each kernel gets a user of its own, as limits on processes count by user
SYSTEM = ("/usr", "/lib", "/lib64", "/bin", "/etc/ld.so.cache", "/etc/alternatives", "/etc/fonts", "/etc/localtime")
INSTALL = "install bubblewrap (Debian, Ubuntu: apt install bubblewrap; Fedora: dnf install bubblewrap)"


@dataclass(frozen=True)
class Limits:
    """What a submission may use: seconds of CPU and of the clock a cell, then for all of it; MiB; numbers.

    sandbox: False only where the grader said so; then nothing but the watching of time and memory is left.
    """

    task_cpu: float = 20
    task_wall: float = 60
    total_wall: float = 600
    memory: int = 4096
    disk: int = 256
    processes: int = 128
    files: int = 512
    output: float = 2.0
    sandbox: bool = True


def problem() -> str:
    """Why no sandbox can be had on this machine, and what to do, in one sentence; "" where one can."""
    if sys.platform != "linux":
        return f"the sandbox needs Linux and this is {sys.platform}: grade on a Linux machine or in a virtual one"
    missing = [name for name in ("bwrap", "prlimit", "setpriv") if not shutil.which(name)]
    if missing:
        return f"{', '.join(missing)} missing: {INSTALL}"
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "data").mkdir()
        os.chmod(folder, 0o755)
        tried = subprocess.run([*command(Path(folder), Path(folder), Limits()), "true"], capture_output=True, text=True)
    if tried.returncode:
        reason = (tried.stderr.strip().splitlines() or ["it gives no reason"])[-1]
        return f"bubblewrap cannot run here ({reason}): allow user namespaces, or leave the container"
    return ""


def command(course: Path, runtime: Path, limits: Limits, slot: int = 0) -> list[str]:
    """The words before a program that put it into the sandbox.

    course: a folder with the grading copy of labkit and an empty data/; runtime: the one folder both sides write to.
    """
    root = os.geteuid() == 0  # root needs no user namespace, and inside one a limit on processes would not bind it
    apart = ["pid", "net", "ipc", "uts", "cgroup-try"] if root else ["all"]
    words = ["bwrap", *(f"--unshare-{what}" for what in apart)]
    words += ["--die-with-parent", "--new-session", "--clearenv", "--hostname", "lab"]
    words += ["--proc", "/proc", "--dev", "/dev"]
    words += ["--size", str(64 * 2**20), "--perms", "1777", "--tmpfs", "/dev/shm"]
    words += ["--size", str(limits.disk * 2**20), "--perms", "1777", "--tmpfs", "/tmp"]  # first: Python may lie there
    seen = [*SYSTEM, *_pythons()]
    for folder in _parents([*seen, str(runtime), INSIDE]):  # left to itself, bubblewrap makes them for root alone
        words += ["--perms", "0755", "--dir", folder]
    for path in seen:
        words += ["--ro-bind-try", path, path]
    for path in _hidden():
        words += ["--tmpfs", path]
    words += ["--ro-bind", str(course), INSIDE, "--ro-bind", str(ROOT / "data"), f"{INSIDE}/data"]
    words += ["--bind", str(runtime), str(runtime), "--chdir", "/tmp"]
    words += ["--remount-ro", "/dev", "--remount-ro", "/"]
    for name, value in _environment().items():
        words += ["--setenv", name, value]
    caps = [f"--cap-add={cap}" for cap in ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP")]
    words += [part for cap in caps for part in cap.split("=")] if root else ["--uid", "65534", "--gid", "65534"]
    words += ["--", "prlimit", f"--data={limits.memory * 2**20}", f"--nproc={limits.processes}", "--core=0"]
    words += [f"--nofile={limits.files}", f"--fsize={limits.disk * 2**20}", f"--cpu={int(limits.total_wall) * 2}", "--"]
    user = str(FIRST_UID + slot)
    drop = ["setpriv", "--reuid", user, "--regid", user, "--clear-groups"]
    drop += ["--bounding-set=-all", "--no-new-privs", "--"]
    return words + (drop if root else [])


def _pythons() -> Iterator[str]:
    """Where this Python and its packages lie."""
    yield from dict.fromkeys([sys.base_prefix, sys.prefix, *sysconfig.get_paths().values()])


def _parents(paths: list[str]) -> list[str]:
    """The folders above the paths, the upper ones first, without / itself."""
    above = {str(parent) for path in paths for parent in Path(path).parents}
    return sorted(above - {"/", "/tmp"})


def _hidden() -> list[str]:
    """An installed labkit has the answers in it: its folder is covered, so that only the grading copy is seen."""
    places = [Path(sysconfig.get_path(name)) / "labkit" for name in ("purelib", "platlib")]
    return [str(path) for path in dict.fromkeys(places) if path.is_dir()]


def _environment() -> dict[str, str]:
    threads = str(max(1, (os.cpu_count() or 1) // 2))
    paths = f"{sys.prefix}/bin:/usr/bin:/bin"
    return {
        "PATH": paths, "HOME": "/tmp", "USER": "student", "LANG": "C.UTF-8", "PYTHONPATH": INSIDE,
        "HF_HUB_OFFLINE": "1", "MPLCONFIGDIR": "/tmp/mpl", "MPLBACKEND": "Agg", "IPYTHONDIR": "/tmp/ipython",
        "OMP_NUM_THREADS": threads, "PYTHONDONTWRITEBYTECODE": "1", "JUPYTER_PLATFORM_DIRS": "1",
    }  # fmt: skip


def kernel_spec(folder: Path, course: Path, limits: Limits, slot: int = 0) -> None:
    """Write the kernel spec under `folder`, which JUPYTER_PATH then names; the kernel sees `course`."""
    place = folder / "kernels" / NAME
    place.mkdir(parents=True, exist_ok=True)
    config = {"course": str(course), "limits": {**asdict(limits), "slot": slot}}
    spec = {
        "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": NAME,
        "language": "python",
        "interrupt_mode": "message",
    }
    if limits.sandbox:
        spec["metadata"] = {"kernel_provisioner": {"provisioner_name": NAME, "config": config}}
    else:
        spec["env"] = {"PYTHONPATH": str(course), "HF_HUB_OFFLINE": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    (place / "kernel.json").write_text(json.dumps(spec), "utf8")


class Sandbox(LocalProvisioner):
    """Starts the kernel inside the sandbox; messages go through sockets in a folder that both sides see."""

    course = Unicode(config=True)
    limits = Dict(config=True)
    folder = ""

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        """Sockets in place of ports, then bubblewrap's words in front of the kernel's."""
        limits = dict(self.limits)
        slot = limits.pop("slot")
        self.folder = tempfile.mkdtemp(prefix="kernel-")
        manager = self.parent
        manager.transport, manager.ip = "ipc", f"{self.folder}/s"
        manager.connection_file = f"{self.folder}/kernel.json"
        manager.context.setsockopt(zmq.MAXMSGSIZE, LARGEST_MESSAGE)
        kwargs = await super().pre_launch(**kwargs)
        user = FIRST_UID + slot if os.geteuid() == 0 else os.geteuid()
        for path in (self.folder, manager.connection_file):
            os.chown(path, user, -1)
        kwargs["cmd"] = command(Path(self.course), Path(self.folder), Limits(**limits), slot) + kwargs["cmd"]
        kwargs["cwd"] = "/"
        return kwargs

    async def cleanup(self, restart: bool = False) -> None:
        """Remove the sockets' folder."""
        await super().cleanup(restart)
        if not restart:
            remove(self.folder)


def remove(folder: str) -> None:
    """Remove a folder that students' code could write to, however deep it is, and whatever it was closed against.

    Python's own way gives up at a thousand folders in each other.
    """
    for words in (["chmod", "-R", "u+rwX"], ["rm", "-rf"]):
        subprocess.run([*words, "--", folder], stderr=subprocess.DEVNULL)
