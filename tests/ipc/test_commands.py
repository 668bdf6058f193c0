# SPDX-License-Identifier: Apache-2.0
"""What is refused on one side is refused on the other, with all that was said about it."""

from __future__ import annotations

import pytest
import pytest_twisted
from hypothesis import given
from hypothesis import strategies as st
from twisted.protocols import amp

from txregistry.ipc import commands
from txregistry.ipc.commands import ERRORS, REFUSALS, Whole, decode_refusal, encode_refusal
from txregistry.storage.errors import CODES, Internal, StorageError, Throttled, WrongOffset
from txregistry.storage.hosted import HostedDriver
from txregistry.storage.memory import MemoryStore

from .loopback import Loopback, RawLoopback, over

COMMANDS = [
    kind
    for kind in vars(commands).values()
    if isinstance(kind, type) and issubclass(kind, amp.Command)
]


def example(code):
    kind = CODES[code]
    if kind is WrongOffset:
        return WrongOffset("it is shorter", path="/a/b", actual=1234567890123)
    if kind is Throttled:
        return Throttled("slowly", path="/a/b", retry_after=2.5)
    return kind("it is so", path="/a/b")


class RefusalTests:
    @pytest.mark.parametrize("code", CODES)
    @pytest_twisted.ensureDeferred
    async def test_refusal_arrives_as_it_was_raised(self, code):
        """Every code crosses the wire with its message, its path and what else belongs to it."""

        class Refusing(HostedDriver):
            async def stat(self, path):
                raise example(code)

        loopback = Loopback(lambda run: Refusing(MemoryStore(), run=run))
        with pytest.raises(CODES[code]) as caught:
            await over(loopback).stat("/a/b")
        assert type(caught.value) is CODES[code]
        assert vars(caught.value) == vars(example(code))
        await loopback.end()

    @given(st.sampled_from(sorted(CODES)), st.text(max_size=5000), st.text(max_size=5000))
    def test_any_text_fits_the_wire(self, code, message, path):
        """No message and no path is too long or too strange to be sent."""
        original = CODES[code](message, path=path)
        refusal = encode_refusal(original)
        text = str(refusal)
        assert len(text.encode()) < 65_536
        error = decode_refusal(refusal.code, text)
        assert (error.message, error.path) == (original.message[:2000], path[:2048])

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("disk on fire", "disk on fire"),
            ('"disk on fire"', "disk on fire"),
            ("[1]", "[1]"),
            ("{", "{"),
            ("[" * 100_000, "[" * 2000),
            ('{"message": 5}', "5"),
            ("{}", "Denied"),
            ("", "Denied"),
        ],
    )
    def test_description_may_be_plain_text(self, text, message):
        """A driver in another language may say what it likes; it is taken as the message."""
        assert decode_refusal("Denied", text).message == message

    @pytest.mark.parametrize("actual", ["-1", '"5"', "null", "1.5", "[]"])
    def test_offset_that_is_none_counts_as_zero(self, actual):
        """Nonsense in place of the stored size is not believed."""
        assert decode_refusal("WrongOffset", f'{{"actual": {actual}}}').actual == 0

    @pytest.mark.parametrize("wait", ["-1", '"5"', "null", "NaN", "Infinity", "1e9"])
    def test_wait_that_is_none_counts_as_a_second(self, wait):
        """No driver makes clients wait for days."""
        assert decode_refusal("Throttled", f'{{"retry_after": {wait}}}').retry_after == 1.0

    def test_code_of_a_later_version_is_internal(self):
        """A newer driver's refusal is a failure, not the end of the connection."""
        assert type(decode_refusal("Purple", "{}")) is Internal

    @pytest.mark.parametrize("code", [b"Purple", b"UNKNOWN", b"Internal"])
    @pytest_twisted.ensureDeferred
    async def test_unknown_code_keeps_the_connection(self, code):
        """Codes are only ever added: one that is not known yet costs its request and nothing
        else.
        """
        loopback = RawLoopback(
            lambda driver, box: driver.refuse(box, code, b'{"message": "out of tune"}')
        )
        for _ in range(2):
            with pytest.raises(Internal, match="out of tune"):
                await over(loopback).stat("/a")
        assert loopback.connections == 1
        await loopback.end()


class TableTests:
    def test_everything_is_declared(self):
        """Nothing that a responder may raise closes the connection: ``Exception`` comes last."""
        for command in COMMANDS:
            table = command.allErrors
            assert list(table)[-1] is Exception, command
            assert {kind.code: code for kind, code in list(table.items())[:-1]} == {
                code: code.encode() for code in CODES
            }
        assert set(REFUSALS) == set(CODES)
        assert len(ERRORS) == len(CODES) + 1

    def test_descriptors_come_last(self):
        """What is claimed for a box belongs to somebody: nothing after it can make no sense."""
        for command in COMMANDS:
            for table in (command.arguments, command.response):
                kinds = [isinstance(kind, amp.Descriptor) for _, kind in table]
                assert kinds == sorted(kinds), command
                assert sum(kinds) <= 1, command

    def test_names_are_those_of_the_document(self):
        """The command is known by its class's name, on the wire and in logs."""
        assert {command.commandName for command in COMMANDS if command.__name__[0] != "_"} == {
            command.__name__.encode() for command in COMMANDS if command.__name__[0] != "_"
        }

    def test_every_refusal_is_a_storage_error(self):
        """The table has nothing that callers don't expect."""
        assert all(issubclass(kind, StorageError) for kind in CODES.values())


class WholeTests:
    def test_negative_makes_no_sense(self):
        """A size below zero is never believed."""
        assert Whole().fromString(b"5") == 5
        for text in (b"-1", b"", b"x", b"9" * 5000):
            with pytest.raises(ValueError):
                Whole().fromString(text)
