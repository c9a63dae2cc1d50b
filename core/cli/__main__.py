"""`python -m core.cli`, for interpreters that have no `engineroom` program."""

from core.cli.app import main

main()
