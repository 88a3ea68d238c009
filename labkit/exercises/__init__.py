"""The graded tasks: what each asks (one file a notebook), how an answer is tried, and what the student reads.

Reading order: `task`, `compare`, `check`, `report`, then the labs' own files.
"""

from labkit.exercises.report import Unfinished, check, finish, publish

__all__ = ["Unfinished", "check", "finish", "publish"]
