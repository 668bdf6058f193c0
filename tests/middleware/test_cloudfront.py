# SPDX-License-Identifier: Apache-2.0
"""Signed URLs, and who is exempt from them."""

import base64
import http.server
import json
import threading
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from txregistry.middleware import StoreRedirects, make_chain
from txregistry.middleware.cloudfront import Cloudfront
from txregistry.middleware.ip_ranges import NoRanges, ServedRanges, _in_background, read_list
from txregistry.storage.errors import BadOptions
from txregistry.storage.memory import MemoryStore

from .test_chain import ASKED, PATH, BucketStore

PEM = (
    serialization.Encoding.PEM,
    serialization.PrivateFormat.PKCS8,
    serialization.NoEncryption(),
)
LIST = json.dumps(
    {
        "prefixes": [
            {"ip_prefix": "192.0.2.0/25", "region": "eu-west-1"},
            {"ip_prefix": "192.0.2.128/25", "region": "us-east-1"},
            {"ip_prefix": "192.0.2.0/24", "region": "us-east-1"},
        ],
        "ipv6_prefixes": [{"ipv6_prefix": "2001:db8::/32", "region": "eu-west-1"}],
    }
).encode()


@pytest.fixture(scope="module")
def key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def options(tmp_path, key):
    path = tmp_path / "key.pem"
    path.write_bytes(key.private_bytes(*PEM))
    return {"baseurl": "d1.cloudfront.example/x", "privatekey": str(path), "keypairid": "KEYID"}


def made(options, store=None):
    return Cloudfront.create(options, StoreRedirects(store or BucketStore()))


class UrlTests:
    def test_url_is_signed_for_twenty_minutes(self, options, key):
        """By a canned policy that whoever has the public key can check."""
        url = made(options).url(ASKED)
        resource, _, query = url.partition("?")
        assert resource == f"https://d1.cloudfront.example/x/prefix{PATH}"
        values = {name: value for name, [value] in parse_qs(query).items()}
        assert values["Key-Pair-Id"] == "KEYID"
        policy = json.dumps(
            {
                "Statement": [
                    {
                        "Resource": resource,
                        "Condition": {"DateLessThan": {"AWS:EpochTime": int(values["Expires"])}},
                    }
                ]
            },
            separators=(",", ":"),
        )
        signature = values["Signature"].translate(str.maketrans("-_~", "+=/"))
        key.public_key().verify(
            base64.b64decode(signature, validate=True),
            policy.encode(),
            padding.PKCS1v15(),
            hashes.SHA1(),
        )

    def test_duration_is_counted_from_now(self, options):
        """Each URL works for as long as was configured."""
        full = make_chain(
            [{"name": "cloudfront", "options": {**options, "duration": 60}}],
            StoreRedirects(BucketStore()),
        )
        timed = Cloudfront(
            full.base, NoRanges(), full._key, "K", full._duration, full._below, lambda: 1000.9
        )
        assert parse_qs(urlsplit(timed.url(ASKED)).query)["Expires"] == ["1060"]

    def test_store_without_keys_is_asked_itself(self, options):
        """registry:3 falls back in the same way."""
        assert made(options, MemoryStore()).url(ASKED) is None
        assert made(options).key(PATH) == f"prefix{PATH}"

    def test_key_is_not_shown(self, options):
        assert "PrivateKey" not in repr(made(options))


class OptionsTests:
    @pytest.mark.parametrize(
        "change, words",
        [
            ({"privatekey": None}, "privatekey is missing"),
            ({"keypairid": ""}, "keypairid is missing"),
            ({"privatekey": "/nowhere/key.pem"}, "can't be read: No such file"),
            ({"duration": "soon"}, "duration is to be a duration"),
            ({"ipfilteredby": "gcp"}, "ipfilteredby is one of none, aws, awsregion"),
            ({"ipfilteredby": "awsregion"}, "belong together"),
            ({"awsregion": "eu-west-1"}, "belong together"),
            ({"iprangesurl": "file:///x", "ipfilteredby": "aws"}, "iprangesurl is to be an http"),
            ({"privatkey": "x"}, "did you mean privatekey"),
        ],
    )
    def test_wrong_options_are_one_sentence(self, options, change, words):
        with pytest.raises(BadOptions, match=words):
            made({**options, **change})

    def test_registry_2_spelling_is_taken(self, options):
        """Its documentation had it so; written in both ways it is refused."""
        old = {**options, "ipfilteredby": "aws", "updatefrenquency": 60.0}
        assert made(old).ranges._interval == 60.0
        with pytest.raises(BadOptions, match="did you mean updatefrequency"):
            made({**old, "updatefrequency": 60.0})

    @pytest.mark.parametrize("content", ["junk", "elliptic"])
    def test_other_keys_are_refused(self, options, tmp_path, content):
        """CloudFront's canned signatures are RSA."""
        path = tmp_path / "other.pem"
        other = ec.generate_private_key(ec.SECP256R1()).private_bytes(*PEM)
        path.write_bytes(other if content == "elliptic" else b"junk")
        with pytest.raises(BadOptions, match=r"RSA key|no PEM key"):
            made({**options, "privatekey": str(path)})


class RangesTests:
    @pytest.mark.parametrize(
        "regions, client, is_inside",
        [
            ((), "192.0.2.1", True),
            ((), "192.0.2.200", True),
            ((), "192.0.3.0", False),
            ((), "::ffff:192.0.2.1", True),
            ((), "2001:db8::1", True),
            ((), "2001:db9::1", False),
            ((), "", False),
            (("EU-West-1",), "2001:db8::1", True),
            (("ap-south-1",), "192.0.2.1", False),
        ],
    )
    def test_addresses_of_a_served_list(self, options, served, regions, client, is_inside):
        """Everything, or what belongs to some regions."""
        ranges = ServedRanges(
            served.url, frozenset(name.lower() for name in regions), 10, start=lambda work: work()
        )
        assert (client in ranges) is is_inside

    def test_client_inside_gets_the_buckets_own_url(self, options, served, monkeypatch):
        """It is nearer. The list is read in the background; the first client does not wait."""
        background = []
        monkeypatch.setattr("txregistry.middleware.ip_ranges._in_background", background.append)
        cloudfront = made(
            {
                **options,
                "ipfilteredby": "awsregion",
                "awsregion": "us-east-1",
                "iprangesurl": served.url,
            }
        )
        assert "Signature" in cloudfront.url(ASKED)
        (read_list_now,) = background
        read_list_now()
        assert cloudfront.url(ASKED).startswith("https://bucket.example/")

    def test_background_is_a_thread(self):
        """Of its own, which nobody waits for."""
        began = threading.Event()
        _in_background(began.set)
        assert began.wait(60)

    def test_list_is_read_again_when_it_is_old(self, served):
        """And a server that fails is not asked at every request."""
        now, asked = [0.0], []

        def start(work):
            asked.append(now[0])
            work()

        ranges = ServedRanges(served.url, frozenset(), 3600, now=lambda: now[0], start=start)
        for now[0] in (0, 3599):
            assert "192.0.2.1" in ranges
        served.document = b"junk"
        for now[0] in (3600, 3601, 3659):
            assert "192.0.2.1" in ranges  # the last one that could be read
        served.document = b'{"prefixes": []}'
        now[0] = 3660
        assert "192.0.2.1" not in ranges
        assert asked == [0, 3600, 3660]

    def test_server_that_drips_has_one_reader(self, served):
        """However long it takes: none is begun beside it."""
        now, reading = [0.0], []
        ranges = ServedRanges(served.url, frozenset(), 10, now=lambda: now[0], start=reading.append)
        for now[0] in (0, 100, 200):
            assert "192.0.2.1" not in ranges
        reading[0]()
        now[0] = 300
        assert "192.0.2.1" in ranges
        assert len(reading) == 2

    @pytest.mark.parametrize("document", [b"", b"[]", b'{"prefixes": [{}]}', b'{"prefixes": [1]}'])
    def test_other_documents_are_refused(self, document):
        with pytest.raises(ValueError):
            read_list(document, frozenset())


@pytest.fixture
def served():
    """A server with a list of ranges at ``url``."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(server.document)

        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.document = LIST
    server.url = f"http://127.0.0.1:{server.server_port}/ip-ranges.json"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()
