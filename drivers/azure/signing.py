# SPDX-License-Identifier: Apache-2.0
"""URLs at which somebody else may read a blob: a client that is sent there, and Azure itself when
it copies.

Driver: azure. By kind of credentials::

    credentials     a client is given                        Azure is given
    account key     a SAS, signed with the key               the same
    token           a SAS, signed with a delegation key      the plain URL, and the token
                    that is asked for once in hours
    SAS             nothing: it would be given away          the SAS

Source: Microsoft's "Create a service SAS", "Create a user delegation SAS".
"""

from __future__ import annotations

import datetime
import threading
from typing import Any, Protocol

from azure.storage.blob import BlobSasPermissions, generate_blob_sas

from txregistry.driver import Denied
from txregistry_drivers.azure.refusals import FAILURES, refusal

#: What tokens are asked for.
SCOPE = "https://storage.azure.com/.default"

#: Seconds in which a copy that was asked for has begun.
_COPY_WITHIN = 3600

#: For how long a delegation key is asked for, and how much of that has to be left; how long one
#: that was denied is not asked for again.
_KEY_LASTS = datetime.timedelta(days=2)
_KEY_LEFT = datetime.timedelta(hours=12)
_ASK_AGAIN = datetime.timedelta(minutes=15)

#: Clocks differ.
_EARLIER = datetime.timedelta(minutes=5)


class Signer(Protocol):
    """Makes URLs of one container's blobs."""

    def link(self, blob: Any, expires_in: int) -> str | None:
        """A URL at which anybody may read for ``expires_in`` seconds; None if there can't be one.

        Args:
            blob: a client of it.
        """

    def source(self, blob: Any) -> dict[str, str]:
        """``source_url``, and ``source_authorization`` if that is needed, of a copy."""


class KeySigner:
    """Signs with the account's key."""

    def __init__(self, key: str) -> None:
        self._key = key

    def link(self, blob: Any, expires_in: int) -> str | None:
        return _signed(blob, expires_in, account_key=self._key)

    def source(self, blob: Any) -> dict[str, str]:
        return {"source_url": _signed(blob, _COPY_WITHIN, account_key=self._key)}


class SasSigner:
    """Has a SAS of the operator's, which is no client's business."""

    def link(self, blob: Any, expires_in: int) -> str | None:
        return None

    def source(self, blob: Any) -> dict[str, str]:
        return {"source_url": str(blob.url)}  # the SAS is in it


class TokenSigner:
    """Has an identity of Microsoft Entra.

    Args:
        service: a client of the account.
        credential: gives tokens.
    """

    def __init__(self, service: Any, credential: Any) -> None:
        self._service = service
        self._credential = credential
        self._lock = threading.Lock()
        self._key: Any = None
        self._good_until = datetime.datetime.min.replace(tzinfo=datetime.UTC)

    def link(self, blob: Any, expires_in: int) -> str | None:
        key = self._delegation_key()
        return None if key is None else _signed(blob, expires_in, user_delegation_key=key)

    def source(self, blob: Any) -> dict[str, str]:
        try:
            token = self._credential.get_token(SCOPE).token
        except FAILURES as err:
            raise refusal(err, blob.blob_name, "a token") from err
        return {"source_url": str(blob.url), "source_authorization": f"Bearer {token}"}

    def _delegation_key(self) -> Any:
        """The key; None if these credentials may not have one."""
        now = datetime.datetime.now(datetime.UTC)
        with self._lock:
            if now >= self._good_until:
                try:
                    self._key = self._service.get_user_delegation_key(
                        now - _EARLIER, now + _KEY_LASTS
                    )
                    self._good_until = now + _KEY_LASTS - _KEY_LEFT
                except FAILURES as err:
                    refused = refusal(err, "", "a delegation key")
                    if not isinstance(refused, Denied):
                        raise refused from err
                    self._key, self._good_until = None, now + _ASK_AGAIN
            return self._key


def _signed(blob: Any, expires_in: int, **secret: Any) -> str:
    now = datetime.datetime.now(datetime.UTC)
    signature = generate_blob_sas(
        blob.account_name,
        blob.container_name,
        blob.blob_name,
        permission=BlobSasPermissions(read=True),
        expiry=now + datetime.timedelta(seconds=expires_in),
        protocol="https" if blob.url.startswith("https") else None,
        **secret,
    )
    return f"{blob.url}?{signature}"
