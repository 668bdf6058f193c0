# SPDX-License-Identifier: Apache-2.0
"""The command: options, rounds of turns, the report on standard output.

    round 1   peer: start, push, GET, ..., end      ours: start, push, GET, ..., end
    round 2   peer ...                              ours ...

Only one server runs at a time. What happens meanwhile is told on standard error.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from .failures import BenchError
from .loads import CONNECTIONS
from .phases import PHASES, Work, take_turn
from .processes import busy_seconds
from .report import FIGURES, Results, Turn, as_json, render, size_text
from .servers import OURS, PEER, Kind, running

_KINDS = (PEER, OURS)
_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_ROUNDS, _SECONDS, _SIZE = 5, 5, 1 << 30
_SHORT_ROUNDS, _SHORT_SECONDS, _SHORT_SIZE = 1, 1, 3 * (1 << 20) + 5


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the bench; returns the exit status."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    options = _parse(arguments)
    try:
        return _run(options)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("bench: stopped", file=sys.stderr)
    return 1


def parse_size(text: str) -> int:
    """``1G``, ``64M``, ``4K`` or plain bytes.

    Raises:
        ValueError: it is none of these, or nothing.
    """
    unit = _UNITS.get(text[-1:].upper(), 1)
    size = int(text if unit == 1 else text[:-1]) * unit
    if size <= 0:
        raise ValueError("a size must be more than nothing")
    return size


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="bench",
        description="Measure this registry beside Debian's docker-registry on this machine.",
    )
    parser.add_argument("--rounds", type=_whole, help=f"turns of each server ({_ROUNDS})")
    parser.add_argument(
        "--seconds", type=_whole, help=f"how long each run of wrk lasts ({_SECONDS})"
    )
    parser.add_argument("--size", type=parse_size, help="the blob that is pushed and pulled (1G)")
    parser.add_argument("--only", type=_phases, help="some of " + ",".join(PHASES))
    parser.add_argument("--servers", type=_servers, help="one of peer,ours: no comparison")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write everything that was measured there"
    )
    parser.add_argument(
        "--short", action="store_true", help="one round of tiny loads; figures mean nothing"
    )
    options = parser.parse_args(arguments)
    short = (_SHORT_ROUNDS, _SHORT_SECONDS, _SHORT_SIZE)
    rounds, seconds, size = short if options.short else (_ROUNDS, _SECONDS, _SIZE)
    options.rounds = options.rounds or rounds
    options.seconds = options.seconds or seconds
    options.size = options.size or size
    options.only = options.only or PHASES
    options.servers = options.servers or _KINDS
    return options


def _whole(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError("must be 1 or more")
    return number


def _phases(text: str) -> tuple[str, ...]:
    return _chosen(text, PHASES)


def _servers(text: str) -> tuple[Kind, ...]:
    names = _chosen(text, tuple(kind.name for kind in _KINDS))
    return tuple(kind for kind in _KINDS if kind.name in names)


def _chosen(text: str, known: tuple[str, ...]) -> tuple[str, ...]:
    wanted = text.split(",")
    if not set(wanted) <= set(known):
        raise argparse.ArgumentTypeError(f"some of {','.join(known)}, not {text!r}")
    return tuple(name for name in known if name in wanted)


def _run(options: argparse.Namespace) -> int:
    _require("wrk", "wrk")
    if PEER in options.servers:
        _require(PEER.command[0], "docker-registry")
    directory, medium = _storage_place()
    _require_space(directory, options.size)
    work = Work(options.seconds, options.size, options.only)
    turns = []
    began, before = time.monotonic(), _strangers_seconds()
    for number in range(1, options.rounds + 1):
        for kind in options.servers:
            with running(kind, directory) as server:
                turns.append(Turn(number, kind.name, take_turn(server, work)))
            _tell(turns[-1], options.rounds)
    others = (_strangers_seconds() - before) / (time.monotonic() - began)
    results = Results(work, options.servers, _conditions(options, medium, others), turns)
    print(render(results))
    if options.json:
        options.json.write_text(json.dumps(as_json(results), indent=2) + "\n")
    if results.failed:
        raise BenchError(f"{results.failed} requests failed, so the figures above mean nothing")
    return 0


def _require(program: str, package: str) -> None:
    if shutil.which(program) is None:
        raise BenchError(f"{program} is not installed; run: apt install {package}")


def _storage_place() -> tuple[Path, str]:
    """Where both keep their storage, and what that is: memory if possible, so that no disk is
    measured.
    """
    for line in Path("/proc/mounts").read_text().splitlines():
        _, where, kind, *_ = line.split()
        if (where, kind) == ("/dev/shm", "tmpfs"):
            return Path(where), "tmpfs"
    return Path(tempfile.gettempdir()), "a disk (no tmpfs at /dev/shm)"


def _require_space(directory: Path, size: int) -> None:
    # One server at a time; half as much again for what it keeps beside the blob.
    needed = size + size // 2 + (64 << 20)
    if shutil.disk_usage(directory).free < needed:
        raise BenchError(
            f"{directory} has not the {size_text(needed)} that are needed; use a smaller --size"
        )


def _tell(turn: Turn, rounds: int) -> None:
    first = (FIGURES[phase][0] for phase in turn.samples)
    parts = [
        f"{phase} {figure.form.format(sample.figures[figure.key])} {figure.title}"
        for figure, (phase, sample) in zip(first, turn.samples.items(), strict=True)
    ]
    print(f"round {turn.round}/{rounds} {turn.server}: " + ", ".join(parts), file=sys.stderr)


def _strangers_seconds() -> float:
    """Processor time of everything here but the bench and those that it started and waited for."""
    own = os.times()
    return busy_seconds() - own.user - own.system - own.children_user - own.children_system


def _conditions(options: argparse.Namespace, medium: str, others: float) -> dict[str, str]:
    # others: how many cores were busy with what is not the bench
    cores = os.cpu_count()
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": f"{cores} cores, storage on {medium}, load from the same machine, one server at a time; "
        f"other processes used {max(others, 0):.1f} cores meanwhile",
        "versions": _versions(options.servers),
        "load": f"{_rounds(options.rounds)}; wrk with 1 thread and {CONNECTIONS} connections for "
        f"{options.seconds} s; one blob of {size_text(options.size)}",
    }


def _rounds(number: int) -> str:
    return "one round" if number == 1 else f"medians of {number} rounds"


def _versions(kinds: tuple[Kind, ...]) -> str:
    versions = []
    if PEER in kinds:
        versions.append(f"docker-registry {_last_word([PEER.command[0], '--version'])}")
    if OURS in kinds:
        versions.append(f"txregistry {_last_word([*OURS.command[:3], '--version'])}")
        versions.append(f"Python {platform.python_version()}")
        versions.append(f"Twisted {importlib.metadata.version('twisted')}")
    return ", ".join(versions)


def _last_word(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout.split() or ["of unknown version"])[-1]


if __name__ == "__main__":
    sys.exit(main())
