# SPDX-License-Identifier: Apache-2.0
"""What a front end is told at its start.

Room: fronts. It travels in a sealed memory file that the process inherits, so that what is secret
in it is in no environment, on no command line and in no file. The form is Python's own (pickle):
both ends are one program, started by one another, and nobody else can write there.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from typing import Any, BinaryIO

from attrs import field, frozen

from txregistry.config import Configuration

#: Descriptors of a front end.
CHANNEL_FD = 3
ASSIGNMENT_FD = 4
FIRST_SOCKET_FD = 5


@frozen
class Entry:
    """A listening socket that a front end inherits.

    Attributes:
        descriptor: in the process that has it now.
        name: ``plain`` if it speaks no TLS, ``acme`` if it answers challenges, else empty.
    """

    descriptor: int
    name: str


@frozen
class Assignment:
    """What one front end is to do.

    Attributes:
        number: which one it is, from 1.
        configuration: its share.
        driver: the storage driver's name, for messages and metrics.
        socket: where the driver listens.
        entries: the sockets to serve.
        secret: the key of upload tokens, None if it can't be had yet.
        problems: what fails on this host, as the main process knows it: ``Members`` of the word
            ``health``.
        instance: an id that all processes of one registry have.
    """

    number: int
    configuration: Configuration
    driver: str
    socket: str
    entries: tuple[Entry, ...]
    secret: bytes | None = field(repr=False)
    problems: Mapping[str, Any]
    instance: str

    def written(self) -> bytes:
        """Return it as it travels."""
        return pickle.dumps(self)

    @classmethod
    def loaded(cls, file: BinaryIO) -> Assignment:
        """Return what :meth:`written` made."""
        assignment = pickle.load(file)  # noqa: S301  # of the process that started us, by descriptor
        assert isinstance(assignment, cls)
        return assignment
