"""Attacks on an instance of the product's own, each tried many times: what held, and what broke.

    python -m bench.attack                  all groups, 10,000 fuzzed uploads: some hours
    python -m bench.attack --quick          all groups, 300 fuzzed uploads: some minutes
    python -m bench.attack hosts requests   these groups alone
    python -m bench.attack --list

A group is a module in here with a tuple ATTACKS; `attempt.py` says what an attack is, `instance.py` what it is given.
"""
