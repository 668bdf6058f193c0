# SPDX-License-Identifier: Apache-2.0
"""OpenSSL contexts: one for each certificate, all with the same rules; the client's name chooses.

Room: tls. A context is never changed once it is in use: a reload makes new ones (pyOpenSSL refuses
anything else), so connections that are open keep theirs, and sessions of the old ones can't be
resumed - a client whose authority was removed is asked again.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from attrs import frozen
from cryptography import x509
from OpenSSL import SSL
from OpenSSL.crypto import X509, X509StoreFlags

from txregistry.config.cipher_suites import DEFAULT, TLS_1_2
from txregistry.config.tls_settings import VERIFYING, Tls
from txregistry.tls.credentials import Credentials, TlsError, read_certificates, read_credentials

_VERSIONS = {"tls1.2": SSL.TLS1_2_VERSION, "tls1.3": SSL.TLS1_3_VERSION}

#: What may be spoken inside, what we like best first. docs/operate/tls.md says what HTTP/2 costs.
HTTP_1 = (b"http/1.1",)
HTTP_2 = (b"h2", b"http/1.1")

_OPTIONS = SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION | SSL.OP_CIPHER_SERVER_PREFERENCE


@frozen
class Contexts:
    """Everything that a new connection needs.

    Attributes:
        credentials: what the contexts were made of, the default first.
        default: for clients that ask for no name, or for one that no certificate has.
        by_name: DNS name in lower case, ``*.`` before the rest for wildcards -> context.
        verifies_clients: a certificate that a client shows was verified.
    """

    credentials: tuple[Credentials, ...]
    default: SSL.Context
    by_name: dict[str, SSL.Context]
    verifies_clients: bool

    def context_for(self, name: str) -> SSL.Context:
        """The context for the name that a client asks for."""
        name = name.lower().rstrip(".")
        wildcard = "*." + name.partition(".")[2]
        return self.by_name.get(name) or self.by_name.get(wildcard) or self.default


def make_contexts(settings: Tls, *, http2: bool = False) -> Contexts:
    """Read all files that the settings name and make the contexts.

    Args:
        http2: offer HTTP/2 beside HTTP/1.1.

    Raises:
        TlsError: one sentence on what can't be used.
    """
    if http2 and not all(find_spec(package) for package in ("h2", "hyperframe")):
        raise TlsError(
            "http.http2.disabled: the package h2 is missing; install it with"
            " pip install 'txregistry[http2]', or remove http.http2"
        )
    protocols = HTTP_2 if http2 else HTTP_1
    credentials = tuple(
        read_credentials(pair, "http.tls" if not index else f"http.tls.additional[{index - 1}]")
        for index, pair in enumerate(settings.pairs)
    )
    authorities = tuple(
        certificate
        for path in settings.client_cas
        for certificate in read_certificates(path, "http.tls.clientcas")
    )
    by_name: dict[str, SSL.Context] = {}
    contexts = Contexts(
        credentials,
        _make_context(settings, credentials[0], authorities, protocols),
        by_name,
        settings.client_authentication in VERIFYING,
    )
    for index, each in enumerate(credentials):
        context = contexts.default
        if index:
            context = _make_context(settings, each, authorities, protocols)
        for name in each.names:
            by_name.setdefault(name, context)
    contexts.default.set_tlsext_servername_callback(_chooser(contexts))
    return contexts


def _chooser(contexts: Contexts) -> Callable[[SSL.Connection], None]:
    def choose(connection: SSL.Connection) -> None:
        name = (connection.get_servername() or b"").decode("ascii", "replace")
        connection.set_context(contexts.context_for(name))

    return choose


def _make_context(
    settings: Tls,
    credentials: Credentials,
    authorities: tuple[x509.Certificate, ...],
    protocols: tuple[bytes, ...],
) -> SSL.Context:
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(_VERSIONS[settings.minimum_tls])
    context.set_options(_OPTIONS)
    names = [name for name in settings.cipher_suites if name in TLS_1_2]
    suites = [TLS_1_2[name] for name in names or DEFAULT]
    try:
        context.set_cipher_list(":".join(suites).encode("ascii"))
        context.use_certificate(credentials.chain[0])
        for certificate in credentials.chain[1:]:
            context.add_extra_chain_cert(certificate)
        context.use_privatekey(credentials.key)
    except SSL.Error as error:
        raise TlsError(
            f"http.tls: OpenSSL can't use {credentials.path} ({reason_of(error)}); make a new one, RSA of "
            "2048 bits or more, or EC"
        ) from None
    context.set_alpn_select_callback(_selector(protocols))
    # Sessions are kept by the clients (tickets); ours would be memory. The id ties them to what
    # clients are asked for, as OpenSSL wants where it verifies them.
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_session_id(os.urandom(16))
    if settings.client_authentication:
        _ask_clients(context, settings.client_authentication, authorities)
    return context


def _ask_clients(context: SSL.Context, how: str, authorities: tuple[x509.Certificate, ...]) -> None:
    store = context.get_cert_store()
    assert store is not None
    # An authority need not be a root: who is listed is trusted, as in Go.
    store.set_flags(X509StoreFlags.PARTIAL_CHAIN)
    for certificate in authorities:
        store.add_cert(X509.from_cryptography(certificate))
        context.add_client_ca(certificate)
    mode = SSL.VERIFY_PEER
    if how.startswith("require-"):
        mode |= SSL.VERIFY_FAIL_IF_NO_PEER_CERT
    context.set_verify(mode, _take_verified if how in VERIFYING else _take_any)


def _take_verified(_: object, __: object, ___: int, ____: int, ok: int) -> bool:
    return bool(ok)


def _take_any(*_: object) -> bool:
    return True


def _selector(protocols: tuple[bytes, ...]) -> Callable[[SSL.Connection, list[bytes]], Any]:
    def select(_: SSL.Connection, offered: list[bytes]) -> Any:
        for protocol in protocols:
            if protocol in offered:
                return protocol
        return SSL.NO_OVERLAPPING_PROTOCOLS

    return select


def reason_of(error: SSL.Error) -> str:
    """What OpenSSL says is wrong, in its words."""
    queue = error.args[0] if error.args else None
    return str(queue[-1][-1]) if isinstance(queue, list) and queue else "no reason given"
