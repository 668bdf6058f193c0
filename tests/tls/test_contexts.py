# SPDX-License-Identifier: Apache-2.0
"""Contexts: which certificate a client gets, what it may speak, and how it is asked for its own.

Handshakes are made in memory, between our contexts and a client's.
"""

from __future__ import annotations

import contextlib
import os
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa, x25519
from OpenSSL import SSL

from txregistry.config.tls_settings import CLIENT_AUTH, KeyPair, Tls
from txregistry.tls import TlsError, make_contexts
from txregistry.tls.contexts import reason_of
from txregistry.tls.credentials import FILE_LIMIT

from .authority import DAY, Authority, key_pem


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="module")
def authority(directory):
    return Authority(directory)


@pytest.fixture(scope="module")
def server(authority):
    return authority.issue("server", "registry.example")


@pytest.fixture(scope="module")
def robot(authority):
    return authority.issue("robot", client=True)


@pytest.fixture(scope="module")
def stranger(directory):
    return Authority(directory / "elsewhere").issue("stranger", client=True)


def settings_for(server, **more):
    return Tls(certificate=str(server.certificate), key=str(server.key), **more)


def client_context(show=None, *, newest=SSL.TLS1_3_VERSION, alpn=(), ciphers=None):
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_min_proto_version(SSL.TLS1_VERSION)
    context.set_max_proto_version(newest)
    if ciphers:
        context.set_cipher_list(ciphers)
    if alpn:
        context.set_alpn_protos(list(alpn))
    if show is not None:
        context.use_certificate_file(str(show.certificate))
        context.use_privatekey_file(str(show.key))
    return context


def shake(contexts, client_side, name=None):
    """Let both sides talk until they agree; return (server's connection, client's connection)."""
    server = SSL.Connection(contexts.default, None)
    server.set_accept_state()
    client = SSL.Connection(client_side, None)
    client.set_connect_state()
    if name:
        client.set_tlsext_host_name(name.encode())
    for _ in range(10):
        waiting = 0
        for here, there in ((client, server), (server, client)):
            try:
                here.do_handshake()
            except SSL.WantReadError:
                waiting += 1
            with contextlib.suppress(SSL.WantReadError):
                there.bio_write(here.bio_read(1 << 16))
        if not waiting:
            return server, client
    raise AssertionError("the handshake has no end")


def shown(contexts, name):
    """Which certificate a client gets that asks for a name."""
    _, client = shake(contexts, client_context(), name)
    return client.get_peer_certificate(as_cryptography=True)


@pytest.fixture(scope="module")
def pairs(authority):
    return {
        "first": authority.issue("first", "registry.example"),
        "second": authority.issue("second", "Other.example", "third.example"),
        "wild": authority.issue("wild", "*.wild.example"),
    }


@pytest.fixture(scope="module")
def contexts(pairs):
    first, *others = pairs.values()
    additional = tuple(KeyPair(str(pair.certificate), str(pair.key)) for pair in others)
    return make_contexts(settings_for(first, additional=additional))


class NameTests:
    @pytest.mark.parametrize(
        ("name", "which"),
        [
            (None, "first"),
            ("registry.example", "first"),
            ("other.example", "second"),
            ("OTHER.EXAMPLE", "second"),
            ("third.example", "second"),
            ("a.wild.example", "wild"),
            ("a.b.wild.example", "first"),
            ("wild.example", "first"),
            ("unknown.example", "first"),
        ],
    )
    def test_client_gets_the_certificate_of_the_name_it_asks_for(
        self, contexts, pairs, name, which
    ):
        assert shown(contexts, name) == pairs[which].x509

    def test_common_name_counts_where_there_is_no_other(self, directory, authority, server):
        old = authority.issue("plain-old", common_name="old.example", client=True)
        contexts = make_contexts(
            settings_for(server, additional=(KeyPair(str(old.certificate), str(old.key)),))
        )
        assert shown(contexts, "old.example") == old.x509

    def test_intermediate_certificates_are_sent_too(self, directory, authority):
        between = Authority(directory / "between", "between", above=authority)
        server = between.issue("below", "below.example")
        _, client = shake(make_contexts(settings_for(server)), client_context())
        sent = client.get_peer_cert_chain(as_cryptography=True)
        assert sent == [server.x509, between.x509]


class ProtocolTests:
    @pytest.mark.parametrize(
        ("minimum", "newest", "spoken"),
        [
            ("tls1.2", SSL.TLS1_3_VERSION, "TLSv1.3"),
            ("tls1.2", SSL.TLS1_2_VERSION, "TLSv1.2"),
            ("tls1.3", SSL.TLS1_3_VERSION, "TLSv1.3"),
        ],
    )
    def test_newest_common_version_is_spoken(self, server, minimum, newest, spoken):
        contexts = make_contexts(settings_for(server, minimum_tls=minimum))
        connection, _ = shake(contexts, client_context(newest=newest))
        assert connection.get_protocol_version_name() == spoken

    @pytest.mark.parametrize(
        ("minimum", "newest"),
        [
            ("tls1.3", SSL.TLS1_2_VERSION),
            ("tls1.2", SSL.TLS1_1_VERSION),
            ("tls1.2", SSL.TLS1_VERSION),
        ],
    )
    def test_older_version_is_refused(self, server, minimum, newest):
        contexts = make_contexts(settings_for(server, minimum_tls=minimum))
        old = client_context(newest=newest, ciphers=b"ALL:@SECLEVEL=0")
        with pytest.raises(SSL.Error) as caught:
            shake(contexts, old)
        assert "version" in reason_of(caught.value) or "protocol" in reason_of(caught.value)

    @pytest.mark.parametrize(
        ("offered", "chosen"),
        [((b"h2", b"http/1.1"), b"http/1.1"), ((b"h2",), b""), ((), b"")],
    )
    def test_only_http_1_is_negotiated(self, server, offered, chosen):
        connection, _ = shake(make_contexts(settings_for(server)), client_context(alpn=offered))
        assert connection.get_alpn_proto_negotiated() == chosen

    @pytest.mark.parametrize(
        ("offered", "chosen"),
        [((b"http/1.1", b"h2"), b"h2"), ((b"http/1.1",), b"http/1.1"), ((), b"")],
    )
    def test_http_2_is_offered_where_it_is_asked_for(self, server, offered, chosen):
        contexts = make_contexts(settings_for(server), http2=True)
        connection, _ = shake(contexts, client_context(alpn=offered))
        assert connection.get_alpn_proto_negotiated() == chosen

    def test_http_2_without_its_package_is_refused(self, server, monkeypatch):
        """In one sentence that says what to do."""
        monkeypatch.setattr("txregistry.tls.contexts.find_spec", lambda name: None)
        with pytest.raises(TlsError) as caught:
            make_contexts(settings_for(server), http2=True)
        assert str(caught.value) == (
            "http.http2.disabled: the package h2 is missing; install it with pip install "
            "'txregistry[http2]', or remove http.http2"
        )
        assert make_contexts(settings_for(server))

    def test_listed_cipher_suites_are_the_only_ones(self, server):
        suites = ("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256")
        contexts = make_contexts(settings_for(server, cipher_suites=suites))
        connection, _ = shake(contexts, client_context(newest=SSL.TLS1_2_VERSION))
        assert connection.get_cipher_name() == "ECDHE-ECDSA-AES256-GCM-SHA384"
        other = client_context(newest=SSL.TLS1_2_VERSION, ciphers=b"ECDHE-ECDSA-AES128-GCM-SHA256")
        with pytest.raises(SSL.Error):
            shake(contexts, other)


class ClientTests:
    @pytest.mark.parametrize("how", CLIENT_AUTH)
    @pytest.mark.parametrize("who", ["nobody", "robot", "stranger"])
    def test_four_modes_take_whom_they_should(self, authority, server, robot, stranger, how, who):
        """Go's four modes: asked or required, verified or not."""
        contexts = make_contexts(
            settings_for(server, client_cas=(str(authority.file),), client_auth=how)
        )
        show = {"nobody": None, "robot": robot, "stranger": stranger}[who]
        takes = {
            "request-client-cert": {"nobody", "robot", "stranger"},
            "require-any-client-cert": {"robot", "stranger"},
            "verify-client-cert-if-given": {"nobody", "robot"},
            "require-and-verify-client-cert": {"robot"},
        }
        for newest in (SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION):
            if who in takes[how]:
                shake(contexts, client_context(show, newest=newest))
            else:
                with pytest.raises(SSL.Error):
                    shake(contexts, client_context(show, newest=newest))
        assert contexts.verifies_clients is how.startswith(("verify", "require-and"))

    def test_authority_below_the_root_is_enough(self, directory, authority, server):
        """Whoever lists only the issuer of robots means just that."""
        between = Authority(directory / "robots", "robots", above=authority)
        robot = between.issue("low-robot", client=True)
        contexts = make_contexts(settings_for(server, client_cas=(str(between.file),)))
        shake(contexts, client_context(robot))

    def test_certificate_of_a_server_is_none_of_a_client(self, authority, server):
        contexts = make_contexts(settings_for(server, client_cas=(str(authority.file),)))
        with pytest.raises(SSL.Error):
            shake(contexts, client_context(server))

    def test_client_hears_which_authorities_are_trusted(self, authority, server, robot):
        """So that it can choose among its certificates."""
        contexts = make_contexts(settings_for(server, client_cas=(str(authority.file),)))
        _, client = shake(contexts, client_context(robot))
        heard = [name.CN for name in client.get_client_ca_list()]
        assert heard == ["test authority"]


class RefusalTests:
    """What can't be used is one sentence that names the key, the file and the way out."""

    def refusal(self, **changes):
        with pytest.raises(TlsError) as caught:
            make_contexts(Tls(**changes))
        assert "\n" not in str(caught.value)
        return str(caught.value)

    def test_missing_file(self, server):
        path = str(server.certificate) + "x"
        assert self.refusal(certificate=path, key=str(server.key)) == (
            f"http.tls.certificate: {path} can't be read (No such file or directory); name a file "
            "that this user may read"
        )

    def test_fifo(self, server, tmp_path):
        """Nobody waits for who might write to it."""
        path = tmp_path / "fifo"
        os.mkfifo(path)
        said = self.refusal(certificate=str(server.certificate), key=str(path))
        assert said == f"http.tls.key: {path} is no plain file; name one"

    def test_file_that_is_too_large(self, server, tmp_path):
        """It is not cut in silence: what is missing would be an authority's."""
        path = tmp_path / "large.pem"
        path.write_bytes(server.certificate.read_bytes() + b"\n" * FILE_LIMIT)
        said = self.refusal(certificate=str(path), key=str(server.key))
        assert f"{path} is larger than {FILE_LIMIT} bytes" in said

    def test_file_that_is_no_certificate(self, server):
        said = self.refusal(certificate=str(server.key), key=str(server.key))
        assert "server.key holds no certificate that can be read" in said

    def test_file_that_is_no_key(self, server):
        said = self.refusal(certificate=str(server.certificate), key=str(server.certificate))
        assert said.startswith("http.tls.key: ")
        assert "holds no private key that can be read" in said

    def test_key_of_another_kind(self, server, tmp_path):
        path = tmp_path / "x.key"
        path.write_bytes(key_pem(x25519.X25519PrivateKey.generate()))
        said = self.refusal(certificate=str(server.certificate), key=str(path))
        assert "holds no private key that can be read" in said

    def test_encrypted_key(self, server, tmp_path):
        path = tmp_path / "e.key"
        path.write_bytes(key_pem(ec.generate_private_key(ec.SECP256R1()), b"hunter2"))
        said = self.refusal(certificate=str(server.certificate), key=str(path))
        assert "is encrypted and nobody is there to type its password" in said

    def test_key_of_another_certificate(self, server, robot):
        said = self.refusal(certificate=str(server.certificate), key=str(robot.key))
        assert "is not the key of the first certificate" in said

    def test_additional_certificate_is_named_by_its_place(self, server, robot):
        pair = KeyPair(str(server.certificate), str(robot.key))
        said = self.refusal(
            certificate=str(server.certificate), key=str(server.key), additional=(pair,)
        )
        assert said.startswith("http.tls.additional[0].key: ")

    def test_authorities_that_are_none(self, server):
        said = self.refusal(
            certificate=str(server.certificate),
            key=str(server.key),
            client_cas=(str(server.key),),
        )
        assert said.startswith("http.tls.clientcas: ")

    def test_key_that_openssl_finds_too_short(self, authority, tmp_path, monkeypatch):
        monkeypatch.setattr(
            ec, "generate_private_key", lambda curve: rsa.generate_private_key(65537, 1024)
        )
        weak = authority.issue("weak", "weak.example")
        said = self.refusal(certificate=str(weak.certificate), key=str(weak.key))
        assert said.startswith("http.tls: OpenSSL can't use ")


class ValidityTests:
    def test_dates_are_told(self, authority, server):
        old = authority.issue("expired", "old.example", until=datetime.now(UTC) - 2 * DAY)
        [credentials] = make_contexts(settings_for(old)).credentials
        now = datetime.now(UTC)
        [said] = credentials.problems(now.timestamp())
        assert "has expired on" in said
        [said] = credentials.problems((now - 40 * DAY).timestamp())
        assert "is not valid before" in said
        [fine] = make_contexts(settings_for(server)).credentials
        assert fine.problems(now.timestamp()) == []

    def test_key_that_everybody_may_read_is_told(self, authority):
        """It is served all the same, as a password file is."""
        lax = authority.issue("lax", "lax.example")
        lax.key.chmod(0o644)
        [credentials] = make_contexts(settings_for(lax)).credentials
        [said] = credentials.problems(datetime.now(UTC).timestamp())
        assert said == f"everybody on this host may read the key of {lax.certificate}; chmod o-r it"

    def test_key_is_not_shown(self, server):
        [credentials] = make_contexts(settings_for(server)).credentials
        assert "PrivateKey" not in repr(credentials)
