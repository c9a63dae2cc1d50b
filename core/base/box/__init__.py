"""The box: walls that a process puts around itself before it opens a user's model, and cannot take down again.

`box.py` says what a box is, `walls.py` which walls this host can give, `enter.py` closes it. Files are held by Landlock
(`landlock.py`), everything that is no file by seccomp (`seccomp.py`). See docs/security.md and docs/decisions/0041.
"""
