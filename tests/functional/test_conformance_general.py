# SPDX-License-Identifier: Apache-2.0
"""Conformance, the general part: version check, names, digests, errors, methods, HEAD.

``test_conformance_*`` ask a real server, from outside, for everything that the distribution
specification (1.1, and the text after it) says of a registry and that clients of registry:3 rely
upon, a file for each noun. What is not offered has no test:

- 401 with a challenge, and telling a missing repository from a missing right: there is no
  authentication; reading rights of a mount's source likewise.
- 429: nobody is limited by rate. Too much at once is 503 with Retry-After.
- Redirects of blobs: the drivers that come with the registry have no URLs to redirect to.
- ``Warning``: the specification lets a registry send it; this one never has anything to warn of.
- ``OCI-Chunk-Min-Length``: there is no least length of a chunk (that one byte will do is tested).
- A mount without ``from`` looks in the repository itself only; elsewhere it becomes an upload.
- ``ns=`` and ``OCI-Namespace``: nothing is mirrored. ``_oci/ext/discover``: there are no
  extensions. Both are ignored, or not there, as anything else that is unknown.
"""

from __future__ import annotations

import json

import pytest

from .repository import ALGORITHMS, EMPTY_JSON, NOTHING, OCI_INDEX, Repository, digest_of, image

DIGEST = digest_of(b"nobody has this")
UPLOAD_ID = "0f3a1d1e-6d0c-4c60-9c1c-2f7a3a1f9b11"

#: Every route below a repository, with the methods that it takes.
ROUTES = {
    "tags/list": "GET, OPTIONS",
    "manifests/v1": "DELETE, GET, HEAD, OPTIONS, PUT",
    f"blobs/{DIGEST}": "DELETE, GET, HEAD, OPTIONS",
    "blobs/uploads/": "OPTIONS, POST",
    f"blobs/uploads/{UPLOAD_ID}": "DELETE, GET, HEAD, OPTIONS, PATCH, PUT",
    f"referrers/{DIGEST}": "GET, HEAD, OPTIONS",
}

#: What no endpoint has any use for.
UNKNOWN_QUERY = "foo=bar&foo=baz&ns=docker.io&empty=&%F0%9F%98%80=1&x"
UNKNOWN_HEADERS = {"X-Unknown": "1", "OCI-Namespace": "docker.io", "Authorization": "Basic eDp5"}


class VersionTests:
    """The API says that it is there."""

    @pytest.mark.parametrize("path", ["/v2/", "/v2"])
    def test_version_check_is_200(self, client, path):
        """Without a redirect, with the body and the header that clients look for."""
        answer = client.get(path)
        assert (answer.status, answer.body) == (200, b"{}")
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.headers["Content-Length"] == "2"
        assert answer.headers["Docker-Distribution-API-Version"] == "registry/2.0"

    def test_liveness_needs_nothing(self, client):
        """What balancers ask for: a 200 that nobody may keep; it tells which APIs are here."""
        answer = client.get("/")
        assert answer.status == 200
        assert json.loads(answer.body) == {
            "versions": ["v2"],
            "endpoints": [{"version": "v2", "url": "/v2/", "push": True}],
            "mirrors": [],
            "fallback": False,
        }
        assert answer.headers["Cache-Control"] == "no-cache"


class NamesTests:
    """What can be a repository, and a tag."""

    @pytest.mark.parametrize(
        "name",
        [
            *("a", "0", "a/b", "a-b", "a--b", "a---b", "a__b", "a_b", "a.b", "0/1", "a.b_c__d-e"),
            "/".join("abcdefghijklmnopqrstuvwxyz"),
            *("uploads", "manifests", "blobs/x", "tags/list", "v2/tags", "referrers"),
            "n" * 255,
            "p/" * 127 + "p",
        ],
    )
    def test_name_of_the_grammar_is_taken(self, client, name):
        """Each separator, any number of parts, up to 255 characters."""
        repository = Repository(client, name)
        repository.push_image("v1", b"layer")
        assert repository.has_blob(digest_of(b"layer"))
        document = client.get_json(repository.tags)
        assert document == {"name": name, "tags": ["v1"]}

    @pytest.mark.parametrize(
        "name",
        [
            *(
                "A",
                "a//b",
                "-a",
                "a-",
                "a..b",
                "a._b",
                "a___b",
                "a/",
                "/a",
                "_a",
                "a/_b",
                "a.",
                "a+b",
            ),
            *("host.example:5000/a", "a%2Fb", "..", "a/../b", "%61", "n" * 256, "_manifests/a"),
        ],
    )
    @pytest.mark.parametrize("route", ROUTES)
    def test_other_name_is_400(self, client, name, route):
        """NAME_INVALID wherever a name stands, and nothing is cleaned or decoded."""
        method = "POST" if route == "blobs/uploads/" else "GET"
        answer = client.request(method, f"/v2/{name}/{route}")
        assert answer.refusal == (400, "NAME_INVALID")

    @pytest.mark.parametrize(
        "tag", ["1", "_x", "v1.0-rc.1", "UPPER", "a" * 128, "0.1..2", "a--b", "latest"]
    )
    def test_tag_of_the_grammar_is_taken(self, repository, tag):
        """Up to 128 characters."""
        data = repository.push_image(tag)
        assert repository.client.get(repository.manifest(tag)).body == data

    @pytest.mark.parametrize(
        "tag", [".a", "-a", "a+b", "a" * 129, "a%20b", "%61", "a@b", "ä".encode()]
    )
    def test_other_tag_can_not_be_pushed_and_is_not_there(self, repository, tag):
        """400 for a push; nothing can be stored under it, so it is as good as missing."""
        repository.push_blob(EMPTY_JSON)
        if isinstance(tag, bytes):
            tag = "".join(f"%{byte:02x}" for byte in tag)
        assert repository.put(tag, image()).refusal == (400, "TAG_INVALID")
        for method in ("GET", "DELETE"):
            answer = repository.client.request(method, repository.manifest(tag))
            assert answer.refusal == (404, "MANIFEST_UNKNOWN")


class DigestsTests:
    """What is a digest, wherever one is expected."""

    BAD = (
        "sha256:",
        "sha256:baddigeststring",
        "sha256:" + "a" * 63,
        "sha256:" + "a" * 65,
        "sha256:" + "A" * 64,
        "sha256:" + "g" * 64,
        "SHA256:" + "a" * 64,
        "sha512:" + "a" * 64,
        "sha256:" + "a" * 128,
        "md5:" + "a" * 32,
        "sha384:" + "a" * 96,
        "sha256:sha256:" + "a" * 64,
        ":" + "a" * 64,
        "sha256%3A" + "a" * 63,
        "sha256:" + "a" * 64 + "%0a",
        "x" * 300 + ":" + "a" * 64,
    )

    @pytest.mark.parametrize("digest", BAD)
    @pytest.mark.parametrize(
        "method, path",
        [
            *((method, "blobs/{}") for method in ("GET", "DELETE")),
            *((method, "manifests/{}") for method in ("GET", "PUT", "DELETE")),
            ("GET", "referrers/{}"),
            ("POST", "blobs/uploads/?digest={}"),
        ],
    )
    def test_bad_digest_is_400(self, repository, method, path, digest):
        """DIGEST_INVALID; never a 404 that looks like an answer, never a 500."""
        url = f"{repository.root}/{path.format(digest)}"
        answer = repository.client.request(
            method, url, b"{}" if method in ("PUT", "POST") else None
        )
        assert answer.refusal == (400, "DIGEST_INVALID")

    @pytest.mark.parametrize("digest", BAD)
    def test_bad_digest_does_not_end_an_upload(self, repository, digest):
        """The session can still be closed with the right one."""
        location = repository.start()
        assert repository.close(location, digest, b"data").refusal == (400, "DIGEST_INVALID")
        assert repository.close(location, digest_of(b"data"), b"data").status == 201

    def test_reference_without_a_colon_is_no_digest(self, repository):
        """Where only a digest can stand that is malformed; a manifest may be asked for by tag."""
        for below in ("blobs/latest", "referrers/latest"):
            answer = repository.client.get(f"{repository.root}/{below}")
            assert answer.refusal == (400, "DIGEST_INVALID")
        answer = repository.client.get(repository.manifest("latest"))
        assert answer.refusal == (404, "MANIFEST_UNKNOWN")


class ErrorsTests:
    """Refusals can be read by machines; that they are well-formed is checked by ``codes``."""

    CASES = (
        ("GET", "manifests/none", 404, "MANIFEST_UNKNOWN"),
        ("GET", f"manifests/{DIGEST}", 404, "MANIFEST_UNKNOWN"),
        ("DELETE", "manifests/none", 404, "MANIFEST_UNKNOWN"),
        ("DELETE", f"manifests/{DIGEST}", 404, "MANIFEST_UNKNOWN"),
        ("PUT", "manifests/v1", 400, "MANIFEST_INVALID"),
        ("GET", f"blobs/{DIGEST}", 404, "BLOB_UNKNOWN"),
        ("DELETE", f"blobs/{DIGEST}", 404, "BLOB_UNKNOWN"),
        ("GET", f"blobs/uploads/{UPLOAD_ID}", 404, "BLOB_UPLOAD_UNKNOWN"),
        ("PATCH", f"blobs/uploads/{UPLOAD_ID}", 404, "BLOB_UPLOAD_INVALID"),
        ("PUT", f"blobs/uploads/{UPLOAD_ID}?digest={DIGEST}", 404, "BLOB_UPLOAD_INVALID"),
        ("DELETE", f"blobs/uploads/{UPLOAD_ID}", 404, "BLOB_UPLOAD_INVALID"),
        ("POST", "blobs/uploads/?digest-algorithm=md5", 400, "DIGEST_INVALID"),
        ("GET", "tags/list", 404, "NAME_UNKNOWN"),
        ("GET", "tags/list?n=x", 400, "PAGINATION_NUMBER_INVALID"),
        ("GET", f"referrers/{DIGEST}?n=x", 400, "PAGINATION_NUMBER_INVALID"),
        ("GET", "unknown", 404, "UNSUPPORTED"),
        ("PATCH", "manifests/v1", 405, "UNSUPPORTED"),
    )

    @pytest.mark.parametrize("method, below, status, code", CASES)
    def test_refusal_has_its_status_and_code(self, repository, method, below, status, code):
        """As JSON, with the version header that stands on everything."""
        answer = repository.client.request(method, f"{repository.root}/{below}")
        assert answer.refusal == (status, code)
        assert answer.headers["Docker-Distribution-API-Version"] == "registry/2.0"
        assert answer.headers["Content-Length"] == str(len(answer.body))
        assert answer.body.endswith(b"\n")

    def test_detail_says_what_was_meant(self, repository):
        """Which tag, which digest."""
        answer = repository.client.get(repository.manifest("none"))
        assert answer.json()["errors"] == [
            {
                "code": "MANIFEST_UNKNOWN",
                "message": "manifest unknown",
                "detail": "unknown tag=none",
            }
        ]

    @pytest.mark.parametrize(
        "below, status",
        [
            ("manifests/none", 404),
            (f"blobs/{DIGEST}", 404),
            ("blobs/sha256:x", 400),
            ("unknown", 404),
        ],
    )
    def test_refused_head_has_no_body(self, repository, below, status):
        """It tells the length of what GET would say."""
        path = f"{repository.root}/{below}"
        answer, full = repository.client.head(path), repository.client.get(path)
        assert (answer.status, answer.body) == (status, b"")
        assert answer.headers["Content-Length"] == str(len(full.body))


class MethodsTests:
    """Other methods, and paths that lead nowhere."""

    @pytest.mark.parametrize("route", ROUTES)
    def test_options_tells_what_is_possible(self, repository, route):
        """And permits no web page anything."""
        answer = repository.client.request("OPTIONS", f"{repository.root}/{route}")
        assert (answer.status, answer.body) == (200, b"")
        assert answer.headers["Allow"] == ROUTES[route]
        assert not [name for name in answer.headers if name.lower().startswith("access-control")]

    @pytest.mark.parametrize(
        "method, route",
        [
            (method, route)
            for route, allowed in ROUTES.items()
            for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "PROPFIND")
            if method not in allowed.split(", ")
        ],
    )
    def test_method_that_is_not_for_a_path_is_405(self, repository, route, method):
        """With what is; JSON, unlike registry:3's plain text."""
        answer = repository.client.request(method, f"{repository.root}/{route}")
        assert answer.status == 405
        assert answer.headers["Allow"] == ROUTES[route]
        if method != "HEAD":
            assert answer.refusal == (405, "UNSUPPORTED")

    @pytest.mark.parametrize("path", ["/v2/", "/v2/_catalog", "/"])
    def test_top_is_for_reading(self, client, path):
        """The registry itself can't be written to."""
        allowed = client.request("OPTIONS", path).headers["Allow"]
        assert allowed == ("GET, OPTIONS" if path == "/v2/_catalog" else "GET, HEAD, OPTIONS")
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            answer = client.request(method, path)
            assert (answer.refusal, answer.headers["Allow"]) == ((405, "UNSUPPORTED"), allowed)

    @pytest.mark.parametrize(
        "path",
        [
            *("/v1/", "/v3/", "/v2x/", "//v2/", "/v2/_catalog/", "/v2/_oci/ext/discover", "/v2/a"),
            *("/v2/a/tags/list/", "/v2/a/tags", "/v2/tags/list", "/index.html", "/v2/a/unknown/b"),
            *("/v2/../v2/_catalog", "/v2/%5Fcatalog", "/debug/health", "/metrics"),
        ],
    )
    def test_unknown_path_is_404(self, client, path):
        """As JSON, and never a redirect to something that was not asked for."""
        assert client.get(path).refusal == (404, "UNSUPPORTED")


class UnknownTests:
    """What is not known is ignored."""

    def test_unknown_parameters_and_headers_change_nothing(self, repository):
        """On every route; they don't come back either."""
        data = repository.push_image("v1", b"layer", subject=None)
        digest, blob = digest_of(data), digest_of(b"layer")
        location = repository.start("?" + UNKNOWN_QUERY)
        for method, path, body, status in [
            ("GET", "/v2/", None, 200),
            ("GET", "/v2/_catalog", None, 200),
            ("GET", repository.tags, None, 200),
            ("GET", repository.manifest("v1"), None, 200),
            ("GET", repository.manifest(digest), None, 200),
            ("GET", repository.blob(blob), None, 200),
            ("GET", repository.referrers(digest), None, 200),
            ("POST", repository.uploads, b"", 202),
            ("GET", location, None, 204),
            ("PATCH", location, b"more", 202),
            ("DELETE", location, None, 204),
            ("DELETE", repository.manifest("v1"), None, 202),
            ("DELETE", repository.blob(blob), None, 202),
        ]:
            separator = "&" if "?" in path else "?"
            url = f"{path}{separator}{UNKNOWN_QUERY}"
            answer = repository.client.request(method, url, body, UNKNOWN_HEADERS)
            assert answer.status == status, (method, path, answer)
            assert "foo" not in str(answer.headers) + answer.body.decode("latin-1")
            assert "OCI-Namespace" not in answer.headers


class HeadTests:
    """HEAD has the headers of GET, to the last one."""

    @pytest.mark.parametrize("algorithm", ALGORITHMS)
    def test_head_is_get_without_the_body(self, repository, algorithm):
        """So that a client can decide by it."""
        layer = b"layer" * 20_000
        data = repository.push_image(None, layer, b"", algorithm=algorithm)
        digest = digest_of(data, algorithm)
        repository.push(data, "v1", algorithm)
        for path in [
            "/v2/",
            "/",
            repository.manifest("v1"),
            repository.manifest(digest),
            repository.blob(digest_of(layer, algorithm)),
            repository.blob(digest_of(NOTHING, algorithm)),
            repository.referrers(digest),
            repository.referrers(digest, "?artifactType=a/b"),
        ]:
            looked, got = repository.client.head(path), repository.client.get(path)
            assert (looked.status, looked.body) == (got.status, b"") == (200, b""), path
            assert headers_of(looked) == headers_of(got), path
            assert looked.headers["Content-Length"] == str(len(got.body))

    def test_head_of_an_upload_is_get(self, repository):
        """204 has no length."""
        location = repository.patch(repository.start(), b"12345").headers["Location"]
        looked, got = repository.client.head(location), repository.client.get(location)
        assert looked.status == got.status == 204
        assert headers_of(looked) == headers_of(got)

    def test_referrers_are_an_index_for_head_too(self, repository):
        """With the type that says so."""
        answer = repository.client.head(repository.referrers(DIGEST))
        assert (answer.status, answer.headers["Content-Type"]) == (200, OCI_INDEX)


def headers_of(answer):
    """What is comparable: the time of the answer and the request's id are not."""
    own = ("Date", "X-Request-Id")
    return sorted((name, value) for name, value in answer.headers.items() if name not in own)
