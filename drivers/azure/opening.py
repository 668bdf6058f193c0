# SPDX-License-Identifier: Apache-2.0
"""From options to a store: make a client, look at the container, put them together.

Driver: azure.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping
from typing import Any

import requests
from azure.core.pipeline.transport import RequestsTransport
from azure.identity import ClientSecretCredential, DefaultAzureCredential
from azure.storage.blob import BlobServiceClient, ExponentialRetry
from requests.adapters import HTTPAdapter

from txregistry.driver import BadOptions, Denied, StorageError, Store
from txregistry_drivers.azure.bucket import AzureBucket
from txregistry_drivers.azure.options import (
    CLIENT_SECRET,
    DEFAULT,
    SAS,
    SHARED_KEY,
    AzureOptions,
    read_options,
)
from txregistry_drivers.azure.refusals import FAILURES, NO_CONTAINER, code_of, refusal
from txregistry_drivers.azure.signing import KeySigner, SasSigner, Signer, TokenSigner
from txregistry_drivers.objects import ObjectStore, Tuning

#: Connections that are kept: as many as there are threads at most.
_CONNECTIONS = 128

#: Seconds between two tries, at most, however many of them are allowed. Arbitrary.
LONGEST_PAUSE = 30.0


def open_store(options: Mapping[str, object]) -> Store:
    """As :func:`txregistry_drivers.azure.create`."""
    for name in ("azure", "msal", "urllib3"):  # they log what they try again, with its URL
        logging.getLogger(name).setLevel(logging.CRITICAL)
    chosen = read_options(options)
    bucket = make_bucket(chosen)
    tuning = Tuning(
        part_size=chosen.chunksize,
        flush_after=float(chosen.flushafter),
        memory=chosen.maxmemory,
    )
    return ObjectStore(bucket, chosen.rootdirectory, tuning)


def make_bucket(options: AzureOptions, credential: Any = None) -> AzureBucket:
    """Enter the container.

    Args:
        credential: gives tokens, in place of the one that the options say.

    Raises:
        BadOptions: it is not there, or may not be read.
        Unavailable: the service can't be reached.
    """
    credential = credential or credential_of(options)
    service = BlobServiceClient(
        options.serviceurl,
        credential=credential,
        transport=RequestsTransport(
            session=_session(),
            connection_timeout=options.timeout,
            read_timeout=options.timeout,
            connection_verify=not options.skipverify,
        ),
        retry_policy=Retries(options),
    )
    container = service.get_container_client(options.container)
    try:
        _look(container, options)
    except StorageError:
        service.close()
        raise
    return AzureBucket(service, container, _signer(options, service, credential))


class Retries(ExponentialRetry):
    """Waits twice as long each time, up to a bound."""

    def __init__(self, options: AzureOptions) -> None:
        # Each of these is 3 otherwise, whatever the total is.
        most = options.max_retries
        super().__init__(retry_total=most, retry_connect=most, retry_read=most, retry_status=most)
        self._delay = options.retry_delay

    def get_backoff_time(self, settings: dict[str, Any]) -> float:
        spread = random.uniform(0.5, 1.5)  # noqa: S311  # only so that not all come at once
        return min(LONGEST_PAUSE, float(self._delay * 2 ** settings["count"] * spread))


def _session() -> requests.Session:
    session = requests.Session()
    adapter = HTTPAdapter(pool_maxsize=_CONNECTIONS)  # retries are not its business
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


def credential_of(options: AzureOptions) -> Any:
    """What Microsoft's library calls a credential."""
    chosen = options.credentials
    if chosen.kind == SHARED_KEY:
        return {"account_name": options.accountname, "account_key": chosen.secret}
    if chosen.kind == SAS:
        return chosen.secret
    if chosen.kind == CLIENT_SECRET:
        return ClientSecretCredential(chosen.tenantid, chosen.clientid, chosen.secret)
    assert chosen.kind == DEFAULT
    return DefaultAzureCredential(managed_identity_client_id=chosen.clientid or None)


def _signer(options: AzureOptions, service: Any, credential: Any) -> Signer:
    if options.credentials.kind == SHARED_KEY:
        return KeySigner(options.credentials.secret)
    if options.credentials.kind == SAS:
        return SasSigner()
    return TokenSigner(service, credential)


def _look(container: Any, options: AzureOptions) -> None:
    """See that the container is there, may be read, and lists its blobs as they are named."""
    try:
        next(container.list_blob_names(results_per_page=1).by_page(), None)
    except FAILURES as err:
        if code_of(err) == NO_CONTAINER:
            raise BadOptions(
                f"container {options.container!r} does not exist: create it, or correct container"
            ) from err
        refused = refusal(err, "", "a look")
        if isinstance(refused, Denied):
            raise BadOptions(
                f"container {options.container!r} can't be used with these credentials:"
                f" {refused.message}; allow what the documentation lists"
            ) from err
        raise refused from err
    if _has_directories(container):
        raise BadOptions(
            f"account {options.accountname!r} has a hierarchical namespace, whose directories are in"
            " the way: use an account without one"
        )


def _has_directories(container: Any) -> bool:
    """Whether the account has a hierarchical namespace; no, if it may not be asked."""
    try:
        return bool(container.get_account_information().get("is_hns_enabled"))
    except FAILURES:
        return False
