# SPDX-License-Identifier: Apache-2.0
"""Samples -> medians and ratios -> a Markdown table, and everything as JSON.

Knows which figures there are and how they are called; not how they came about.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any

import attrs
from attrs import frozen

from .phases import BLOB, MANIFEST, PHASES, PULL, PUSH, Sample, Work
from .servers import Kind

_TITLES = {
    MANIFEST: "GET manifest by tag",
    BLOB: "GET 4 KiB blob",
    PUSH: "push a blob of {size}",
    PULL: "pull a blob of {size}",
}


@frozen
class Figure:
    """A row that a phase has: the key in ``Sample.figures``, its name and form in the table."""

    key: str
    title: str
    form: str


_CPU = Figure("cpu", "CPU seconds", "{:.2f}")
_SMALL_GETS = (
    Figure("rate", "requests/s", "{:,.0f}"),
    Figure("p50_ms", "p50 ms", "{:.2f}"),
    Figure("p99_ms", "p99 ms", "{:.2f}"),
    Figure("failed", "failed requests", "{:.0f}"),
    _CPU,
    Figure("cpu_us_per_request", "CPU µs/request", "{:.0f}"),
)
_TRANSFERS = (Figure("speed", "MB/s", "{:,.0f}"), _CPU)
FIGURES: dict[str, tuple[Figure, ...]] = {
    MANIFEST: _SMALL_GETS,
    BLOB: _SMALL_GETS,
    PUSH: _TRANSFERS,
    PULL: _TRANSFERS,
}


@frozen
class Turn:
    """One server's turn in one round."""

    round: int
    server: str
    samples: dict[str, Sample]


@frozen
class Results:
    """All turns, and under which conditions they were taken.

    Attributes:
        conditions: what is said above the table, by title.
    """

    work: Work
    kinds: tuple[Kind, ...]
    conditions: Mapping[str, str]
    turns: Sequence[Turn]

    def values(self, server: str, phase: str, key: str) -> list[float]:
        """A figure of every round."""
        return [sample.figures[key] for sample in self._samples(server, phase)]

    def median(self, server: str, phase: str, key: str) -> float:
        """A figure's median over the rounds."""
        return median(self.values(server, phase, key))

    def peaks(self, server: str, phase: str) -> dict[str, float]:
        """The highest resident size of each process of a server in any round, in MiB."""
        highest: dict[str, float] = {}
        for sample in self._samples(server, phase):
            for name, peak in sample.peaks.items():
                highest[name] = max(peak, highest.get(name, 0.0))
        return highest

    def cpu(self, server: str, phase: str) -> dict[str, float]:
        """The median of the processor time of each process of a server, in seconds."""
        samples = self._samples(server, phase)
        names = dict.fromkeys(name for sample in samples for name in sample.cpu)
        return {name: median(sample.cpu.get(name, 0.0) for sample in samples) for name in names}

    @property
    def failed(self) -> int:
        """Requests that were not answered with success, in all turns."""
        return sum(
            int(sample.figures.get("failed", 0))
            for turn in self.turns
            for sample in turn.samples.values()
        )

    @property
    def is_peak_reset(self) -> bool:
        """Peaks are of one phase each."""
        return all(sample.is_peak_reset for turn in self.turns for sample in turn.samples.values())

    def _samples(self, server: str, phase: str) -> list[Sample]:
        return [turn.samples[phase] for turn in self.turns if turn.server == server]


def size_text(size: int) -> str:
    """Bytes as people write them: ``1 GiB``."""
    for unit, factor in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size >= factor and size % factor == 0:
            return f"{size // factor} {unit}"
    return f"{size} bytes"


def render(results: Results) -> str:
    """The conditions and both tables, as Markdown."""
    lines = [f"* {title}: {text}" for title, text in results.conditions.items()]
    lines += [f"* {kind.name}: {kind.durability}" for kind in results.kinds]
    return "\n".join([*lines, "", *_speeds(results), "", *_processes(results), ""])


def as_json(results: Results) -> dict[str, Any]:
    """Everything that was measured, each turn of it, and the medians."""
    return {
        "conditions": dict(results.conditions),
        "work": attrs.asdict(results.work),
        "durability": {kind.name: kind.durability for kind in results.kinds},
        "medians": {
            kind.name: {
                phase: {
                    figure.key: results.median(kind.name, phase, figure.key)
                    for figure in FIGURES[phase]
                }
                for phase in _phases(results)
            }
            for kind in results.kinds
        },
        "turns": [attrs.asdict(turn) for turn in results.turns],
    }


def _phases(results: Results) -> list[str]:
    return [phase for phase in PHASES if phase in results.work.phases]


def _title(results: Results, phase: str) -> str:
    return _TITLES[phase].format(size=size_text(results.work.size))


def _speeds(results: Results) -> Iterable[str]:
    names = [kind.name for kind in results.kinds]
    has_ratio = len(names) == 2
    yield _row("work", "figure", *names, *(["ratio"] if has_ratio else []))
    yield _row("---", "---", *["---:"] * (len(names) + has_ratio))
    for phase in _phases(results):
        for figure in FIGURES[phase]:
            medians = [results.median(name, phase, figure.key) for name in names]
            cells = [figure.form.format(value) for value in medians]
            yield _row(_title(results, phase), figure.title, *cells, *_ratio(medians))


def _ratio(medians: Sequence[float]) -> list[str]:
    """Ours over the peer's, if both were measured."""
    if len(medians) != 2:
        return []
    peer, ours = medians
    return [f"{ours / peer:.2f}" if peer else "-"]


def _processes(results: Results) -> Iterable[str]:
    yield _row("work", "server", "process", "CPU seconds", "peak MiB")
    yield _row("---", "---", "---", "---:", "---:")
    for phase in _phases(results):
        for kind in results.kinds:
            seconds = results.cpu(kind.name, phase)
            for name, peak in results.peaks(kind.name, phase).items():
                cells = (f"{seconds[name]:.2f}", f"{peak:.0f}")
                yield _row(_title(results, phase), kind.name, name, *cells)


def _row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"
