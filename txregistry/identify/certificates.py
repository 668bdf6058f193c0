# SPDX-License-Identifier: Apache-2.0
"""Client certificates: which of what one says is the name of who holds it.

Room: identify. Must not know TLS: the connection has verified the certificate.
"""

from __future__ import annotations

from collections.abc import Callable

from txregistry.auth.asking import Certificate
from txregistry.identify.basic import is_name

#: What may be taken for the name, by the words of the configuration.
SOURCES: dict[str, Callable[[Certificate], str]] = {
    "commonname": lambda certificate: certificate.common_name,
    "subject": lambda certificate: certificate.subject,
    "dns": lambda certificate: next(iter(certificate.dns_names), ""),
    "email": lambda certificate: next(iter(certificate.emails), ""),
    "uri": lambda certificate: next(iter(certificate.uris), ""),
}


def name_by(source: str) -> Callable[[Certificate], str | None]:
    """Return what finds the name in a certificate; None if it has none that can be one."""
    find = SOURCES[source]

    def name_of(certificate: Certificate) -> str | None:
        name = find(certificate)
        return name if name and is_name(name) else None

    return name_of
