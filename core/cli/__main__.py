"""`python -m core.cli`, for interpreters that have no `engineroom` program."""

from core.cli import main

main()
