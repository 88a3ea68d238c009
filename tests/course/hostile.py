"""What students, and people who are none, may hand in: answers to lab 01 that try something, and odd files.

A case is one TASK cell. Cases that leave each other alone are packed into one submission, which costs one kernel start;
tasks that a pack does not name hold the right answer and must keep their points. HOME, SEED, PORT and OUTSIDE in a text
are filled in by the tests: a file outside that holds a secret, the seed of the hidden inputs, a port that somebody
listens on, a folder outside. Nothing here does harm if it gets out.
"""

import json
from dataclasses import dataclass

from labkit.exercises.task import tasks

TASKS = tasks("1")
FULL = {number: task.points for number, task in TASKS.items()}
HEADS = {
    "1.1": "my_pixel", "1.2": "my_std", "1.3": "my_forward_step(beta, z_prev, t, epsilon)",
    "1.4": "my_chain(beta, x, noise)", "1.5": "my_add_noise(x, beta_1, generator)",
    "1.6": "my_moments(beta, mean, variance)", "1.7": "my_limit", "1.8": "my_ks(z)",
    "1.9": "my_steps_needed(beta, share)",
}  # fmt: skip
BODIES = {
    "1.1": "-0.2", "1.2": "0.6", "1.7": "'half'",
    "1.3": "return math.sqrt(1 - beta[t]) * z_prev + math.sqrt(beta[t]) * epsilon",
    "1.4": """z = [x]
for t in range(1, len(beta)):
    z.append(math.sqrt(1 - beta[t]) * z[-1] + math.sqrt(beta[t]) * noise[t])
return z""",
    "1.5": "return math.sqrt(1 - beta_1) * x + math.sqrt(beta_1) * torch.randn(x.shape, generator=generator)",
    "1.6": """means, variances = [mean], [variance]
for b in beta[1:].tolist():
    means.append(math.sqrt(1 - b) * means[-1])
    variances.append((1 - b) * variances[-1] + b)
return means, variances""",
    "1.8": """z = z.flatten().sort().values
gaussian = torch.special.ndtr(z).double()
share = torch.arange(len(z) + 1, dtype=torch.float64) / len(z)
return torch.maximum((share[1:] - gaussian).max(), (gaussian - share[:-1]).max())""",
    "1.9": """left = 1.0
for t in range(1, len(beta)):
    left *= 1 - beta[t].item()
    if left < share:
        return t""",
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One TASK cell. points: what it must get, None for all; says: words that its reason or a note must have.

    helpers: cells of the student's own that stand before it.
    """

    name: str
    number: str
    code: str
    points: float | None = 0
    says: str = ""
    helpers: tuple[str, ...] = ()

    @property
    def worth(self) -> float:
        """The points as a number."""
        return FULL[self.number] if self.points is None else self.points


def answer(number: str, body: str = "", before: str = "") -> str:
    """The text that answers a task: `before` at the cell's level, then the function with this body, or the value."""
    body = body or BODIES[number]
    head = HEADS[number]
    if "(" not in head:
        return f"{before}\n{head} = {body}"
    inside = "\n".join(f"    {line}" for line in body.splitlines())
    return f"{before}\ndef {head}:\n{inside}"


def task_cell(number: str, code: str) -> str:
    """The whole TASK cell."""
    return f"# TASK {number} points={FULL[number]}: {TASKS[number].title}\n{code}"


def notebook(cells: list[str], **more: object) -> dict:
    """A notebook of code cells, as JSON knows it."""
    made = [{"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None, "id": f"c{i}", "source": text}
            for i, text in enumerate(cells)]  # fmt: skip
    return {"cells": made, "metadata": {}, "nbformat": 4, "nbformat_minor": 5, **more}


def submission(cases: list[Case], fill: dict[str, str]) -> bytes:
    """The bytes of one submission with all these cases, and the right answer to each other task."""
    by_number = {case.number: case for case in cases}
    assert len(by_number) == len(cases), "two cases of one pack answer the same task"
    cells = []
    for number in TASKS:
        case = by_number.get(number)
        cells += [*(case.helpers if case else ()), task_cell(number, case.code if case else answer(number))]
    text = json.dumps(notebook(cells))
    for word, value in fill.items():
        text = text.replace(word, value)
    return text.encode()


def A(name: str, number: str, body: str = "", before: str = "", **more: object) -> Case:  # noqa: N802
    """A case whose TASK cell is `answer(number, body, before)`."""
    return Case(name, number, answer(number, body, before), **more)


HONEST = [
    A("NumPy number", "1.1", "np.float32(-0.2)", "import numpy as np", points=None),
    A("a number in quotes, printed", "1.2", "'0.60'", "print('so much', 0.6)\nimport sys\nprint('!', file=sys.stderr)",
      points=None),
    A("NumPy array", "1.3", "return np.sqrt(1 - beta[t].item()) * z_prev.numpy() + np.sqrt(beta[t].item()) * "
      "np.asarray(epsilon)", "import numpy as np", points=None),
    A("helper cells, one of them fails", "1.4", "return walk(beta, x, noise)", points=None, helpers=(
        "keep = lambda b: math.sqrt(1 - b)",
        "def walk(beta, x, noise):\n    z = [x]\n    for t in range(1, len(beta)):\n        z.append(keep(beta[t]) * "
        "z[-1] + math.sqrt(beta[t]) * noise[t])\n    return z\n1 / 0")),
    A("warnings and prints in the function", "1.5", f"import warnings\nwarnings.warn('hot')\nprint(x.shape)\n"
      f"{BODIES['1.5']}", points=None),
    A("a plot", "1.6", before="import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()", points=None),
    A("a word in capitals", "1.7", "' Half '", points=None),
    A("SciPy", "1.8", "return stats.kstest(z.flatten().numpy(), 'norm').statistic", points=None),
    A("shell and magic lines", "1.9", before="%matplotlib inline\n!echo hello\n%time 1 + 1\nmath.sqrt?", points=None,
      says="shell and magic lines were left out"),
]  # fmt: skip

# What is changed for all that follows is changed by somebody who meant no harm, or only their own answers.
CHANGES = [
    A("threads and seeds", "1.2", before="torch.set_num_threads(1)\ntorch.manual_seed(0)\nimport random\n"
      "random.seed(1)", points=None),
    A("no gradients", "1.3", before="torch.set_grad_enabled(False)", points=None),
    A("labkit is another name now", "1.4", before="labkit = None", points=None),
    A("warnings are errors, NumPy raises", "1.5", before="import warnings, numpy\nwarnings.simplefilter('error')\n"
      "numpy.seterr(all='raise')", points=None),
    A("names of Python taken", "1.6", before="list = max = id = type = print = None", points=None),
    A("output closed", "1.7", before="import sys, io\nsys.stdout = io.StringIO()", points=None),
    A("another folder", "1.8", before="import os\nos.makedirs('/tmp/own', exist_ok=True)\nos.chdir('/tmp/own')\n"
      "os.environ.clear()", points=None),
]  # fmt: skip
DOUBLE = [A("default dtype float64", "1.1", before="torch.set_default_dtype(torch.float64)", points=None)]
HALF = [A("default dtype float16", "1.1", before="torch.set_default_dtype(torch.float16)", points=None)]

SPIN = "while True:\n    try:\n        while True: pass\n    except BaseException: pass"
PLACE = "import os, time\nfrom ipykernel import get_connection_file\nplace = os.path.dirname(get_connection_file())\n"
KILLERS = {
    "killers 1": [
        A("endless loop in the cell", "1.1", before="while True: pass", says="could not be finished"),
        A("os._exit in the function", "1.3", "import os\nos._exit(0)", says="ended the kernel"),
        A("sys.exit in the cell", "1.5", before="import sys\nsys.exit(3)", says="SystemExit"),
        A("sleeps for ever", "1.6", "import time\ntime.sleep(10**6)", says="was not done after"),
        A("sys.exit in the function", "1.8", "import sys\nsys.exit()", says="SystemExit"),
    ],
    "killers 2": [
        A("kills itself", "1.2", before="import os\nos.kill(os.getpid(), 9)", says="ended the kernel"),
        A("swallows interrupts", "1.4", SPIN, says="could not be finished"),
        A("segmentation fault", "1.7", before="import ctypes\nctypes.string_at(0)", says="ended the kernel"),
        A("a helper cell that ends the kernel", "1.6", points=None, says="a helper cell was left out",
          helpers=("import math, os\nos._exit(1)",)),
        A("an answer that uses one from before a killer", "1.8",
          f"z = my_forward_step(torch.zeros(2), z, 1, z)\n{BODIES['1.8']}", points=None),
        A("input()", "1.9", "return int(input('the answer?'))"),
    ],
    "killers 3": [
        A("memory flood", "1.1", before="much = []\nwhile True: much.append(bytearray(64 << 20))"),
        A("fork bomb", "1.3", "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass"),
        A("output flood", "1.5", before="line = 'x' * 100_000\nfor _ in range(1000): print(line)", says="printed more"),
        A("recursion without end", "1.8", "return my_ks(z)", says="RecursionError"),
        A("an endless generator", "1.9", "import itertools\nreturn itertools.count()"),
    ],
    "killers 4": [
        A("thread bomb", "1.2", before="import threading, time\nwhile True: "
          "threading.Thread(target=time.sleep, args=(10**6,)).start()"),
        A("disk flood", "1.3", "for i in range(10**6): open(f'/tmp/{i}', 'wb').write(bytes(1 << 20))",
          says="No space left"),
        A("deadlock", "1.4", "import threading\nlock = threading.Lock()\nlock.acquire()\nlock.acquire()",
          says="was not done after"),
        A("a process that detaches", "1.6", before="import os, time\nif os.fork() == 0:\n    os.setsid()\n"
          "    if os.fork() == 0:\n        time.sleep(10**6)\n    os._exit(0)", points=None),
        A("the shared folder is flooded", "1.8", "import os\nfrom ipykernel import get_connection_file\n"
          "place = os.path.dirname(get_connection_file())\n"
          "for i in range(500): open(f'{place}/{i}', 'wb').write(bytes(1 << 20))\nimport time\ntime.sleep(3)"),
        A("an atexit handler and __del__", "1.9", before="import atexit, os, time\natexit.register(time.sleep, 10**6)\n"
          "class Last:\n    def __del__(self): time.sleep(1); os._exit(1)\nlast = Last()", points=None),
    ],
    "killers 5": [
        A("a folder in the shared folder is flooded", "1.3", f"{PLACE}os.mkdir(f'{{place}}/in')\n"
          "for i in range(9): open(f'{place}/in/{i}', 'wb').write(bytes(10 << 20))\ntime.sleep(20)",
          says="wrote more than"),
        A("open files without a name flood the shared folder", "1.4", f"{PLACE}kept = []\nfor i in range(9):\n"
          "    kept.append(open(f'{place}/x', 'wb'))\n    os.unlink(f'{place}/x')\n"
          "    kept[-1].write(bytes(10 << 20))\n    kept[-1].flush()\ntime.sleep(20)", says="wrote more than"),
        A("3000 folders in each other", "1.6", f"{PLACE}os.chdir(place)\nfor i in range(3000):\n    os.mkdir('d')\n"
          "    os.chdir('d')\nos._exit(0)"),
        A("a folder that is closed", "1.8", f"{PLACE}os.makedirs(f'{{place}}/closed/in')\n"
          "os.chmod(f'{place}/closed', 0)\nos._exit(0)"),
    ],
}  # fmt: skip

# Messages of the kernel's own making, sent by the student's code.
FORGE = """k = get_ipython().kernel
def forge(kind, content, socket=None):
    k.session.send(socket or k.iopub_socket, kind, content, parent=k.get_parent('shell'), ident=k._topic(kind))
MIME = 'application/vnd.labkit.value+json'
def claim(number, outcomes):
    forge('display_data', {'data': {MIME: {'task': number, 'seed': SEED, 'outcomes': outcomes}}, 'metadata': {}})
"""


def claims(number: str, outcomes: str, name: str, **more: object) -> Case:
    """A case that forges the outcomes of its own task while the trusted cell runs, after which nothing else is sent."""
    before = f"{FORGE}\nimport labkit.exercises as e\ndef publish(number, *rest, true=e.publish, **more):\n"
    before += f"    if number != '{number}': return true(number, *rest, **more)\n"
    before += f"    claim(number, {outcomes})\ne.publish = publish"
    return A(name, number, "0" if "(" not in HEADS[number] else "return 0", before, **more)


FORGED = {
    "forged 1": [
        Case("the right value forged in the TASK cell", "1.1",
             f"{FORGE}\nclaim('1.1', [dict(value=dict(shape=[], numbers='-0.2'))])\nmy_pixel = 0"),
        claims("1.3", "[dict(verdict='right', points=3, kind='right')] * 6", "a verdict in the place of values"),
        claims("1.4", "[dict(value=dict(shape=[0], numbers=''))] * 3", "empty tensors"),
        claims("1.5", "[dict(value=[dict(shape=[], numbers='nan')] * 7)] * 2", "NaN in all parts"),
        claims("1.6", "[dict(value=[[], []])] * 3", "empty lists"),
        claims("1.8", "[dict(value=dict(shape=[], numbers=[10**400]))] * 6", "a number too large for a float"),
        claims("1.9", "[dict(value=dict(shape=[-1, 10**30], numbers='1'), changed=10**9)] * 7", "a shape that lies"),
    ],
    "forged 2": [
        Case("display_data without data", "1.1", f"{FORGE}\nforge('display_data', {{'data': MIME, 'metadata': 3}})\n"
             "forge('error', {'ename': [], 'evalue': {}, 'traceback': []})\nmy_pixel = -0.2", points=None),
        claims("1.2", "[dict(value=eval('[' * 180 + '1' + ']' * 180))]", "nested lists"),
        claims("1.3", "[dict(value=eval('[' * 90 + '1' + ']' * 90))] * 6", "lists nested less deeply"),
        claims("1.4", "[dict(error='x', where=[chr(0xdc80) + '<script>'], problem=chr(0xdc80))] * 3",
               "half a character"),
        claims("1.6", "[None, 1, 'x', []]", "outcomes that are none"),
        claims("1.7", "'right'", "outcomes that are no list"),
        claims("1.8", "[dict(value=dict(shape=[100_000], numbers='0.5 ' * 100_000))] * 6", "too many numbers"),
        claims("1.9", "[]", "no outcomes"),
    ],
    "forged 3": [
        Case("the end of the cell is never told", "1.1", f"{FORGE}\nk.iopub_thread.stop()\nmy_pixel = -0.2",
             says="It could not be finished"),
        A("noise on the channel for replies", "1.3", "import threading, time\ndef noise():\n    while True:\n"
          "        forge('noise', {}, k.shell_stream)\n        time.sleep(0.01)\n"
          "threading.Thread(target=noise, daemon=True).start()\ntime.sleep(10**6)", FORGE,
          says="was not done after"),
        A("an endless trickle of output", "1.6", "import time\nwhile True:\n    forge('clear_output', {})\n"
          "    time.sleep(0.02)", f"{FORGE}\nk.session.send(k.shell_stream, 'execute_reply', {{'status': 'ok'}}, "
          "parent=k.get_parent('shell'), ident=k._parent_ident['shell'])", says="was not done after"),
        A("dies a little later", "1.8", before="import os, threading\nthreading.Timer(0, os._exit, [1])\n"
          "get_ipython().events.register('post_run_cell', lambda result: 'publish' in (result.info.raw_cell or '') "
          "and threading.Timer(0.5, os._exit, [1]).start())", points=None),
    ],
}  # fmt: skip

READ = """import os
def search(tops, words):
    for folder, _, names in [found for top in tops.split() for found in os.walk(top)]:
        for name in names:
            try: text = open(os.path.join(folder, name), errors='replace').read(10**5)
            except OSError: continue
            if all(word in text for word in words): return text
    return ''
"""
H = "import sys\nh = sys.modules['labkit.exercises.check']\n"
CHEATS = {
    "asks labkit": [
        A("the reference of a value", "1.1", "find('1.1').reference", "from labkit.exercises.task import find"),
        A("a known mistake that is right", "1.2", "[m.answer for m in find('1.2').mistakes][0]",
          "from labkit.exercises.task import find"),
        A("forward_step", "1.3", "s = NoiseSchedule(beta[1:])\nreturn labkit.forward_step(s, z_prev, t, epsilon)",
          says="asks labkit"),
        A("forward_step by getattr and partial", "1.4", "import functools\nstep = functools.partial(getattr(labkit, "
          "'forward_' + 'step'), NoiseSchedule(beta[1:]))\nz = [x]\nfor t in range(1, len(beta)):\n"
          "    z.append(step(z[-1], t, noise[t]))\nreturn z", says="asks labkit"),
        A("diffuse at t = 1", "1.5", "s = NoiseSchedule(torch.tensor([beta_1]))\n"
          "return labkit.diffuse(s, x, 1, torch.randn(x.shape, generator=generator))", says="asks labkit"),
        A("the reference by importlib", "1.6", "import importlib\n"
          "return importlib.import_module('labkit.exercises.lab01_forward_encoder').moments(beta, mean, variance)"),
        A("the notebook's own text", "1.7", "search('/course /work /root /home /tmp', ['my_' + 'limit =']) or 'no'",
          READ),
        A("the reference by gc", "1.8", "import gc, types\n"
          "found = [f for f in gc.get_objects() if isinstance(f, types.FunctionType) and f.__name__ == 'ks_distance']\n"
          "return found[0](z)"),
        A("NoiseSchedule does the sum", "1.9", "s = NoiseSchedule(beta[1:])\n"
          "return 1 + int((s.alpha[1:] < share).int().argmax())", says="asks labkit"),
    ],
    "asks labkit in other words": [
        A("vars and exceptions swallowed", "1.3", "try: return vars(labkit)['forward_step'](NoiseSchedule(beta[1:]), "
          "z_prev, t, epsilon)\nexcept BaseException: return z_prev"),
        A("the profiler switched off", "1.4", "import sys\nsys.setprofile(None)\ns, z = NoiseSchedule(beta[1:]), [x]\n"
          "for t in range(1, len(beta)): z.append(labkit.forward.forward_step(s, z[-1], t, noise[t]))\nreturn z"),
        A("another copy of labkit is looked for", "1.6", "import importlib, sys\nold = list(sys.path)\n"
          "sys.path[:0] = [f'{p}/..' for p in sys.path] + ['/work/main', '/course/..']\n"
          "for name in [n for n in sys.modules if n.startswith('labkit')]: del sys.modules[name]\n"
          "try: return importlib.import_module('labkit.exercises.lab01_forward_encoder').moments(beta, mean, "
          "variance)\nfinally: sys.path[:] = old"),
        A("the grader's files", "1.8", "import labkit.course.grading\nreturn 0"),
        A("the caller's frames", "1.9", "import sys\nframe = sys._getframe()\nwhile frame:\n"
          "    task = frame.f_locals.get('task')\n    if task: return task.reference(beta, share)\n"
          "    frame = frame.f_back"),
        A("the comments for nbval", "1.7", "'zero'", "# NBVAL_SKIP\n#NBVAL_IGNORE_OUTPUT\n# NBVAL_RAISES_EXCEPTION",
          says="marks for nbval have no effect"),
    ],
    "asks labkit unseen": [
        A("forward_step in a thread", "1.3", "from concurrent.futures import ThreadPoolExecutor\n"
          "s = NoiseSchedule(beta[1:])\nwith ThreadPoolExecutor(1) as pool:\n"
          "    return pool.submit(labkit.forward_step, s, z_prev, t, epsilon).result()",
          says="task 1.3 asks labkit for the answer"),
        A("α of a schedule, the profiler switched off", "1.6", "import sys\nsys.setprofile(None)\n"
          "left = NoiseSchedule(beta[1:]).alpha\n"
          "return left.sqrt() * mean, left * variance + 1 - left", says="asks labkit"),
        A("α of a schedule in a thread", "1.9", "import sys, threading\nfrom concurrent.futures import "
          "ThreadPoolExecutor\nthreading.setprofile(None)\ndef ask():\n    s = NoiseSchedule(beta[1:])\n"
          "    return 1 + int((s.alpha[1:] < share).int().argmax())\nreturn ThreadPoolExecutor(1).submit(ask).result()",
          says="asks labkit"),
    ],
    "looks around": [
        A("the home folder", "1.1", "open('HOME').read()"),
        A("the grader's environment", "1.2", "os.environ.get('SECRET_OF_THE_GRADER', 'none')", "import os"),
        A("every process's environment", "1.7", "(search('/proc/1', ['env-' + 'secret']) or 'nothing')[:100]", READ),
        A("a server on this machine", "1.3", "import socket\nsocket.create_connection(('127.0.0.1', PORT), 2)\n"
          "return z_prev"),
        A("a server elsewhere", "1.4", "import socket\nsocket.create_connection(('192.0.2.1', 80), 2)\nreturn [x]"),
        A("writes outside", "1.5", "try: open('OUTSIDE/mark', 'w').write('x')  # a folder of that name may be inside\n"
          "except OSError: pass\nfor place in ('/course/mark', '/usr/mark', '/mark', "
          "'/course/labkit/mark.py'):\n    try: open(place, 'w').write('x')\n    except OSError: continue\n"
          "    raise RuntimeError('written: ' + place)\nreturn x", says="noise is"),
        A("ends the grader", "1.6", "import os\nfor one in {os.getppid(), 1} - {os.getpid()}:\n"
          "    try: os.kill(one, 9)\n    except OSError: pass\nreturn [1], [1]"),
        A("the connection file", "1.8", "import json\nfrom ipykernel import get_connection_file\n"
          "return json.load(open(get_connection_file()))['key']"),
        A("what lies in data/", "1.9", "return int(search('/course/data', ['steps_needed', 'return']) or 0)", READ),
    ],
    "strange values": [
        A("a float that raises", "1.1", "Odd()", "class Odd:\n    def __float__(self): raise KeyboardInterrupt"),
        A("an object that equals everything", "1.2", "Same()", "class Same:\n    __eq__ = lambda *a: True\n"
          "    __class__ = property(lambda self: float)\n    __hash__ = object.__hash__"),
        A("a word that equals everything", "1.7", "Word('zero')", "class Word(str):\n    __eq__ = lambda *a: True\n"
          "    strip = lower = lambda self: self\n    __hash__ = str.__hash__"),
        A("a tensor that agrees with everything", "1.3", "return torch.zeros(1).as_subclass(Yes)",
          "class Yes(torch.Tensor):\n    @classmethod\n    def __torch_function__(cls, *a, **k): return True"),
        A("NaN", "1.4", "return [x * math.nan for _ in beta]"),
        A("infinite noise", "1.5", "return x + math.inf"),
        A("a list in itself", "1.6", "a = []\na.append(a)\nreturn a, a"),
        A("10**9 numbers", "1.8", "return torch.zeros(1).expand(10**9)"),
        A("an array that agrees with everything", "1.9", "return np.zeros(1).view(Arr)",
          "import numpy as np\nclass Arr(np.ndarray):\n    def __array_ufunc__(self, *a, **k): return True\n"
          "    def __array__(self, *a, **k): raise SystemExit"),
    ],
    "patches 1": [
        A("allclose, isclose and equal", "1.1", "0", "torch.allclose = torch.equal = lambda *a, **k: True\n"
          "torch.isclose = lambda a, *r, **k: torch.ones_like(a, dtype=torch.bool)"),
        A("compare.same", "1.3", "return z_prev", f"import labkit.exercises.compare as c\n{H}"
          "c.same = h.same = lambda *a, **k: True"),
        A("diagnose and judge", "1.4", "return [x]", H +
          "h.diagnose = h.judge = lambda task, *a, **k: h.Verdict(task, 'right', task.points, [])"),
        A("the mark is raised", "1.6", "return [mean], [variance]",
          "from labkit.exercises.task import find\nobject.__setattr__(find('1.6'), 'rtol', 1e9)\n"
          "object.__setattr__(find('1.6'), 'atol', 1e9)"),
        A("inputs as one likes", "1.8", "return 0.5", "from labkit.exercises.task import Task\n"
          "Task.inputs = lambda self, seed: [(torch.zeros(2),)] * 6"),
    ],
    "patches 2": [
        A("outcomes_of", "1.1", "0", f"import labkit.exercises.report as r\n{H}"
          "r.outcomes_of = lambda *a, **k: [h.Outcome(value=torch.tensor(0.))]"),
        A("attempt", "1.3", "return z_prev", H +
          "h.attempt = lambda task, answer, case, *a, **k: h.Outcome(value=torch.tensor(0.))"),
        A("display", "1.7", "'zero'", "import IPython.display\nIPython.display.display = lambda *a, **k: None"),
        A("labkit is redefined", "1.8", "return 0", "import sys, types\nlabkit = types.SimpleNamespace("
          "exercises=types.SimpleNamespace(publish=lambda *a, **k: print('right')))\nsys.modules['labkit'] = labkit\n"
          "sys.modules['labkit.exercises'] = labkit.exercises"),
        A("a labkit.py in the folder", "1.9", "return 0", "open('/tmp/labkit.py', 'w').write('1')\n"
          "import sys\nsys.path.insert(0, '/tmp')\nsys.meta_path.clear()"),
    ],
    "patches 3": [
        A("custom formatters", "1.1", "0", "f = get_ipython().display_formatter\nf.format = lambda *a, **k: ({}, {})"),
        A("get_ipython().run_cell", "1.2", "0", "get_ipython().run_cell('import labkit.exercises as e; e.x = 1')"),
        A("an input transformer", "1.3", "return z_prev", "get_ipython().input_transformers_post.append("
          "lambda lines: ['print(1)\\n'] if any('publish(\"1.3' in l for l in lines) else lines)"),
        A("pre_run_cell", "1.4", "return [x]", "def before(info): get_ipython().user_ns['my_chain'] = None\n"
          "get_ipython().events.register('pre_run_cell', before)"),
        A("a cell magic", "1.6", "return [mean], [variance]", "%%javascript\nalert(1)",
          says="shell and magic lines were left out"),
        A("builtins", "1.8", "return 0", "import builtins\nbuiltins.all = builtins.any = lambda *a: True"),
    ],
    "patches 4": [
        A("torch.sqrt and math.sqrt, own loss", "1.3", before="torch.sqrt = torch.rand\nmath.sqrt = lambda v: 1.0"),
    ],
    "patches 5": [
        A("torch.Generator", "1.5", "return x", "class G(torch.Generator):\n"
          "    def manual_seed(self, seed): return super().manual_seed(0)\ntorch.Generator = G"),
    ],
    "patches 6": [
        A("inputs changed, and nobody may look", "1.4", BODIES["1.4"].replace("return z", "noise.zero_()\nreturn z"),
          f"import labkit.exercises.compare as c\n{H}c.unchanged = h.unchanged = lambda *a: True", points=2,
          says="changes its input noise"),
        A("flags in the place of draws", "1.5", "return math.sqrt(1 - beta_1) * x + math.sqrt(beta_1) * "
          "torch.randn(x.shape)", "from labkit.exercises.task import find\nobject.__setattr__(find('1.5'), 'observe', "
          "lambda answer, *case: (answer(*case).double().round(decimals=3), True, True))",
          points=1.5, says="does not come from the generator"),
    ],
    "patches 7": [
        A("the observer of 1.5", "1.5", "return x", "from labkit.exercises.task import find\n"
          "object.__setattr__(find('1.5'), 'observe', lambda *a: (0.0, 1.0, 0.0, 0.0, 0.0, 0.3, True, True))"),
    ],
}  # fmt: skip
OTHERS_ARE_THEIR_OWN = {"patches 1", "patches 2", "patches 3", "patches 4", "patches 5"}  # patched by the student

PACKS = {**KILLERS, **FORGED, **CHEATS, "honest": HONEST, "changes": CHANGES, "half": HALF, "double": DOUBLE}
