# SPDX-License-Identifier: Apache-2.0
"""The bench runs from end to end and says what it should; how fast anything is is never judged
here.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from .failures import BenchError
from .phases import PHASES, Sample, Work
from .processes import find_process, find_tree, reset_peaks
from .report import FIGURES, Results, Turn, render, size_text
from .run import parse_size
from .servers import OURS, PEER
from .wire import Content, digest_of

ROOT = Path(__file__).parents[2]


def run_bench(*options: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, with another PATH if one is given."""
    return subprocess.run(
        [sys.executable, "-m", "tests.bench.run", *options],
        cwd=ROOT,
        env={**os.environ, "PATH": os.environ["PATH"] if path is None else path},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def rows(table: str) -> list[list[str]]:
    """The cells of every row of the Markdown tables in a text."""
    lines = [line for line in table.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


class ShortRunTests:
    def test_both_servers_every_row_is_there_and_nothing_failed(self, tmp_path: Path) -> None:
        """One command measures both registries and leaves nothing behind."""
        kept = tmp_path / "bench.json"
        before = set(Path("/dev/shm").glob("bench-*"))

        done = run_bench("--short", "--json", str(kept))

        assert done.returncode == 0, done.stdout + done.stderr
        table = rows(done.stdout)
        processes = table.index(["work", "server", "process", "CPU seconds", "peak MiB"])
        speeds = table[2:processes]
        assert [row[1] for row in speeds] == [
            figure.title for phase in PHASES for figure in FIGURES[phase]
        ]
        assert [row[2:] for row in speeds if row[1] == "failed requests"] == [["0", "0", "-"]] * 2
        assert all(
            float(cell.replace(",", "")) > 0
            for row in speeds
            if row[1] == "MB/s"
            for cell in row[2:]
        )
        assert {row[1] for row in table[processes + 2 :]} == {"peer", "ours"}
        written = json.loads(kept.read_text())
        assert [turn["server"] for turn in written["turns"]] == ["peer", "ours"]
        assert set(written["medians"]["ours"]) == set(PHASES)
        assert set(Path("/dev/shm").glob("bench-*")) <= before


class CommandLineTests:
    def test_missing_tool_is_one_sentence_with_the_way_out(self, tmp_path: Path) -> None:
        """Whoever lacks a tool is told how to get it."""
        done = run_bench("--short", path=str(tmp_path))
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == "bench: wrk is not installed; run: apt install wrk\n"

    def test_missing_peer_is_one_sentence_with_the_way_out(self, tmp_path: Path) -> None:
        """Whoever lacks the other registry is told how to get it."""
        (tmp_path / "wrk").symlink_to("/bin/true")
        done = run_bench("--short", path=str(tmp_path))
        assert (done.returncode, done.stdout) == (1, "")
        assert (
            done.stderr
            == "bench: docker-registry is not installed; run: apt install docker-registry\n"
        )

    def test_unknown_phase_is_refused_with_the_known_ones(self) -> None:
        """A misspelt phase does not silently measure nothing."""
        done = run_bench("--only", "manifests")
        assert done.returncode == 2
        assert "some of manifest,blob,push,pull, not 'manifests'" in done.stderr

    @pytest.mark.parametrize(
        ("text", "size"), [("1G", 1 << 30), ("64m", 64 << 20), ("4K", 4096), ("17", 17)]
    )
    def test_size_with_a_unit_is_understood(self, text: str, size: int) -> None:
        """Sizes are written as people write them."""
        assert parse_size(text) == size

    @pytest.mark.parametrize("text", ["", "G", "0", "-1M", "1T"])
    def test_size_that_is_none_is_refused(self, text: str) -> None:
        """Nonsense does not become a size."""
        with pytest.raises(ValueError):
            parse_size(text)


class ContentTests:
    @pytest.mark.parametrize("size", [1, 1 << 20, (2 << 20) + 17])
    def test_blocks_add_up_to_the_size_and_the_digest(self, size: int) -> None:
        """What is pushed has the digest that it is pushed under."""
        blocks = [bytes(block) for block in Content(size).blocks()]
        assert digest_of(b"".join(blocks)) == Content(size).digest
        assert sum(map(len, blocks)) == size
        assert len(set(blocks)) == len(blocks)


class ProcessTests:
    def test_a_child_belongs_to_the_tree_and_is_named_after_its_module(self) -> None:
        """Memory and processor time are told apart by what runs."""
        command = [sys.executable, "-m", "timeit", "-n1", "-r1", "import time; time.sleep(60)"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as child:
            try:
                member = next(
                    process for process in find_tree(os.getpid()) if process.pid == child.pid
                )
                assert (member.name, member.parent) == ("timeit", os.getpid())
                assert member.peak_mib > 0
                assert reset_peaks([member]) is os.access(f"/proc/{child.pid}/clear_refs", os.W_OK)
            finally:
                child.kill()
        assert find_process(child.pid) is None

    def test_a_process_that_ended_says_so(self) -> None:
        """A server that died is not measured as one that used nothing."""
        with subprocess.Popen(["/bin/sleep", "60"]) as child:
            found = find_tree(child.pid)
            child.kill()
        with pytest.raises(BenchError, match="ended during the bench"):
            reset_peaks(found)
        assert find_tree(child.pid) == []


class ReportTests:
    def test_medians_and_ratios_are_those_of_all_rounds(self) -> None:
        """A figure that is off in one round does not decide."""

        def turn(number: int, server: str, speed: float) -> Turn:
            sample = Sample({"speed": speed, "cpu": 0.0}, {"main": 1.0}, {"main": speed})
            return Turn(number, server, {"push": sample})

        turns = [turn(n, "peer", speed) for n, speed in enumerate((100.0, 1.0, 120.0))]
        turns += [turn(n, "ours", speed) for n, speed in enumerate((150.0, 9000.0, 100.0))]
        results = Results(Work(1, 1 << 30, ("push",)), (PEER, OURS), {"date": "today"}, turns)
        assert rows(render(results)) == [
            ["work", "figure", "peer", "ours", "ratio"],
            ["---", "---", "---:", "---:", "---:"],
            ["push a blob of 1 GiB", "MB/s", "100", "150", "1.50"],
            ["push a blob of 1 GiB", "CPU seconds", "0.00", "0.00", "-"],
            ["work", "server", "process", "CPU seconds", "peak MiB"],
            ["---", "---", "---", "---:", "---:"],
            ["push a blob of 1 GiB", "peer", "main", "1.00", "120"],
            ["push a blob of 1 GiB", "ours", "main", "1.00", "9000"],
        ]

    @pytest.mark.parametrize(
        ("size", "text"),
        [(1 << 30, "1 GiB"), (3 << 20, "3 MiB"), (4096, "4 KiB"), (1000, "1000 bytes")],
    )
    def test_sizes_read_as_people_write_them(self, size: int, text: str) -> None:
        """The table names the size of the blob."""
        assert size_text(size) == text
