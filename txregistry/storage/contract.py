# SPDX-License-Identifier: Apache-2.0
"""What a storage driver promises.

Room: storage. Must not know repositories' meaning beyond paths, nor AMP, nor HTTP.

Two protocols, one above the other:

:class:`Driver`  what the registry calls: asynchronous, with digests computed as bytes arrive. It is
                 implemented by ``storage.hosted.HostedDriver`` (a store in this process) and by
                 ``ipc.remote`` (a driver process).
:class:`Store`   what a driver author writes: blocking calls, run in threads by ``HostedDriver``,
                 which adds hashing, hash states, fencing and the checking of paths. A driver in
                 another language implements the wire instead.

Paths are absolute and ``/``-separated, each part ``[A-Za-z0-9._-]+`` and neither ``.`` nor ``..``;
``/`` alone is allowed for ``stat``, ``list`` and ``walk``. Anything else is
:class:`~txregistry.storage.errors.InvalidPath`. Directories are virtual: they exist while something
is in them (a file system may leave empty ones behind). Offsets and sizes are bytes, spans
half-open.

Every method raises :class:`~txregistry.storage.errors.StorageError` and nothing else.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Protocol, runtime_checkable

from attrs import field, frozen

from txregistry.storage.errors import StorageError

#: Largest content that ``Driver.get`` returns and ``Driver.put`` takes, in bytes: a manifest of 4
#: MiB fits, a blob goes by writer. Arbitrary, but it bounds the memory that one call may cost on
#: either side.
CONTENT_LIMIT = 8 * 1024 * 1024

#: Largest record of a commit, in bytes. Arbitrary: a size has 20 digits at most.
RECORD_LIMIT = 1024


@frozen
class Entry:
    """What is known of a path without reading it.

    Attributes:
        size: bytes; 0 for a directory. For a staged upload it is the offset that a writer may be
            opened at.
        modified: nanoseconds since the epoch, by the store's clock; 0 where the store does not
            know.
        version: opaque token that differs whenever the content differs; empty for a directory.
    """

    path: str
    is_directory: bool
    size: int
    modified: int
    version: str = ""


@frozen
class Content:
    """Small content, whole, with the version it was read at."""

    data: bytes = field(repr=False)
    version: str


@frozen
class Child:
    """One name directly below a directory."""

    name: str
    is_directory: bool


@frozen
class Listing:
    """A page of children in byte order of their names; ``has_more`` says whether names after the
    last one exist.
    """

    children: tuple[Child, ...]
    has_more: bool


@frozen
class Walk:
    """A page of a walk: everything below a root, depth first, children in byte order, a directory
    before what is in it.
    """

    entries: tuple[Entry, ...]
    has_more: bool


@frozen
class Closing:
    """What a closed writer leaves behind.

    Attributes:
        size: bytes stored under the path; a writer may be opened there again, by anybody.
        digests: ``algorithm -> hex`` of all ``size`` bytes, for each algorithm whose running state
            is known; may be empty.
    """

    size: int
    digests: Mapping[str, str]


@runtime_checkable
class Reading(Protocol):
    """An open read of ``[start, stop)`` of one object; what it reads stays the same even if the
    path is replaced meanwhile.

    Attributes:
        size: bytes of the whole object.
        file: a read-only descriptor of a regular file that holds the whole object, or None. It
            stays valid until ``aclose`` and is shared: use explicit offsets only (``pread``,
            ``sendfile``).

    Iterating gives non-empty chunks from ``start`` to ``stop``; fewer bytes than that raise
    ``Corrupt`` or ``Unavailable``.
    """

    size: int
    start: int
    stop: int
    file: int | None

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    async def aclose(self) -> None:
        """Free the descriptor or the stream; repeatable."""


@runtime_checkable
class Writer(Protocol):
    """The one writer of a path. Bytes that it took stay stored, resumable, until somebody deletes
    or commits the path.

    Attributes:
        offset: bytes accepted so far, those stored before it was opened included.
        stored: bytes of them that the driver has confirmed; at most ``offset``, never goes back.
        appetite: bytes that are best given at once; fewer while there are many writers.
        progress: called with ``stored`` whenever it has grown, if somebody set it.
    """

    progress: Callable[[int], None] | None

    @property
    def offset(self) -> int: ...

    @property
    def stored(self) -> int: ...

    @property
    def appetite(self) -> int: ...

    async def write(self, data: bytes) -> None:
        """Append; returns once there is room for more, which is before the bytes are stored.

        Raises:
            Closed: after ``close`` or ``abandon``.
            Fenced: another writer, a commit, a move or a delete took the path.
        """

    async def close(self) -> Closing:
        """Wait until all accepted bytes are stored (and synced, if a hash state is kept for them)
        and end the writer.

        Raises:
            Closed: on a second call, or after ``abandon``.
        """

    async def abandon(self) -> None:
        """End the writer at once; bytes that were accepted and not confirmed may or may not be
        stored. Repeatable.
        """


class Driver(Protocol):
    """A storage driver as the registry sees it. One instance serves many calls at once."""

    async def stat(self, path: str) -> Entry:
        """Look at a path.

        Raises:
            Missing: nothing is there. (``/`` always exists.)
        """

    async def get(self, path: str) -> Content:
        """Read small content whole.

        Raises:
            Missing: nothing is there, or a directory is.
            TooLarge: more than :data:`CONTENT_LIMIT` bytes.
        """

    async def get_several(self, paths: Sequence[str]) -> Sequence[Content | StorageError]:
        """:meth:`get` of each path, all in one trip; a refusal stands in the place of its
        content.
        """

    async def put(
        self,
        path: str,
        data: bytes,
        *,
        if_absent: bool = False,
        if_version: str | None = None,
        record: tuple[str, bytes] | None = None,
    ) -> str:
        """Create or replace small content: atomic for readers, durable once answered, parents are
        made.

        Args:
            if_absent: only if nothing is there.
            if_version: only if this version is there.
            record: as for :meth:`commit`; not with a condition (Unsupported).

        Returns:
            The new version.

        Raises:
            Exists: ``if_absent`` and something is there.
            Changed: ``if_version`` and something else, or nothing, is there.
            TooLarge: more than :data:`CONTENT_LIMIT` bytes.
        """

    async def read(self, path: str, start: int = 0, stop: int | None = None) -> Reading:
        """Open a read; ``stop`` beyond the end is the end; ``start`` equal to the size reads
        nothing.

        Raises:
            Missing: nothing is there, or a directory is.
            InvalidOffset: ``start`` is negative or beyond the size, or ``stop`` is before
                ``start``.
        """

    async def open_writer(
        self, path: str, offset: int, *, algorithms: Sequence[str] = (), states: str | None = None
    ) -> Writer:
        """Compare and append: open the one writer of ``path`` if exactly ``offset`` bytes are
        stored there (0: or nothing is).

        An older writer of the path is fenced, unless ``offset`` can't be right whatever becomes of
        the bytes that it has in flight: a stale retry does not end a live upload.

        Args:
            algorithms: digests to compute as bytes arrive: ``sha256``, ``sha512``.
            states: directory under which running hash states are kept, as
                ``<states>/<algorithm>/<offset>``, in Go's binary form (108 bytes for sha256, 204
                for sha512); None keeps none. The newest one at or below ``offset`` is continued
                with the stored bytes after it; those beyond ``offset`` are removed.

        Raises:
            WrongOffset: with the stored size.
            InvalidOffset: ``offset`` is negative.
        """

    async def commit(
        self,
        path: str,
        destination: str,
        *,
        size: int,
        digest: str,
        record: tuple[str, bytes] | None = None,
        states: str | None = None,
    ) -> None:
        """Verify what is staged at ``path``, make it durable and publish it as ``destination``, in
        that order; idempotent.

        ``path`` stays until it is deleted. Afterwards ``destination`` holds ``size`` bytes of
        ``digest``: one that is there with the right size stays as it is, any other is replaced. A
        writer still open on ``path`` is fenced. What is appended to ``path`` later does not reach
        ``destination``.

        Args:
            digest: ``algorithm:hex``.
            record: a path in the directory of ``destination``, and what it is to hold, at most
                :data:`RECORD_LIMIT` bytes: it is there, durably, before ``destination`` is, also if
                that stays as it is. A driver may leave it out.
            states: where the writers of ``path`` kept their hash states, so that a driver that was
                started since need not hash all of it again; None if they kept none.

        Raises:
            Missing: nothing is staged at ``path``.
            Mismatch: the staged bytes are others; nothing is published, ``path`` stays.
            Unsupported: the algorithm is not known.
            InvalidPath: the record lies elsewhere.
            TooLarge: the record.
        """

    async def move(self, source: str, destination: str) -> None:
        """Rename a file or a directory with all below it, replacing what is at ``destination``;
        durable once answered.

        Raises:
            Missing: nothing is at ``source``; ``destination`` is untouched.
            InvalidPath: ``destination`` lies below a file, or inside ``source``.
        """

    async def delete(self, path: str, *, if_version: str | None = None) -> None:
        """Remove a file, or a directory with all below it; durable once answered.

        Raises:
            Missing: nothing is there.
            Changed: ``if_version`` names another version than the stored one.
        """

    async def list(self, path: str, *, after: str = "", limit: int = 1000) -> Listing:
        """One page of the children of ``path``, by byte order of the name, strictly after the name
        ``after``.

        Raises:
            Missing: nothing is there, or a file is. (``/`` of an empty store lists nothing.)
        """

    async def walk(
        self, path: str, *, after: str = "", skip_subtree: bool = False, limit: int = 1000
    ) -> Walk:
        """One page of everything below ``path``, strictly after the path ``after`` in walk order.

        Args:
            after: a full path below ``path`` (it need not exist), or empty for the start.
            skip_subtree: leave out what lies below ``after`` too.

        Raises:
            Missing: nothing is at ``path``, or a file is.
        """

    async def sync(self, paths: Sequence[str]) -> None:
        """Make the content of files and the names in directories durable, whatever wrote them.

        Raises:
            Missing: one of them does not exist.
        """

    async def redirect_url(
        self, path: str, method: str, expires_in: int, *, client: str = ""
    ) -> str | None:
        """A URL at which a client may do ``method`` itself for ``expires_in`` seconds, or None.

        Args:
            client: the client's IP address, since another URL may suit another network; empty if
                it is not known.
        """


# --- what a driver author writes
# --------------------------------------------------------------------------------


@frozen
class FileContent:
    """Content that is a regular file: a read-only, close-on-exec descriptor that the caller closes,
    and its size.
    """

    descriptor: int
    size: int


class StreamContent(Protocol):
    """Content that is read by call, from the offset at which it was opened; ``size`` is the whole
    object's.
    """

    size: int

    def read(self, limit: int) -> bytes:
        """At most ``limit`` next bytes, empty only at the end."""

    def close(self) -> None:
        """Free it; repeatable."""


class Appender(Protocol):
    """Takes the bytes of one writer, from one thread at a time."""

    def append(self, data: memoryview) -> int:
        """Take all of ``data``.

        Returns:
            Bytes stored under the path so far, at most all that were taken: what a reopening would
                find after the
            driver's process died. Less than taken if some wait in memory (the part of an object
            store).
        """

    def sync(self) -> int:
        """Put everything that was taken on stable storage; returns the bytes stored."""

    def close(self) -> int:
        """Store everything that was taken, without syncing it, and free the appender; returns the
        bytes stored. Repeatable.
        """


class Store(Protocol):
    """The blocking half of a driver: called in threads, many at once. ``HostedDriver`` has checked
    every path.

    Semantics are those of the methods of the same name of :class:`Driver`, except where said.
    """

    #: The name in logs and in Hello.
    name: str

    def stat(self, path: str) -> Entry: ...

    def get(self, path: str) -> Content: ...

    def put(self, path: str, data: bytes, *, if_absent: bool, if_version: str | None) -> str: ...

    def open(self, path: str, start: int) -> FileContent | StreamContent:
        """Open content for reading; a stream begins at ``start``, which may equal the size but not
        exceed it (InvalidOffset).
        """

    def append(self, path: str, offset: int) -> Appender:
        """Open for appending at ``offset``, creating the file if that is 0 and nothing is there.

        Raises:
            WrongOffset: the stored size is another.
        """

    def publish(self, path: str, destination: str, size: int) -> None:
        """Sync the verified bytes at ``path`` and make ``destination`` hold them, atomically and
        durably.

        ``path`` must still be there afterwards (a hard link, a server-side copy). A destination of
        the right size may stay.
        """

    # A store may have more: see RecordingStore, TellingStore.

    def move(self, source: str, destination: str) -> None: ...

    def delete(self, path: str, *, if_version: str | None) -> None: ...

    def list(self, path: str, after: str, limit: int) -> Listing: ...

    def sync(self, paths: Sequence[str]) -> None: ...

    def redirect_url(self, path: str, method: str, expires_in: int) -> str | None:
        """As above. Asked only of a store that says ``has_redirects = True`` as well."""

    def close(self) -> None:
        """Free everything; the process ends."""


@runtime_checkable
class TellingStore(Protocol):
    """A store whose listings tell more than names, so that a walk needs not ask for each of them.

    Without it ``walk`` calls ``list``, and ``stat`` for each child.
    """

    def list_entries(self, path: str, after: str, limit: int) -> tuple[Sequence[Entry], bool]:
        """As ``Store.list``, with what ``Store.stat`` would say of each child, and whether names
        after the last one exist.
        """


@runtime_checkable
class RecordingStore(Protocol):
    """A store that stores bytes and a record of them in one go, cheaper than by a ``put`` before.

    Without it ``HostedDriver`` puts the record.
    """

    def publish_recorded(
        self, path: str, destination: str, size: int, record_path: str, record: bytes
    ) -> None:
        """Publish as ``Store.publish`` does, and make ``record_path``, in the same directory, hold
        ``record``: there before ``destination`` is, atomically, durable with it.
        """

    def put_recorded(self, path: str, data: bytes, record_path: str, record: bytes) -> str:
        """The same for a ``put`` without conditions."""
