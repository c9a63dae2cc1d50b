"""`python -m bench.attack`: see the package."""

from __future__ import annotations

import argparse
import pkgutil
import sys
from importlib import import_module

import bench.attack
from bench.attack.attempt import Outcome, tried
from bench.attack.instance import running
from core.benchmark.machine import describe_machine

NO_GROUP = ("attempt", "instance", "box_scene", "deeds", "hostile_models", "hostile_names", "__main__")
FUZZED, FUZZED_QUICK = 10_000, 300


def groups() -> list[str]:
    """Modules of the package that hold attacks."""
    return [one.name for one in pkgutil.iter_modules(bench.attack.__path__) if one.name not in NO_GROUP]


def main() -> int:
    arguments = _parser().parse_args()
    if arguments.list:
        for name in groups():
            print(f"{name:<12} {(import_module(f'bench.attack.{name}').__doc__ or '').splitlines()[0]}")
        return 0
    if unknown := set(arguments.group) - set(groups()):
        sys.exit(f"No such group: {', '.join(sorted(unknown))}. --list tells them.")
    print("  ".join(f"{name}: {value}" for name, value in describe_machine().items()), flush=True)
    print(f"{'group':<12} {'attack':<68} {'tries':>7}  {'':<10} {'time':>9}", flush=True)
    fuzzed = arguments.fuzz if arguments.fuzz is not None else FUZZED_QUICK if arguments.quick else FUZZED
    outcomes: list[Outcome] = []
    for name in arguments.group or groups():
        with running(quick=arguments.quick, fuzzed=fuzzed) as instance:
            outcomes += tried(name, import_module(f"bench.attack.{name}").ATTACKS, instance)
    broke = [one for one in outcomes if one.broke]
    tries = sum(one.tries for one in outcomes)
    print(f"\n{len(outcomes)} attacks, {tries:,} tries: {len(outcomes) - len(broke)} held, {len(broke)} broke.")
    return 1 if broke else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.attack", description=bench.attack.__doc__, add_help=True)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("group", nargs="*", help="groups to try; all by default")
    parser.add_argument("--quick", action="store_true", help="fewer tries where they take long")
    parser.add_argument("--fuzz", type=int, metavar="N", help=f"uploads to fuzz: {FUZZED:,}, or {FUZZED_QUICK} when quick")
    parser.add_argument("--list", action="store_true", help="name the groups and stop")
    return parser


if __name__ == "__main__":
    sys.exit(main())
