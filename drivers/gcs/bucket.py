# SPDX-License-Identifier: Apache-2.0
"""A bucket of Google Cloud Storage.

Driver: gcs. What each method promises is said in ``txregistry_drivers.objects.bucket``. A version is
a generation. A listing is asked for from a name on (``startOffset``), which is part of it, and is
put in order here: an emulator may know neither.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from google.api_core.retry import Retry
from google.cloud.storage.retry import DEFAULT_RETRY

from txregistry.driver import Changed, Exists, InvalidOffset, Missing
from txregistry_drivers.gcs.composing import FAN_IN, NOTE, compose
from txregistry_drivers.gcs.options import GcsOptions
from txregistry_drivers.gcs.reading import fetching
from txregistry_drivers.gcs.refusals import (
    FAILURES,
    PRECONDITION_FAILED,
    refusal,
    status_of,
    translated,
)
from txregistry_drivers.objects import (
    Capabilities,
    KeyPage,
    ListedObject,
    ObjectHead,
    Piece,
)
from txregistry_drivers.objects.keys import BEHIND
from txregistry_drivers.objects.removal import remove_below
from txregistry_drivers.objects.stretches import StretchedObject

#: Seconds for which a call is tried again.
_RETRIES_FOR = 60.0

#: Bytes of the largest object, which one copy moves: within a bucket it moves no byte.
_LARGEST = 5 * 1024**4

_OCTET_STREAM = "application/octet-stream"


class GcsBucket:
    """Objects of one bucket.

    Args:
        client: of Google's library.
        has_conditions: the server minds generations that are asked for.
    """

    name = "gcs"

    def __init__(self, client: Any, options: GcsOptions, *, has_conditions: bool) -> None:
        self._client = client
        self._bucket = client.bucket(options.bucket)
        retry: Retry = DEFAULT_RETRY.with_timeout(_RETRIES_FOR)
        self._more: dict[str, Any] = {"timeout": float(options.timeout), "retry": retry}
        self._threads = ThreadPoolExecutor(options.maxconcurrency, thread_name_prefix="gcs")
        self.capabilities = Capabilities(
            if_absent=has_conditions,
            if_version=has_conditions,
            delete_if_version=has_conditions,
            copy_limit=_LARGEST,
            good_piece=_LARGEST,  # only whole objects are composed
            smallest_piece=1,
            most_pieces=FAN_IN**4,
        )

    def head(self, key: str) -> ObjectHead:
        return _head(self._found(key))

    def open(self, key: str, start: int = 0) -> StretchedObject:
        blob = self._found(key)
        head = _head(blob)
        if start > head.size:
            raise InvalidOffset(f"{start} is beyond the end", path=key)
        return StretchedObject(head, start, fetching(blob, int(head.version), self._more))

    def put(
        self,
        key: str,
        data: bytes,
        *,
        metadata: Mapping[str, str],
        if_absent: bool = False,
        if_version: str | None = None,
    ) -> str:
        condition: int | None = None
        if if_version is not None:
            condition = _generation(if_version, key)
        elif if_absent:
            condition = 0
        blob = self._bucket.blob(key)
        blob.metadata = dict(metadata) or None
        try:
            blob.upload_from_string(
                bytes(data), _OCTET_STREAM, if_generation_match=condition, **self._more
            )
        except FAILURES as err:
            if condition is not None and status_of(err) == PRECONDITION_FAILED:
                raise (Exists if if_absent else Changed)(path=key) from err
            raise refusal(err, key, "a write") from err
        return str(blob.generation)

    def delete(self, key: str, *, if_version: str | None = None) -> None:
        condition = None if if_version is None else _generation(if_version, key)
        try:
            self._bucket.blob(key).delete(if_generation_match=condition, **self._more)
        except FAILURES as err:
            if status_of(err) == 404:
                return
            if status_of(err) == PRECONDITION_FAILED:
                raise Changed(path=key) from err
            raise refusal(err, key, "a delete") from err

    def delete_many(self, keys: Sequence[str]) -> None:
        list(self._threads.map(self.delete, keys))

    def delete_below(self, prefix: str) -> None:
        """Remove every object whose key begins with ``prefix``."""
        remove_below(self, prefix)

    def copy(self, source: str, destination: str) -> None:
        target = self._bucket.blob(destination)
        token: str | None = None
        with translated(source, "a copy"):
            while True:
                token, *_ = target.rewrite(self._bucket.blob(source), token=token, **self._more)
                if token is None:
                    return

    def compose(
        self, key: str, pieces: Sequence[Piece | bytes], note: Callable[[str], None]
    ) -> None:
        compose(self, self._threads, key, pieces, note)

    def compose_few(self, key: str, sources: Sequence[str]) -> None:
        """Make an object of at most 32 others."""
        target = self._bucket.blob(key)
        target.content_type = _OCTET_STREAM
        with translated(key, "a composition"):
            target.compose([self._bucket.blob(name) for name in sources], **self._more)

    def undo(self, note: str) -> None:
        if NOTE.fullmatch(note):
            self.delete_below(note)

    def list(self, prefix: str, *, after: str, limit: int, is_deep: bool) -> KeyPage:
        with translated(prefix, "a listing"):
            pages = self._client.list_blobs(
                self._bucket,
                prefix=prefix or None,
                delimiter=None if is_deep else "/",
                start_offset=after or None,
                max_results=limit + 1,
                page_size=limit + 1,
                **self._more,
            ).pages
            page = next(pages, None)
        if page is None:
            return KeyPage((), (), "")
        blobs = [blob for blob in page if blob.name > after]
        names = {blob.name: blob for blob in blobs}
        groups = {name: None for name in page.prefixes if name + BEHIND > after}
        order = sorted({**names, **groups})
        told = order[:limit]
        objects = tuple(_listed(names[name]) for name in told if name in names)
        prefixes = tuple(name for name in told if name in groups)
        # As many as were asked for: there may be more.
        has_more = len(order) > limit or page.num_items + len(page.prefixes) > limit
        last = told[-1] if told else after
        return KeyPage(objects, prefixes, _behind(last, groups) if has_more else "")

    def presign(self, key: str, method: str, expires_in: int) -> str | None:
        blob = self._bucket.blob(key)
        try:
            url = blob.generate_signed_url(
                version="v4",
                expiration=datetime.timedelta(seconds=expires_in),
                method=method,
                api_access_endpoint=self._client.api_endpoint or None,
            )
        except AttributeError:  # credentials without a private key sign nothing
            return None
        return str(url)

    def close(self) -> None:
        self._threads.shutdown()
        self._client.close()

    def _found(self, key: str) -> Any:
        with translated(key, "a look"):
            blob = self._bucket.get_blob(key, **self._more)
        if blob is None:
            raise Missing(path=key)
        return blob


def _generation(version: str, key: str) -> int:
    """A generation that is asked for; one that can't be is that of another object."""
    if not (version.isascii() and version.isdigit() and int(version) > 0):
        raise Changed(path=key)
    return int(version)


def _behind(name: str, groups: Mapping[str, None]) -> str:
    return name + BEHIND if name in groups else name


def _head(blob: Any) -> ObjectHead:
    return ObjectHead(
        int(blob.size), str(blob.generation), _modified(blob), dict(blob.metadata or {})
    )


def _listed(blob: Any) -> ListedObject:
    return ListedObject(blob.name, int(blob.size), str(blob.generation), _modified(blob))


def _modified(blob: Any) -> int:
    return int(blob.updated.timestamp()) * 10**9 if blob.updated else 0
