# SPDX-License-Identifier: Apache-2.0
"""A bucket in memory: the reference for :class:`~txregistry_drivers.objects.bucket.Bucket`, and the
fake under the store's own tests.

Drivers: objects. It counts calls, keeps the limits that it is given as a real one does, and leaves
behind what an unfinished ``compose`` would leave.
"""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from attrs import frozen

from txregistry.driver import Changed, Exists, Internal, InvalidOffset, Missing
from txregistry_drivers.objects.bucket import (
    Capabilities,
    KeyPage,
    ListedObject,
    ObjectHead,
    Piece,
)


@frozen
class _Object:
    data: bytes
    head: ObjectHead


class MemoryBucket:
    """Objects in a dict.

    Args:
        capabilities: the limits and conditions that it keeps to.
        now: the clock, nanoseconds since the epoch.

    Attributes:
        calls: how often each method was called.
        unfinished: notes of compositions that were begun and neither finished nor undone.
        fault: called with a method's name and a key before each call; may raise.
    """

    name = "memory-bucket"

    def __init__(
        self,
        capabilities: Capabilities | None = None,
        *,
        now: Callable[[], int] = lambda: 1_700_000_000_000_000_000,
    ) -> None:
        self.capabilities = capabilities or Capabilities()
        self.calls: Counter[str] = Counter()
        self.unfinished: set[str] = set()
        self.fault: Callable[[str, str], None] = lambda method, key: None
        self._now = now
        self._lock = threading.Lock()
        self._objects: dict[str, _Object] = {}
        self._numbers = itertools.count(1)

    def stored_keys(self) -> list[str]:
        """All keys, in order."""
        with self._lock:
            return sorted(self._objects)

    def head(self, key: str) -> ObjectHead:
        self._enter("head", key)
        return self._find(key).head

    def open(self, key: str, start: int = 0) -> MemoryObject:
        self._enter("open", key)
        found = self._find(key)
        if start > found.head.size:
            raise InvalidOffset(f"{start} is beyond the end", path=key)
        return MemoryObject(found.head, found.data, start)

    def put(
        self,
        key: str,
        data: bytes,
        *,
        metadata: Mapping[str, str],
        if_absent: bool = False,
        if_version: str | None = None,
    ) -> str:
        self._enter("put", key)
        with self._lock:
            present = self._objects.get(key)
            if if_absent and present is not None:
                raise Exists(path=key)
            if if_version is not None and (present is None or present.head.version != if_version):
                raise Changed(path=key)
            return self._place(key, bytes(data), metadata)

    def delete(self, key: str, *, if_version: str | None = None) -> None:
        self._enter("delete", key)
        with self._lock:
            present = self._objects.get(key)
            if present is not None and if_version not in (None, present.head.version):
                raise Changed(path=key)
            self._objects.pop(key, None)

    def delete_many(self, keys: Sequence[str]) -> None:
        self._enter("delete_many", keys[0] if keys else "")
        with self._lock:
            for key in keys:
                self._objects.pop(key, None)

    def copy(self, source: str, destination: str) -> None:
        self._enter("copy", destination)
        found = self._find(source)
        if found.head.size > self.capabilities.copy_limit:
            raise Internal("more than one call may copy", path=source)
        with self._lock:
            self._place(destination, found.data, found.head.metadata)

    def compose(
        self, key: str, pieces: Sequence[Piece | bytes], note: Callable[[str], None]
    ) -> None:
        self._enter("compose", key)
        limits = self.capabilities
        name = f"composition-{next(self._numbers)}"
        with self._lock:
            self.unfinished.add(name)
        note(name)
        sizes = [len(piece) if isinstance(piece, bytes) else piece.size for piece in pieces]
        if any(size < limits.smallest_piece for size in sizes[:-1]):
            raise Internal(f"a piece is smaller than {limits.smallest_piece}", path=key)
        if len(pieces) > limits.most_pieces or max(sizes) > limits.copy_limit:
            raise Internal("a composition has a piece too many, or too large a one", path=key)
        data = b"".join(
            piece
            if isinstance(piece, bytes)
            else self._find(piece.key).data[piece.start : piece.stop]
            for piece in pieces
        )
        self._enter("finish", key)
        with self._lock:
            self._place(key, data, {})
            self.unfinished.discard(name)

    def undo(self, note: str) -> None:
        self._enter("undo", note)
        with self._lock:
            self.unfinished.discard(note)

    def list(self, prefix: str, *, after: str, limit: int, is_deep: bool) -> KeyPage:
        self._enter("list", prefix)
        with self._lock:
            keys = sorted(key for key in self._objects if key.startswith(prefix) and key > after)
            objects: list[ListedObject] = []
            prefixes: list[str] = []
            for key in keys:
                below, slash, _ = key[len(prefix) :].partition("/")
                group = prefix + below + slash if slash and not is_deep else ""
                if group and prefixes and prefixes[-1] == group:
                    continue
                if len(objects) + len(prefixes) == limit:
                    return KeyPage(tuple(objects), tuple(prefixes), after)
                if group:
                    prefixes.append(group)
                    after = group + "~~"  # behind all that is below it
                else:
                    head = self._objects[key].head
                    objects.append(ListedObject(key, head.size, head.version, head.modified))
                    after = key
            return KeyPage(tuple(objects), tuple(prefixes), "")

    def presign(self, key: str, method: str, expires_in: int) -> str | None:
        self._enter("presign", key)
        return f"http://bucket.invalid/{key}?method={method}&expires={expires_in}"

    def close(self) -> None:
        """Nothing is held."""

    def _enter(self, method: str, key: str) -> None:
        with self._lock:
            self.calls[method] += 1
        self.fault(method, key)

    def _find(self, key: str) -> _Object:
        with self._lock:
            if key not in self._objects:
                raise Missing(path=key)
            return self._objects[key]

    def _place(self, key: str, data: bytes, metadata: Mapping[str, str]) -> str:
        """Called with the lock held."""
        version = str(next(self._numbers))
        seconds = self._now() // 10**9 * 10**9
        self._objects[key] = _Object(data, ObjectHead(len(data), version, seconds, dict(metadata)))
        return version


class MemoryObject:
    """An object that is being read."""

    def __init__(self, head: ObjectHead, data: bytes, start: int) -> None:
        self.head = head
        self._data = data
        self._position = start

    def read(self, limit: int) -> bytes:
        chunk = self._data[self._position : self._position + limit]
        self._position += len(chunk)
        return chunk

    def close(self) -> None:
        self._data = b""
