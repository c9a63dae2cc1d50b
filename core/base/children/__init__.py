"""Functions called in a process of their own: what may crash, hang or take gigabytes does so there.

`call.py` is the caller's side, `__main__.py` the child's. The request comes as JSON on standard input, everything else goes
back as events (`events.py`); standard output and error are the log. ModelOpt's adapter and the guard of a queued job speak
the same.
"""
