# SPDX-License-Identifier: Apache-2.0
"""What serves clients, for those who need not know how: this process does (``own_front``), or
several others that it starts (``sharing``).

    (built)      nobody is served, nothing is asked of storage
    use_secret   uploads are taken; before serve, or whenever it is known
    serve        clients are answered, those that wait in the backlog first; it tells when they are
    prepare      what a reload changes
    drain        connections end
    stop         what only requests needed ends, after storage
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from txregistry.config import Configuration
from txregistry.errand import Errand
from txregistry.metrics import Numbers, Sample
from txregistry.oci.names import UploadId
from txregistry.registry import Registry


class Serving(Protocol):
    """What can be seen of it."""

    @property
    def connections(self) -> int:
        """How many clients have one to this process."""

    @property
    def front_ends(self) -> int:
        """How many other processes serve for this one now."""

    @property
    def deaths(self) -> int:
        """How many of them have ended without being asked to."""

    def errands(self) -> Sequence[Errand]:
        """On whose behalf this process is answering requests."""

    def samples(self) -> Iterable[Sample]:
        """What is true of it now, in this process."""

    async def numbers(self) -> Sequence[Numbers]:
        """What other processes have counted."""

    async def stacks(self) -> str:
        """What all of their threads and requests are at."""


class Front(Serving, Protocol):
    """What is done with it."""

    @property
    def registry(self) -> Registry | None:
        """What this process serves; None if others do it."""

    def use_secret(self, secret: bytes) -> None:
        """Learn the key of upload tokens."""

    def serve(self) -> None:
        """Begin."""

    def prepare(self, configuration: Configuration) -> Callable[[], None]:
        """Read the files of another configuration; what is returned puts it to use.

        Raises:
            StartError: one can't be used; nothing has changed.
        """

    async def is_in_use(self, upload_id: UploadId) -> bool:
        """Say whether a request may be at work on an upload session."""

    def dump(self) -> None:
        """Have other processes write to the log what they are at."""

    async def drain(self, timeout: float) -> None:
        """Finish the requests in progress within ``timeout`` seconds, close what is left; also if
        it has never served.
        """

    async def stop(self) -> None:
        """End what only requests needed."""
