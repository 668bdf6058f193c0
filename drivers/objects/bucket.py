# SPDX-License-Identifier: Apache-2.0
"""What an object store has to offer, so that a driver can be made of it.

Drivers: objects. Must not know paths, uploads or any vendor. A driver for one vendor writes a
:class:`Bucket` over the vendor's client; :class:`~txregistry_drivers.objects.store.ObjectStore`
makes a store of it. ``memory.MemoryBucket`` is the reference, and the tests' fake.

Rules for every method:

* Calls block, and come from many threads at once.
* Keys are whole: the store has put its root in front. They hold ``[A-Za-z0-9._~/-]`` only.
* What was answered is durable, and seen by every later call. (A listing that trails is tolerated
  for a moment; reads by key are not.)
* A refusal is a row of ``txregistry.driver``'s errors, with a sentence for the operator's log and
  never a secret. Beside those named below: ``Throttled`` if the backend asks for patience (give
  ``retry_after`` if it said so), ``Unavailable`` if it can't be reached or is at fault, ``Denied``
  for what credentials don't allow, ``NoSpace`` for a quota. Nobody above retries, so retry inside,
  within a budget.
* Because of that a call may have happened although it seemed to fail: the store can live with it.
  Conditional puts carry a token in their metadata, by which it recognises its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from attrs import field, frozen


@frozen
class ObjectHead:
    """What is known of an object without its bytes.

    Attributes:
        size: bytes of the whole object.
        version: an opaque, non-empty token that differs whenever the bytes do (an ETag, a
            generation); what ``if_version`` is compared with.
        modified: nanoseconds since the epoch, cut to whole seconds, so that ``head`` and ``list``
            agree; 0 if not known.
        metadata: what it was put with: names are lower-case letters, values printable ASCII.
    """

    size: int
    version: str
    modified: int
    metadata: Mapping[str, str] = field(factory=dict)


@frozen
class ListedObject:
    """What a listing tells of an object; the fields are those of :class:`ObjectHead`."""

    key: str
    size: int
    version: str
    modified: int


@frozen
class KeyPage:
    """A page of a listing.

    Attributes:
        objects: in byte order of their keys.
        prefixes: in byte order; each ends with ``/``. Empty in a deep listing.
        after: where the next page begins, for ``list``'s ``after``; empty if this is the last.
    """

    objects: tuple[ListedObject, ...]
    prefixes: tuple[str, ...]
    after: str


@frozen
class Piece:
    """Bytes ``[start, stop)`` of an object that is there.

    Attributes:
        is_whole: that is all of it.
    """

    key: str
    start: int
    stop: int
    is_whole: bool = False

    @property
    def size(self) -> int:
        return self.stop - self.start


@frozen
class Capabilities:
    """What the backend was found to do; a driver probes it at its start, or knows it.

    Attributes:
        if_absent: ``put(if_absent=True)`` is decided by the backend. Else the store looks first, and
            only calls in one process are told apart.
        if_version: the same for ``put(if_version=...)``.
        delete_if_version: the same for ``delete``.
        copy_limit: bytes that ``copy`` copies at most; above that ``compose`` is used.
        smallest_piece: bytes that a piece of ``compose`` has at least, unless it is the last one
            (5 MiB for S3; 1 where there is no such rule).
        most_pieces: pieces that ``compose`` takes at most.
        good_piece: bytes of the pieces that large objects are cut into, to be copied side by side.
    """

    if_absent: bool = True
    if_version: bool = True
    delete_if_version: bool = True
    copy_limit: int = 5 * 1024**3
    smallest_piece: int = 5 * 1024**2
    most_pieces: int = 10_000
    good_piece: int = 64 * 1024**2


class OpenObject(Protocol):
    """An object that is being read. ``read`` and ``close`` come from one thread at a time."""

    #: Of the whole object, whatever ``start`` was.
    head: ObjectHead

    def read(self, limit: int) -> bytes:
        """At most ``limit`` next bytes, empty only at the end.

        A connection that breaks is made anew at the position reached, for the same version; the
        caller sees nothing of it.

        Raises:
            Unavailable: that was tried in vain, or the object is another by now.
        """

    def close(self) -> None:
        """Free it, before the end too; repeatable. A connection that is not at its end is closed,
        not drained.
        """


class Bucket(Protocol):
    """One bucket, container or whatever the vendor calls it."""

    #: The driver's name, for logs.
    name: str

    capabilities: Capabilities

    def head(self, key: str) -> ObjectHead:
        """Look at an object.

        Raises:
            Missing: there is none.
        """

    def open(self, key: str, start: int = 0) -> OpenObject:
        """Open an object for reading from ``start`` on; ``start`` equal to the size reads nothing.

        One request where the vendor can do it: content and metadata come together.

        Raises:
            Missing: there is none.
            InvalidOffset: ``start`` is beyond the size.
        """

    def put(
        self,
        key: str,
        data: bytes,
        *,
        metadata: Mapping[str, str],
        if_absent: bool = False,
        if_version: str | None = None,
    ) -> str:
        """Create or replace an object, whole, by one request; returns its version.

        Conditions are only given where ``capabilities`` has them.

        Raises:
            Exists: ``if_absent`` and there is one.
            Changed: ``if_version`` and there is another one, or none.
        """

    def delete(self, key: str, *, if_version: str | None = None) -> None:
        """Remove an object; one that is not there is no error.

        Raises:
            Changed: ``if_version`` and there is another one.
        """

    def delete_many(self, keys: Sequence[str]) -> None:
        """Remove objects, of any number; those that are not there are no error."""

    def copy(self, source: str, destination: str) -> None:
        """Copy an object of at most ``copy_limit`` bytes on the server, metadata too, replacing what
        is at ``destination``, atomically.

        Raises:
            Missing: there is no source.
        """

    def compose(
        self, key: str, pieces: Sequence[Piece | bytes], note: Callable[[str], None]
    ) -> None:
        """Make one object, without metadata, of pieces of others and of bytes that are given,
        replacing what is at ``key``, atomically. The bytes of the pieces stay on the server.

        Pieces keep to ``capabilities``: they are not smaller than ``smallest_piece`` (but the last),
        not larger than ``copy_limit``, not more than ``most_pieces``. The source objects stay, and
        do not matter any more to the result.

        Args:
            note: called with a text by which :meth:`undo` finds what an unfinished call leaves
                behind (an upload id; names of temporary objects), once that is known and before
                anything large is made. It may be called again; the last text counts. Where nothing
                can be left behind it need not be called.

        Raises:
            Missing: a source is not there. ``key`` is untouched.
        """

    def undo(self, note: str) -> None:
        """Remove what a :meth:`compose` with this note left behind, if it did; never the object that
        it made. Repeatable, also after success.
        """

    def list(self, prefix: str, *, after: str, limit: int, is_deep: bool) -> KeyPage:
        """One page of the keys that begin with ``prefix`` and are strictly greater than the key
        ``after`` (empty: from the start), in byte order of the whole key.

        Args:
            prefix: empty, or ends with ``/``.
            limit: objects and prefixes together, at most; a page may have fewer, even none, and
                still not be the last.
            is_deep: every key. Otherwise what has a further ``/`` behind the prefix is told as one
                of ``prefixes``, up to that ``/``. After such a prefix ``after`` is a key behind
                everything below it.
        """

    def presign(self, key: str, method: str, expires_in: int) -> str | None:
        """A URL at which anybody may GET or HEAD the object for ``expires_in`` seconds, or None."""

    def close(self) -> None:
        """Free everything."""
