# SPDX-License-Identifier: Apache-2.0
"""A token's own certificates (``x5c``): is its key one that a trusted root vouches for?

Room: identify. Must not know tokens. OpenSSL builds and checks the path; what is decided here is
what may be a leaf. A certificate of the configured file is trusted as it is, an authority's or not,
since it was put there; any other leaf must not be an authority's.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import warnings
from collections.abc import Sequence

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from OpenSSL import crypto

from txregistry.identify.keys import Key, public_key

#: Most certificates of a chain. Arbitrary: a leaf, its authorities, and one to spare.
CHAIN_LIMIT = 5

#: All that the libraries raise over a certificate that they can't read: a part is not parsed before
#: it is asked for, and few of these errors are a ValueError.
_UNREADABLE = (
    *(ValueError, binascii.Error, x509.InvalidVersion, x509.DuplicateExtension),
    *(x509.UnsupportedGeneralNameType, UnsupportedAlgorithm, crypto.Error),
)


class ChainError(ValueError):
    """The certificates prove nothing."""


def key_of_chain(encoded: object, roots: Sequence[x509.Certificate], now: float) -> Key:
    """Return the key of the first of a token's certificates, which the others lead to a root from.

    Args:
        encoded: the header's ``x5c``.
        now: seconds since the epoch.

    Raises:
        ChainError: it proves nothing.

    Source: RFC 7515 section 4.1.6; RFC 5280 section 6.
    """
    if not isinstance(encoded, list) or not 0 < len(encoded) <= CHAIN_LIMIT or not roots:
        raise ChainError("no chain that is looked at")
    chain = [_load(text) for text in encoded]
    leaf = chain[0]
    if leaf not in roots and _is_authority(leaf):
        raise ChainError("an authority's certificate signs no tokens")
    store = crypto.X509Store()
    for root in roots:
        store.add_cert(_foreign(root))
    store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)
    store.set_time(datetime.datetime.fromtimestamp(now, datetime.UTC).replace(tzinfo=None))
    try:
        others = [_foreign(each) for each in chain[1:]]
        crypto.X509StoreContext(store, _foreign(leaf), others).verify_certificate()
        return public_key(leaf.public_key())
    except crypto.X509StoreContextError as error:
        raise ChainError("no path to a trusted root") from error
    except _UNREADABLE as error:
        raise ChainError(f"a certificate can't be used ({error})") from error


def _load(text: object) -> x509.Certificate:
    if not isinstance(text, str):
        raise ChainError("a certificate is no text")
    try:
        return x509.load_der_x509_certificate(base64.b64decode(text, validate=True))
    except _UNREADABLE as error:
        raise ChainError("a certificate can't be read") from error


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        found = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    except x509.ExtensionNotFound:
        return False
    except _UNREADABLE:
        return True  # What can't be read is not given the benefit of the doubt.
    return found.value.ca


def _foreign(certificate: x509.Certificate) -> crypto.X509:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return crypto.X509.from_cryptography(certificate)
