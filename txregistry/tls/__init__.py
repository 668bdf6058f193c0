# SPDX-License-Identifier: Apache-2.0
"""TLS for listening sockets: certificates from files, contexts made of them, the transport.

Room: tls. Must not know HTTP, nor who listens where.

``credentials``  a certificate with its chain and key, read and checked; or one sentence
``contexts``     credentials and settings -> OpenSSL contexts; which one a client gets by its name
``transport``    one connection: its verified peer, and the one log line if no TLS comes about
"""

from txregistry.tls.contexts import Contexts, make_contexts
from txregistry.tls.credentials import TlsError
from txregistry.tls.transport import TlsFactory

__all__ = ["Contexts", "TlsError", "TlsFactory", "make_contexts"]
