# SPDX-License-Identifier: Apache-2.0
"""From options to a store: make a client, see what the server does, put them together.

Driver: gcs. Google minds generations that are asked for; an emulator may take them and not mind, so
that is tried with one small object.
"""

from __future__ import annotations

import contextlib
import secrets
import sys
from collections.abc import Mapping
from typing import Any

from google.api_core.client_info import ClientInfo
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import DefaultCredentialsError
from google.cloud import storage
from google.oauth2 import service_account

from txregistry.driver import BadOptions, Changed, Denied, Missing, StorageError, Store
from txregistry_drivers.gcs.bucket import GcsBucket
from txregistry_drivers.gcs.options import GcsOptions, read_options
from txregistry_drivers.objects import ObjectStore, Tuning
from txregistry_drivers.objects.keys import Keys

_SCOPE = "https://www.googleapis.com/auth/devstorage.read_write"


def open_store(options: Mapping[str, object]) -> Store:
    """As :func:`txregistry_drivers.gcs.create`."""
    chosen = read_options(options)
    client = _client(chosen)
    bucket = GcsBucket(client, chosen, has_conditions=True)
    try:
        _look(bucket, chosen)
        if not _minds_generations(bucket, Keys(chosen.rootdirectory).root):
            sys.stderr.write("the server does not mind generations that are asked for\n")
            bucket = GcsBucket(client, chosen, has_conditions=False)
    except StorageError:
        bucket.close()
        raise
    tuning = Tuning(
        part_size=chosen.chunksize,
        flush_after=float(chosen.flushafter),
        memory=chosen.maxmemory,
    )
    return ObjectStore(bucket, chosen.rootdirectory, tuning)


def _client(options: GcsOptions) -> Any:
    more: dict[str, Any] = {}
    if options.endpoint:
        more["client_options"] = {"api_endpoint": options.endpoint}
    if options.useragent:
        more["client_info"] = ClientInfo(user_agent=options.useragent)
    try:
        return storage.Client(project="-", credentials=_credentials(options), **more)
    except DefaultCredentialsError as error:
        raise BadOptions(
            "no credentials for GCS were found: give keyfile, or run where there is a service account"
        ) from error


def _credentials(options: GcsOptions) -> Any:
    if options.credentials is not None:
        try:
            return service_account.Credentials.from_service_account_info(
                options.credentials, scopes=[_SCOPE]
            )
        except ValueError as error:  # of a key that can't be read; it may quote it
            raise BadOptions("the service account's private_key can't be read") from error
    # An emulator asks for none, and its operator has none.
    return AnonymousCredentials() if options.endpoint.startswith("http://") else None


def _look(bucket: GcsBucket, options: GcsOptions) -> None:
    """See that the bucket is there and may be read."""
    try:
        bucket.list(Keys(options.rootdirectory).root, after="", limit=1, is_deep=True)
    except Missing as error:
        raise BadOptions(
            f"bucket {options.bucket!r} does not exist: create it, or correct bucket"
        ) from error
    except Denied as error:
        raise BadOptions(
            f"bucket {options.bucket!r} can't be used with these credentials: {error.message};"
            " allow what the documentation lists"
        ) from error


def _minds_generations(bucket: GcsBucket, root: str) -> bool:
    """Whether a condition that does not hold is refused as one; yes if nothing may be written."""
    key = f"{root}~probe/{secrets.token_hex(8)}"
    try:
        bucket.put(key, b"txregistry was here", metadata={}, if_version="1")
    except Changed:
        return True
    except Denied:
        return True
    finally:
        with contextlib.suppress(StorageError):
            bucket.delete(key)
    return False
