"""``python -m fuzz --inputs 100000``: a table, and status 1 where anything but a clear error came.

Each target runs in a process of its own with a bounded address space; an input that takes longer
than ``--seconds`` fails, as one does that raises anything foreign. Such an input is kept in
``fuzz/found`` by its SHA-256, and ``--replay FILE --target NAME`` runs it again.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fuzz.running import in_child, target_of
from fuzz.targets import TARGETS


def main(arguments: list[str] | None = None) -> int:
    """The status."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=100_000, help="a target")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=20.0, help="longest for one input")
    parser.add_argument("--target", action="append", choices=[t.name for t in TARGETS])
    parser.add_argument("--replay", type=Path, help="one kept input")
    asked = parser.parse_args(arguments)
    if asked.replay:
        target_of(asked.target[0]).run(asked.replay.read_bytes())
        return 0
    bad = 0
    print(f"{'parser':<14} {'inputs':>8} {'let in':>8} {'slowest':>9} {'memory':>8}  foreign")
    for target in TARGETS:
        if asked.target and target.name not in asked.target:
            continue
        found = in_child(target.name, asked.inputs, asked.seed, asked.seconds)
        if isinstance(found, int):
            bad += 1
            print(f"{target.name:<14} the process ended ({found})")
            continue
        bad += bool(found.foreign)
        print(
            f"{found.name:<14} {found.inputs:>8} {found.accepted:>8} "
            f"{found.slowest * 1000:>6.0f} ms {found.memory:>4} MiB  {found.foreign or 'none'}",
            flush=True,
        )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
