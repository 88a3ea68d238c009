"""The instructor's side: what becomes of the solved notebooks. It is not in the students' folder.

`release` writes that folder; `commands` are the words of the command line for it.
"""
