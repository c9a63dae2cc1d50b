"""Breaks what jobs rest on, many times, and tells what came of it: nothing may be lost, doubled, left behind or unexplained.

    nice -n 19 python -m bench.faults                      all groups, 1,000 kills: some hours on 2 cores
    nice -n 19 python -m bench.faults --quick              all groups, 30 kills: some minutes
    nice -n 19 python -m bench.faults kills --kills 200    this group alone
    python -m bench.faults --list

A group is a module in here with a `try_all(options, tell)`: `kills`, `disk`, `clocks`, `outages` have real stages of real models,
`fake_stages` has stages that take milliseconds and misbehave.
"""
