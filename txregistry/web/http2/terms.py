# SPDX-License-Identifier: Apache-2.0
"""Settings: what we tell a client at first, and what of its own may cost us something.

Room: web. Source: RFC 9113 section 6.5.
"""

from __future__ import annotations

from collections.abc import Iterable

from h2.connection import H2Connection
from h2.settings import SettingCodes

from txregistry.web.settings import Limits

#: Largest table that we compress by: what holds if nothing is said (RFC 7541 section 4.2), in
#: bytes. A client may offer more, and every answer would be looked up in it.
COMPRESSION_TABLE = 4096


def say_terms(protocol: H2Connection, limits: Limits) -> None:
    """Begin the connection: the library's first frame, and what we want otherwise."""
    protocol.initiate_connection()
    protocol.decoder.max_header_list_size = limits.head_size
    protocol.update_settings(
        {
            SettingCodes.MAX_CONCURRENT_STREAMS: limits.streams,
            SettingCodes.MAX_HEADER_LIST_SIZE: limits.head_size,
        }
    )


def bound_terms(protocol: H2Connection, changed: Iterable[SettingCodes | int]) -> None:
    """Take of a client's settings what it is good for that it chooses them."""
    encoder = protocol.encoder
    if encoder.header_table_size > COMPRESSION_TABLE:
        encoder.header_table_size = COMPRESSION_TABLE
    # Of many changes before an answer two have to be told: RFC 7541 section 4.2.
    changes = encoder.table_size_changes
    if len(changes) > 2:
        encoder.table_size_changes = [min(changes), changes[-1]]
    # The library keeps what nobody knows, nearly a kilobyte for each of 65,536.
    for code in changed:
        if not isinstance(code, SettingCodes):
            protocol.remote_settings.pop(code, None)
