# SPDX-License-Identifier: Apache-2.0
"""A container of OpenStack Swift.

Driver: swift. What each method promises is said in ``txregistry_drivers.objects.bucket``. A version
is an ETag. Swift decides nothing between writers: it looks for what ``If-None-Match: *`` forbids when
a request begins, so that of eight at once all succeed. So the store tells apart the writers of its
own process, and no others.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlsplit

from swiftclient.utils import generate_temp_url

from txregistry.driver import InvalidOffset, Missing, Unavailable
from txregistry_drivers.objects import (
    Capabilities,
    KeyPage,
    ListedObject,
    ObjectHead,
    Piece,
)
from txregistry_drivers.objects.keys import BEHIND, MARK
from txregistry_drivers.objects.removal import remove_below
from txregistry_drivers.objects.stretches import FIRST, StretchedObject
from txregistry_drivers.swift.composing import MOST_SEGMENTS, NOTE, Segment, compose, staying_of
from txregistry_drivers.swift.connections import Connections
from txregistry_drivers.swift.options import SwiftOptions
from txregistry_drivers.swift.refusals import FAILURES, refusal, status_of, translated

_OCTET_STREAM = "application/octet-stream"
_META = "x-object-meta-"
_IS_LIST = "x-static-large-object"

#: Requests that one delete of many makes side by side. Arbitrary.
_THREADS = 16


class SwiftBucket:
    """Objects of one container.

    Args:
        storage_url: of the account.
        largest: bytes of the largest object that Swift takes.
    """

    name = "swift"

    def __init__(
        self, connections: Connections, options: SwiftOptions, storage_url: str, *, largest: int
    ) -> None:
        self.largest = largest
        self._connections = connections
        self._container = options.container
        self._secret = options.secretkey
        self._storage = urlsplit(storage_url)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="swift")
        self.capabilities = Capabilities(
            if_absent=False,
            if_version=False,
            delete_if_version=False,
            copy_limit=largest,
            smallest_piece=1,
            most_pieces=MOST_SEGMENTS,
            good_piece=largest,  # a copy costs the server the same, whatever it is made of
        )

    def head(self, key: str) -> ObjectHead:
        with translated(key, "a look"), self._connections.lent() as swift:
            return _head(swift.head_object(self._container, key))

    def open(self, key: str, start: int = 0) -> StretchedObject:
        try:
            headers, data = self._read(key, start, start + FIRST)
        except InvalidOffset:  # at the end of it, or beyond
            head = self.head(key)
            if start > head.size:
                raise
            return StretchedObject(head, start, self._fetcher(key, head))
        head = _head(headers)
        return StretchedObject(head, start, self._fetcher(key, head), data)

    def put(
        self,
        key: str,
        data: bytes,
        *,
        metadata: Mapping[str, str],
        if_absent: bool = False,
        if_version: str | None = None,
    ) -> str:
        assert not if_absent and if_version is None  # ``capabilities`` have no conditions
        with translated(key, "a write"), self._connections.lent() as swift:
            etag: str = swift.put_object(
                self._container,
                key,
                io.BytesIO(data),
                content_length=len(data),
                content_type=_OCTET_STREAM,
                # Swift compares it with what came.
                etag=hashlib.md5(data, usedforsecurity=False).hexdigest(),
                headers={f"{_META}{name}": value for name, value in metadata.items()},
            )
        return etag

    def delete(self, key: str, *, if_version: str | None = None) -> None:
        is_list = False
        with translated(key, "a delete"), self._connections.lent() as swift:
            if MARK not in key:  # of ours none is a list whose segments are to go with it
                is_list = _IS_LIST in _look(swift, self._container, key)
            _delete(swift, self._container, key, is_list=is_list)

    def delete_many(self, keys: Sequence[str]) -> None:
        list(self._threads.map(self.delete, keys))

    def delete_below(self, prefix: str) -> None:
        """Remove every object whose key begins with ``prefix``."""
        remove_below(self, prefix)

    def copy(self, source: str, destination: str) -> None:
        with translated(source, "a copy"), self._connections.lent() as swift:
            swift.copy_object(
                self._container, source, destination=f"/{self._container}/{quote(destination)}"
            )

    def compose(
        self, key: str, pieces: Sequence[Piece | bytes], note: Callable[[str], None]
    ) -> None:
        compose(self, key, pieces, note)

    def put_list(self, key: str, segments: Sequence[Segment]) -> None:
        """Make a list of segments, which Swift looks at all."""
        entries = [
            {
                "path": f"/{self._container}/{one.key}",
                "range": f"{one.start}-{one.stop - 1}",
            }
            for one in segments
        ]
        try:
            with self._connections.lent() as swift:
                swift.put_object(
                    self._container,
                    key,
                    json.dumps(entries),
                    content_type=_OCTET_STREAM,
                    query_string="multipart-manifest=put",
                )
        except FAILURES as err:
            if status_of(err) == 400:  # it names a segment that is not there
                raise Missing("a piece of a composition is not there", path=key) from err
            raise refusal(err, key, "a list of segments") from err

    def undo(self, note: str) -> None:
        if not NOTE.fullmatch(note):
            return
        self.delete_below(note)
        staying = staying_of(note)
        key = staying.partition(f"{MARK}/")[0]
        with translated(key, "a look"), self._connections.lent() as swift:
            if _IS_LIST in _look(swift, self._container, key):
                _, listed = swift.get_object(
                    self._container, key, query_string="multipart-manifest=get"
                )
                if staying in listed.decode("utf-8", "replace"):
                    return  # they are what the object is made of
        self.delete_below(staying)

    def list(self, prefix: str, *, after: str, limit: int, is_deep: bool) -> KeyPage:
        with translated(prefix, "a listing"), self._connections.lent() as swift:
            _, entries = swift.get_container(
                self._container,
                prefix=prefix or None,
                marker=after or None,
                limit=limit,
                delimiter=None if is_deep else "/",
            )
        objects = tuple(_listed(entry) for entry in entries if "name" in entry)
        prefixes = tuple(entry["subdir"] for entry in entries if "subdir" in entry)
        if len(entries) < limit:
            return KeyPage(objects, prefixes, "")
        last = entries[-1]
        return KeyPage(
            objects, prefixes, last["name"] if "name" in last else last["subdir"] + BEHIND
        )

    def presign(self, key: str, method: str, expires_in: int) -> str | None:
        if not self._secret:
            return None
        path = f"{self._storage.path}/{quote(self._container)}/{quote(key)}"
        signed = generate_temp_url(path, expires_in, self._secret, method, digest="sha256")
        return f"{self._storage.scheme}://{self._storage.netloc}{signed}"

    def close(self) -> None:
        self._threads.shutdown()
        self._connections.close()

    def _read(
        self, key: str, start: int, stop: int, version: str | None = None
    ) -> tuple[Mapping[str, str], bytes]:
        headers = {"Range": f"bytes={start}-{stop - 1}"}
        if version is not None:
            headers["If-Match"] = f'"{version}"'
        with translated(key, "a read"), self._connections.lent() as swift:
            found, data = swift.get_object(self._container, key, headers=headers)
        return found, bytes(data)

    def _fetcher(self, key: str, head: ObjectHead) -> Callable[[int, int], bytes]:
        def fetch(start: int, stop: int) -> bytes:
            try:
                return self._read(key, start, stop, head.version)[1]
            except (Missing, Unavailable) as err:
                raise Unavailable("the object is away, or another by now", path=key) from err

        return fetch


def _look(swift: Any, container: str, key: str) -> Mapping[str, str]:
    """The headers of an object; none if it is not there."""
    try:
        headers: Mapping[str, str] = swift.head_object(container, key)
    except FAILURES as err:
        if status_of(err) == 404:
            return {}
        raise
    return headers


def _delete(swift: Any, container: str, key: str, *, is_list: bool) -> None:
    try:
        swift.delete_object(
            container, key, query_string="multipart-manifest=delete" if is_list else None
        )
    except FAILURES as err:
        if status_of(err) != 404:
            raise


def _head(headers: Mapping[str, str]) -> ObjectHead:
    size = int(headers["content-length"])
    if "content-range" in headers:
        size = int(headers["content-range"].rpartition("/")[2])
    metadata = {
        name.removeprefix(_META): value for name, value in headers.items() if name.startswith(_META)
    }
    return ObjectHead(
        size, headers["etag"].strip('"'), int(float(headers["x-timestamp"])) * 10**9, metadata
    )


def _listed(entry: Mapping[str, Any]) -> ListedObject:
    moment = datetime.fromisoformat(entry["last_modified"]).replace(tzinfo=UTC)
    etag = str(entry.get("slo_etag", "")).strip('"') or entry["hash"]
    return ListedObject(entry["name"], int(entry["bytes"]), etag, int(moment.timestamp()) * 10**9)
