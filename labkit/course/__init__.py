"""The instructor's side: what becomes of the solved notebooks, and of what students hand in. It is not in a release.

Release: `release`. Grading, in the order of the work: `submissions` (find them), `reading`, `compose` (a notebook that
can be trusted), `answerless` and `sandbox` (where it runs), `rerun` (nbval), `grading` (one), `grade` (a class),
`gradebook` (what comes out); `selftest` tries the sandbox. `commands` are the words of the command line.
"""
