# SPDX-License-Identifier: Apache-2.0
"""Running digests, and their states in Go's form."""

from __future__ import annotations

import ctypes
import hashlib
import subprocess
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from txregistry.storage import hashes
from txregistry.storage.errors import Unsupported
from txregistry.storage.hashes import ALGORITHMS, RunningHash, find_library

from .go_states import GO_STATES

CONTINUE = """
import sys
from txregistry.storage.hashes import RunningHash
running = RunningHash.restore(sys.argv[1], bytes.fromhex(sys.argv[2]))
running.update(sys.stdin.buffer.read())
print(running.length, running.hexdigest())
"""


def pattern(size):
    return bytes(i * 7 % 251 for i in range(size))


@pytest.fixture
def only_hashlib(monkeypatch):
    """As on a system without a shared libcrypto."""
    monkeypatch.setattr(hashes, "_library", lambda: None)


@pytest.mark.parametrize(("algorithm", "size"), GO_STATES)
def test_state_is_that_of_go(algorithm, size):
    """Another registry on the same storage goes on from our states."""
    running = RunningHash(algorithm)
    running.update(pattern(size))
    assert running.export() == bytes.fromhex(GO_STATES[algorithm, size])


@pytest.mark.parametrize(("algorithm", "size"), GO_STATES)
def test_state_of_go_is_continued(algorithm, size):
    """We go on from another registry's states, to the digest of everything."""
    running = RunningHash.restore(algorithm, bytes.fromhex(GO_STATES[algorithm, size]))
    assert running is not None
    assert running.length == size
    rest = bytes(range(256)) * 3
    running.update(rest)
    assert running.hexdigest() == hashlib.new(algorithm, pattern(size) + rest).hexdigest()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_state_continues_in_another_process(algorithm):
    """A state is all that another process needs."""
    data = pattern(100_003)
    running = RunningHash(algorithm)
    running.update(data[:65_537])
    command = [sys.executable, "-c", CONTINUE, algorithm, running.export().hex()]
    printed = subprocess.run(
        command, input=data[65_537:], capture_output=True, check=True
    ).stdout.split()
    assert printed == [b"100003", hashlib.new(algorithm, data).hexdigest().encode()]


@given(st.sampled_from(ALGORITHMS), st.lists(st.binary(max_size=300)), st.data())
def test_any_cut_gives_the_digest_of_the_whole(algorithm, parts, data):
    """However the bytes are cut, and wherever the state is put down and taken up."""
    running = RunningHash(algorithm)
    for part in parts:
        if data.draw(st.booleans()):
            running = RunningHash.restore(algorithm, running.export())
        running.update(part)
    whole = b"".join(parts)
    assert running.hexdigest() == hashlib.new(algorithm, whole).hexdigest()
    assert running.length == len(whole)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_digest_may_be_asked_for_on_the_way(algorithm):
    """Asking does not end the running digest."""
    running = RunningHash(algorithm)
    for end in (0, 10, 200):
        running.update(pattern(200)[running.length : end])
        assert running.hexdigest() == hashlib.new(algorithm, pattern(end)).hexdigest()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_kind_of_buffer_is_taken(algorithm):
    """bytes, bytearray, and views of them, read-only, strided or empty."""
    data = bytearray(pattern(1000))
    views = (
        bytes(data),
        data,
        memoryview(data)[10:20],
        memoryview(bytes(data))[5:],
        memoryview(data)[::3],
        memoryview(data)[:0],
        memoryview(data).cast("I"),
        bytearray(),
        b"",
    )
    running = RunningHash(algorithm)
    for view in views:
        running.update(view)
    whole = b"".join(bytes(view) for view in views)
    assert (running.length, running.hexdigest()) == (
        len(whole),
        hashlib.new(algorithm, whole).hexdigest(),
    )


def test_junk_is_no_state():
    """What is not a state of that algorithm is refused without a crash."""
    good = RunningHash("sha256").export()
    huge = good[:-8] + b"\xff" * 8
    other = RunningHash("sha512").export()
    for state in (b"", good[:-1], good + b"\0", b"sha\x02" + good[4:], huge, other, b"sha\x03"):
        assert RunningHash.restore("sha256", state) is None


def test_longest_state_is_loaded():
    """Lengths are 64 bits wide; bits of the count above 32 are not lost."""
    for algorithm in ALGORITHMS:
        state = RunningHash(algorithm).export()[:-8] + ((1 << 61) - 128).to_bytes(8)
        running = RunningHash.restore(algorithm, state)
        assert running.length == (1 << 61) - 128
        assert running.export() == state
        running = RunningHash.restore(algorithm, state[:-8] + (1 << 40).to_bytes(8))
        words = {"sha256": 32, "sha512": 64}[algorithm]
        context = running._native._context
        assert context.bits_low + (context.bits_high << words) == 8 << 40


def test_unknown_algorithm_is_refused():
    """Only what clients may name is computed."""
    for algorithm in ("md5", "SHA256", "", "sha384"):
        with pytest.raises(Unsupported):
            RunningHash(algorithm)
        with pytest.raises(Unsupported):
            RunningHash.restore(algorithm, b"")


def test_two_threads_hash_at_once():
    """Updates release the interpreter's lock and do not disturb each other."""
    data, found = pattern(1 << 20), []

    def work():
        running = RunningHash("sha256")
        for _ in range(20):
            running.update(data)
        found.append(running.hexdigest())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(found) == {hashlib.sha256(data * 20).hexdigest()}


class WithoutLibcryptoTests:
    def test_hashlib_computes_and_keeps_no_state(self, only_hashlib):
        """Digests are right everywhere; only states are lacking."""
        for algorithm in ALGORITHMS:
            running = RunningHash(algorithm)
            running.update(memoryview(b"abc"))
            assert running.hexdigest() == hashlib.new(algorithm, b"abc").hexdigest()
            assert (running.length, running.export()) == (3, None)
            assert RunningHash.restore(algorithm, bytes.fromhex(GO_STATES[algorithm, 1])) is None

    def test_library_that_is_not_there_is_passed_over(self):
        """Names that can't be loaded, or that lack the functions, are no error."""
        libc = ctypes.CDLL(None)
        assert find_library(["libnowhere.so.0"]) is None
        assert find_library(["libc.so.6"]) is None
        assert libc

    def test_library_that_computes_otherwise_is_not_used(self, monkeypatch):
        """A libcrypto with another memory layout is found out before its first digest."""
        monkeypatch.setattr(hashes._Libcrypto, "hexdigest", lambda self: "0" * 64)
        assert find_library(hashes._mapped_libraries() + list(hashes._SONAMES)) is None

    def test_system_without_proc_has_no_mapped_libraries(self):
        """Then only the well-known names are tried."""
        assert hashes._mapped_libraries("/nowhere/maps") == []
