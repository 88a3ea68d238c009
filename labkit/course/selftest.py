"""Does the sandbox hold on this machine? Programs that try to get out, each run inside it, and what must come of it."""

import math
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from labkit.course.compose import Cell
from labkit.course.rerun import rerun
from labkit.course.sandbox import Limits, command, problem
from labkit.data import ROOT

LIMITS = Limits(memory=1024, disk=32, processes=32, files=64)
QUICK = replace(LIMITS, task_cpu=3, task_wall=8, processes=128, files=512, memory=4096)  # a kernel needs some, too
SHARED = "import os\nfrom ipykernel import get_connection_file\nplace = os.path.dirname(get_connection_file())\n"
SURE = "print('it works')"
FORKS = "import os, time\nfor i in range(200):\n    if os.fork() == 0: time.sleep(2); os._exit(0)"
# what is tried, the program, and whether it may succeed ("HELD" is printed where it does not)
PROBES = {
    "it can compute": SURE,
    "no network": "import socket\nsocket.create_connection(('127.0.0.1', PORT), 2)",
    "no name service": "import socket\nsocket.getaddrinfo('example.org', 80)",
    "no file of the home folder": "open(HOME)",
    "no file of the course's folder": "open(SOLVED)",
    "no other process is seen": "import os\nassert [p for p in os.listdir('/proc') if p.isdigit() and int(p) == PID]",
    "no signal to another process": "import os\nos.kill(PID, 0)",
    "nothing is written to the system": "open('/usr/mark', 'w')",
    "nothing is written to the course": "open('/course/mark', 'w')",
    "nothing is written to Python": "import sys\nopen(sys.prefix + '/mark', 'w')",
    "the grader's environment is not seen": "import os\nassert os.environ['LABKIT_SECRET']",
    "no rights to win": "import os\nos.setuid(0)",
    "no device is made": "import os\nos.mknod('/tmp/disk', 0o60666, os.makedev(8, 0))",
    "no more memory than allowed": "x = bytearray(3 << 30)",
    "no more processes than allowed": FORKS,
    "no larger file than allowed": "open('/tmp/large', 'wb').write(b'x' * (64 << 20))",
    "no more disk than allowed": "for i in range(9): open(f'/tmp/{i}', 'wb').write(b'x' * (16 << 20))",
    "no more shared memory than allowed": "for i in range(9): open(f'/dev/shm/{i}', 'wb').write(b'x' * (16 << 20))",
    "no more open files than allowed": "files = [open('/dev/null') for _ in range(500)]",
}


# what the grader watches: the cell, and words of the reason for which its kernel must be ended
WATCHED = {
    "no more time of the processor than allowed": ("while True: pass", "computed for more than"),
    "no more time by the clock than allowed": ("import time\ntime.sleep(10**6)", "was not done after"),
    "no more time for all tasks than allowed": ("import time\ntime.sleep(10**6)", "no time left"),
    "no more output than allowed": ("for i in range(100): print('x' * 100_000)", "printed more than"),
    "no more in the folder that it shares with the grader": (
        f"{SHARED}os.mkdir(f'{{place}}/in')\n"
        "for i in range(9): open(f'{place}/in/{i}', 'wb').write(b'x' * (16 << 20))\nimport time\ntime.sleep(60)",
        "wrote more than",
    ),
    "no more in files without a name": (
        f"{SHARED}kept = []\nfor i in range(9):\n    kept.append(open(f'{{place}}/x', 'wb'))\n"
        "    os.unlink(f'{place}/x'); kept[-1].write(b'x' * (16 << 20)); kept[-1].flush()\n"
        "import time\ntime.sleep(60)",
        "wrote more than",
    ),
}


def probes() -> Iterator[tuple[str, bool, str]]:
    """(what is tried, whether it held, how it ended) for each probe; raises RuntimeError where there is no sandbox."""
    if why := problem():
        raise RuntimeError(why)
    with socket.create_server(("127.0.0.1", 0)) as server, tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        folder.chmod(0o755)
        (folder / "course" / "data").mkdir(parents=True)
        runtime = folder / "runtime"
        runtime.mkdir()
        home = folder / "of-the-home-folder"
        home.write_text("secret")
        names = {
            "PORT": str(server.getsockname()[1]), "HOME": repr(str(home)), "PID": str(os.getpid()),
            "SOLVED": repr(str(ROOT / "pyproject.toml")),
        }  # fmt: skip
        for what, code in PROBES.items():
            for name, value in names.items():
                code = code.replace(name, value)
            words = [*command(folder / "course", runtime, LIMITS, 3999), sys.executable, "-c", code]
            env = {**os.environ, "LABKIT_SECRET": "1"}
            done = subprocess.run(words, capture_output=True, text=True, env=env, timeout=60)
            failed = done.returncode != 0
            last = (done.stderr.strip().splitlines() or [""])[-1][:100]
            yield what, failed if code != SURE else not failed, last
        yield "nothing that it starts outlives it", _outlived(folder, runtime), ""
        for what, (code, why) in WATCHED.items():
            until = time.monotonic() + 5 if "all tasks" in what else math.inf
            ran = rerun([Cell("TASK", "1.1", code)], folder / "course", QUICK, 3999, until)
            ended = ran[-1].limit if ran else "it did not run"
            yield what, why in ended, ended


def _outlived(folder: Path, runtime: Path) -> bool:
    """Start a process that detaches and writes into the shared folder later; True if it never does."""
    runtime.chmod(0o777)
    mark = runtime / "late"
    code = (
        f"import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork(): os._exit(0)\n"
        f"    time.sleep(1.5); open({str(mark)!r}, 'w')"
    )
    subprocess.run([*command(folder / "course", runtime, LIMITS, 3999), sys.executable, "-c", code], timeout=60)
    time.sleep(2.5)
    return not mark.exists()
