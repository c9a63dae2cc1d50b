"""`python -m bench.faults`: see the package."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from importlib import import_module

import bench.faults
from bench.faults.tally import HEAD, Options, Tally, row
from core.benchmark.machine import describe_machine

GROUPS = ("kills", "disk", "clocks", "outages", "fake_stages")
KILLS, KILLS_QUICK = 1000, 30
TRIES, TRIES_QUICK = 5, 1
OUTAGE_SECONDS = 60.0


def main() -> int:
    arguments = _parser().parse_args()
    if arguments.list:
        for name in GROUPS:
            print(f"{name:<12} {(import_module(f'bench.faults.{name}').__doc__ or '').splitlines()[0]}")
        return 0
    if unknown := set(arguments.group) - set(GROUPS):
        sys.exit(f"No such group: {', '.join(sorted(unknown))}. --list tells them.")
    quick = arguments.quick
    options = Options(
        kills=arguments.kills or (KILLS_QUICK if quick else KILLS),
        tries=arguments.tries or (TRIES_QUICK if quick else TRIES),
        outage_seconds=arguments.outage,
        seed=arguments.seed,
        minutes=arguments.minutes,
    )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started ends too
    print("  ".join(f"{name}: {value}" for name, value in describe_machine().items()), flush=True)
    print(HEAD, flush=True)
    tallies: list[Tally] = []
    for name in arguments.group or GROUPS:
        started = time.monotonic()

        def tell(tally: Tally, name: str = name) -> None:
            tallies.append(tally)
            print(row(name, tally), flush=True)

        import_module(f"bench.faults.{name}").try_all(options, tell)
        print(f"{name:<9} took {time.monotonic() - started:.0f} s", flush=True)
    broke = [one for one in tallies if one.broke]
    tries = sum(one.tries for one in tallies)
    print(f"\n{len(tallies)} kinds of fault, {tries:,} tries: {len(tallies) - len(broke)} held, {len(broke)} broke.")
    return 1 if broke else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.faults", description=bench.faults.__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("group", nargs="*", help="groups to try; all by default")
    parser.add_argument("--quick", action="store_true", help=f"{KILLS_QUICK} kills, {TRIES_QUICK} of each other fault")
    parser.add_argument("--kills", type=int, metavar="N", help=f"processes to kill: {KILLS:,}, or {KILLS_QUICK} when quick")
    parser.add_argument("--tries", type=int, metavar="N", help=f"of each other fault: {TRIES}, or {TRIES_QUICK} when quick")
    parser.add_argument("--outage", type=float, metavar="SECONDS", default=OUTAGE_SECONDS, help="of a database or a store")
    parser.add_argument("--minutes", type=float, metavar="N", default=1e9, help="kill no longer than that")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--list", action="store_true", help="name the groups and stop")
    return parser


if __name__ == "__main__":
    sys.exit(main())
