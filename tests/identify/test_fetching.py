# SPDX-License-Identifier: Apache-2.0
"""Documents fetched by https: from whom we trust, small, and from nowhere else."""

from __future__ import annotations

import datetime
import ipaddress

import pytest
import pytest_twisted
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from twisted.internet import reactor, ssl
from twisted.internet.defer import maybeDeferred
from twisted.web.resource import Resource
from twisted.web.server import Site
from twisted.web.static import Data
from twisted.web.util import Redirect

from txregistry.identify.fetching import SIZE_LIMIT, Fetcher
from txregistry.identify.oidc import FetchError

from .signing import make_key


def certificate_for(key):
    """A certificate for 127.0.0.1, by itself."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )


@pytest_twisted.async_yield_fixture
async def origin():
    """(where it is, authorities by which it is trusted)"""
    key = make_key()
    pem = certificate_for(key).public_bytes(Encoding.PEM)
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    served = ssl.PrivateCertificate.loadPEM(secret + pem)
    root = Resource()
    root.putChild(b"keys", Data(b'{"keys":[]}', "application/json"))
    root.putChild(b"large", Data(b"x" * (SIZE_LIMIT + 1), "application/json"))
    root.putChild(b"away", Redirect(b"/keys"))
    port = reactor.listenSSL(0, Site(root), served.options(), interface="127.0.0.1")
    trust = ssl.trustRootFromCertificates([ssl.Certificate.loadPEM(pem)])
    yield f"https://127.0.0.1:{port.getHost().port}", trust
    await maybeDeferred(port.stopListening)


@pytest_twisted.ensureDeferred
async def test_document_of_a_trusted_origin_is_fetched(origin):
    where, trust = origin
    assert await Fetcher(reactor, trust).fetch(f"{where}/keys") == b'{"keys":[]}'


@pytest.mark.parametrize(
    ("path", "part"),
    [
        ("/large", "is larger than"),
        ("/away", "answers 302"),
        ("/nothing", "answers 404"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_answer_that_is_not_the_document_is_refused(origin, path, part):
    """Redirects above all: they would lead to another origin."""
    where, trust = origin
    with pytest.raises(FetchError, match=part):
        await Fetcher(reactor, trust).fetch(where + path)


@pytest_twisted.ensureDeferred
async def test_origin_that_proves_nothing_is_refused(origin):
    """Its certificate is by nobody that the system trusts; or there is no TLS, or nobody."""
    where, trust = origin
    for url, authorities in [
        (f"{where}/keys", None),
        ("https://127.0.0.1:1/keys", trust),
        (where.replace("https", "http") + "/keys", trust),
        (f"{where}/a\nb", trust),
        ("https://127.0.0.1:port/keys", trust),
        ("https:///keys", trust),
    ]:
        with pytest.raises(FetchError):
            await Fetcher(reactor, authorities).fetch(url)
