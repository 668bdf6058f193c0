# SPDX-License-Identifier: Apache-2.0
"""Conformance: what a client sees of a registry that is configured otherwise."""

from __future__ import annotations

import time

import pytest

from .client import Client
from .repository import ALGORITHMS, EMPTY_JSON, OCI_MANIFEST, Repository, digest_of, image, index
from .servers import Registry

DATA = b"some content"

#: Seconds that something may take on a busy machine.
PATIENCE = 60


def storage_at(directory, **settings):
    return {"filesystem": {"rootdirectory": str(directory)}, **settings}


class MountedTests:
    """``http.prefix``, ``http.host`` and ``http.headers``."""

    HOST = "https://registry.example:8443"

    @pytest.fixture(scope="class")
    @staticmethod
    def client(tmp_path_factory):
        http = {"prefix": "/some/where/", "headers": {"X-Frame-Options": ["DENY"]}}
        with Registry(tmp_path_factory.mktemp("mounted"), {"http": http}) as server:
            yield Client(server)

    @pytest.fixture
    def repository(self, client):
        return Repository(client, "a/manifests", "/some/where/")

    def test_everything_is_below_the_prefix(self, client):
        """But for the liveness of the process; nothing is redirected there."""
        assert client.get("/some/where/v2/").body == b"{}"
        assert client.get("/").status == 200
        for path in ("/v2/", "/some/where/", "/some/wherev2/", "/v2/_catalog", "/v2/a/tags/list"):
            assert client.get(path).refusal == (404, "UNSUPPORTED")

    @pytest.mark.parametrize("algorithm", ALGORITHMS)
    def test_all_that_is_given_out_is_below_it_too(self, repository, algorithm):
        """Locations of sessions, blobs and manifests, and Links."""
        location = repository.start()
        assert location.startswith(repository.uploads)
        location = repository.patch(location, DATA).headers["Location"]
        answer = repository.close(location, digest_of(DATA, algorithm))
        assert answer.headers["Location"] == repository.blob(digest_of(DATA, algorithm))
        data = repository.push_image("v1", algorithm=algorithm)
        digest = digest_of(data, algorithm)
        for tag in ("v2", "v3"):
            repository.push(data, tag, algorithm)
        answer = repository.put(digest, data)
        assert answer.headers["Location"] == repository.manifest(digest)
        pages = repository.client.pages(f"{repository.tags}?n=1")
        assert [page["tags"] for page in pages] == [["v1"], ["v2"], ["v3"]]
        for number in (1, 2):
            repository.push_artifact(data, "application/x", algorithm, number=str(number))
        pages = list(repository.client.pages(repository.referrers(digest, "?n=1")))
        assert len(pages) == 2

    def test_catalog_links_below_it(self, repository):
        """As all others."""
        repository.push_image("v1")
        repository.sibling("another").push_image("v1")
        pages = repository.client.pages("/some/where/v2/_catalog?n=1")
        assert len(list(pages)) == 2

    def test_headers_stand_on_every_answer(self, client):
        """Refusals included."""
        for path in ("/some/where/v2/", "/nowhere", "/"):
            assert client.get(path).all("X-Frame-Options") == ["DENY"]

    def test_host_stands_in_locations(self, tmp_path):
        """In Links it never does, and what a request says of hosts never counts."""
        with Registry(tmp_path, {"http": {"host": self.HOST}}) as server:
            repository = Repository(Client(server), "a")
            headers = {"Host": "evil.example", "X-Forwarded-Host": "evil.example"}
            answer = repository.client.post(repository.uploads, b"", headers)
            location = answer.headers["Location"]
            assert location.startswith(self.HOST + repository.uploads)
            here = repository.client.here(location)
            answer = repository.close(here, digest_of(DATA), DATA)
            assert answer.headers["Location"] == self.HOST + repository.blob(digest_of(DATA))
            repository.push_image("v1")
            repository.push_image("v2")
            link = repository.client.get(f"{repository.tags}?n=1").headers["Link"]
            assert link.startswith(f"<{repository.tags}?")


class NoDeletesTests:
    """Deletes are disabled as long as nobody enables them."""

    @pytest.fixture(scope="class")
    @staticmethod
    def repository(tmp_path_factory):
        directory = tmp_path_factory.mktemp("kept")
        with Registry(directory, storage=storage_at(directory / "tree")) as server:
            repository = Repository(Client(server), "a")
            repository.push_image("v1", DATA)
            yield repository

    @pytest.mark.parametrize("what", ["tag", "manifest", "blob", "unknown tag", "unknown blob"])
    def test_delete_is_405(self, repository, what):
        """By tag too; Allow has the methods that remain, and nothing has gone."""
        path = {
            "tag": repository.manifest("v1"),
            "manifest": repository.manifest(digest_of(image(DATA))),
            "blob": repository.blob(digest_of(DATA)),
            "unknown tag": repository.manifest("none"),
            "unknown blob": repository.blob(digest_of(b"none")),
        }[what]
        answer = repository.client.delete(path)
        assert answer.refusal == (405, "UNSUPPORTED")
        allowed = "GET, HEAD, OPTIONS" + (", PUT" if "/manifests/" in path else "")
        assert answer.headers["Allow"] == allowed
        assert repository.client.request("OPTIONS", path).headers["Allow"] == allowed
        assert repository.client.get(repository.manifest("v1")).body == image(DATA)
        assert repository.has_blob(digest_of(DATA))

    def test_upload_can_be_cancelled(self, repository):
        """What a client pushes itself it may take back."""
        location = repository.start()
        assert repository.client.delete(location).status == 204
        assert repository.client.get(location).status == 404


class ReadOnlyTests:
    """``storage.maintenance.readonly``: reads go on, and nothing else."""

    @pytest.fixture(scope="class")
    @staticmethod
    def sealed(tmp_path_factory):
        """The repository, and an upload that had begun before."""
        directory = tmp_path_factory.mktemp("sealed")
        storage = storage_at(directory / "tree", delete={"enabled": True})
        with Registry(directory / "open", storage=storage) as server:
            repository = Repository(Client(server), "a")
            repository.push_image("v1", DATA)
            location = repository.patch(repository.start(), b"begun").headers["Location"]
        storage["maintenance"] = {"readonly": {"enabled": True}}
        with Registry(directory / "closed", storage=storage) as server:
            yield Repository(Client(server), "a"), location

    @pytest.mark.parametrize(
        "method, below",
        [
            ("PUT", "manifests/v1"),
            ("DELETE", "manifests/v1"),
            ("DELETE", f"manifests/{digest_of(image(DATA))}"),
            ("DELETE", f"blobs/{digest_of(DATA)}"),
            ("POST", "blobs/uploads/"),
            ("POST", f"blobs/uploads/?digest={digest_of(DATA)}"),
            ("POST", f"blobs/uploads/?mount={digest_of(DATA)}&from=b"),
            ("PATCH", "upload"),
            ("PUT", "upload"),
            ("DELETE", "upload"),
        ],
    )
    def test_write_is_405(self, sealed, method, below):
        """Whatever it is, with the methods that remain."""
        repository, location = sealed
        path = location if below == "upload" else f"{repository.root}/{below}"
        body = None if method == "DELETE" else DATA
        answer = repository.client.request(method, path, body, {"Content-Type": OCI_MANIFEST})
        assert answer.refusal == (405, "UNSUPPORTED")
        allowed = "OPTIONS" if "/uploads/" in path and method == "POST" else "GET, HEAD, OPTIONS"
        assert answer.headers["Allow"] == allowed
        assert repository.client.request("OPTIONS", path).headers["Allow"] == allowed

    def test_reads_go_on(self, sealed):
        """All of them; who had begun an upload is told how far it is, to go on with it later."""
        repository, location = sealed
        client = repository.client
        assert client.get_json("/v2/_catalog") == {"repositories": ["a"]}
        assert client.get_json(repository.tags)["tags"] == ["v1"]
        assert client.get(repository.manifest("v1")).body == image(DATA)
        assert client.get(repository.blob(digest_of(DATA))).body == DATA
        assert client.get(repository.referrers(digest_of(DATA))).status == 200
        answer = client.get(location)
        assert (answer.status, answer.headers["Range"]) == (204, "0-4")


class LimitedTests:
    """Limits, and sparse indexes."""

    @pytest.fixture(scope="class")
    @staticmethod
    def client(tmp_path_factory):
        directory = tmp_path_factory.mktemp("limited")
        configuration = {
            "http": {"limits": {"manifestsize": 2000, "tagsperpush": 2}},
            "catalog": {"maxentries": 2},
            "tags": {"maxtags": 2},
            "validation": {"manifests": {"indexes": {"platforms": "none"}}},
        }
        storage = storage_at(directory / "tree", bloblimit=1000)
        with Registry(directory, configuration, storage=storage) as server:
            yield Client(server)

    def test_sparse_index_is_taken(self, repository):
        """Its children may be anywhere, or nowhere; blobs of a manifest still must be here."""
        child = image(annotations={"is": "elsewhere"})
        data = index(child)
        repository.push(data, "sparse")
        assert repository.client.get(repository.manifest("sparse")).body == data
        path = repository.manifest(digest_of(child))
        assert repository.client.get(path).refusal == (404, "MANIFEST_UNKNOWN")
        assert repository.put("v1", image(b"none")).refusal == (400, "MANIFEST_BLOB_UNKNOWN")

    @pytest.mark.parametrize("is_stream", [True, False])
    @pytest.mark.parametrize("how", ["post", "patch", "second patch", "put", "put after patch"])
    def test_larger_blob_is_413(self, repository, how, is_stream):
        """However it comes; one of just that size is taken."""
        data = b"x" * 1001
        body = [data] if is_stream else data
        location = repository.start()
        if how in ("second patch", "put after patch"):
            location = repository.patch(location, b"xx").headers["Location"]
            body = [data[2:]] if is_stream else data[2:]
        if how == "post":
            answer = repository.client.post(f"{repository.uploads}?digest={digest_of(data)}", body)
        elif "put" in how:
            answer = repository.close(location, digest_of(data), body)
        else:
            answer = repository.patch(location, body)
        assert answer.refusal == (413, "SIZE_INVALID")
        assert not repository.has_blob(digest_of(data))
        repository.push_blob(data[1:])

    def test_larger_manifest_is_413(self, repository):
        """By the configured limit."""
        repository.push_blob(EMPTY_JSON)
        assert repository.put("v1", image()).status == 201
        data = image(annotations={"padding": "x" * 2000})
        assert repository.put("v1", data).refusal == (413, "MANIFEST_INVALID")

    def test_more_tags_are_414(self, repository):
        """Likewise."""
        repository.push_blob(EMPTY_JSON)
        digest = digest_of(image())
        assert repository.put(f"{digest}?tag=a&tag=b", image()).status == 201
        answer = repository.put(f"{digest}?tag=a&tag=b&tag=c", image())
        assert answer.refusal == (414, "UNSUPPORTED")

    def test_pages_are_at_most_so_long(self, repository):
        """Tags: as many as there are without a number, else cut; the catalog: cut, else refused."""
        repository.push_blob(EMPTY_JSON)
        for tag in ("a", "b", "c"):
            repository.push(image(), tag)
            repository.sibling(tag).push_image("v1")
        client = repository.client
        assert client.get_json(repository.tags)["tags"] == ["a", "b", "c"]
        pages = client.pages(f"{repository.tags}?n=3")
        assert [page["tags"] for page in pages] == [["a", "b"], ["c"]]
        assert len(client.get_json("/v2/_catalog")["repositories"]) == 2
        assert "Link" in client.get("/v2/_catalog").headers
        answer = client.get("/v2/_catalog?n=3")
        assert answer.refusal == (400, "PAGINATION_NUMBER_INVALID")


def test_idle_sessions_end(tmp_path):
    """``uploadpurging``: a session for which nothing comes is as if it had never been."""
    purging = {"enabled": True, "age": "100ms", "interval": "100ms"}
    storage = storage_at(tmp_path / "tree", maintenance={"uploadpurging": purging})
    with Registry(tmp_path, storage=storage) as server:
        repository = Repository(Client(server), "a")
        location = repository.start()
        deadline = time.monotonic() + PATIENCE
        while repository.client.get(location).status == 204:
            assert time.monotonic() < deadline, "the session never ends"
        assert repository.client.get(location).refusal == (404, "BLOB_UPLOAD_UNKNOWN")
        answer = repository.close(location, digest_of(DATA), DATA)
        assert answer.refusal == (404, "BLOB_UPLOAD_UNKNOWN")
