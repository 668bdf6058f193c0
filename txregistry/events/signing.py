# SPDX-License-Identifier: Apache-2.0
"""Signatures, by which a receiver knows that a request is from here and is not an old one.

Room: events. Pure. Source: Standard Webhooks 1.0.0 (standardwebhooks.com), so that receivers find
ready code for many languages::

    webhook-id         the event's id; of several events, a hash of their ids
    webhook-timestamp  seconds since the epoch, of this try
    webhook-signature  "v1," base64( HMAC-SHA-256( secret, id "." timestamp "." body ) )
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Sequence
from hashlib import sha256

_PREFIX = "whsec_"


def key_of(secret: str) -> bytes:
    """Return the key that a secret stands for: ``whsec_`` and base64, or the text itself."""
    if secret.startswith(_PREFIX):
        try:
            return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
        except binascii.Error:
            pass
    return secret.encode("utf-8")


def identity_of(ids: Sequence[str]) -> str:
    """Return the id of a message that carries events of these ids.

    A receiver that drops a message whose id it has seen must not drop an event that it has not.
    """
    if len(ids) == 1:
        return ids[0]
    return sha256(",".join(ids).encode("ascii")).hexdigest()


def sign(secret: str, identity: str, seconds: float, body: bytes) -> tuple[tuple[str, str], ...]:
    """Return the headers of a signed request.

    Args:
        identity: of what is sent, the same however often it is sent.
        seconds: since the epoch.
    """
    stamp = str(int(seconds))
    signed = b".".join((identity.encode("ascii"), stamp.encode("ascii"), body))
    signature = base64.b64encode(hmac.digest(key_of(secret), signed, "sha256")).decode("ascii")
    return (
        ("webhook-id", identity),
        ("webhook-timestamp", stamp),
        ("webhook-signature", f"v1,{signature}"),
    )
