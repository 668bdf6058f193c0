# SPDX-License-Identifier: Apache-2.0
"""What is Swift's alone: objects that are larger than one may be, signed URLs, refusals."""

from __future__ import annotations

import urllib.error
import urllib.request

import pytest
from swiftclient.exceptions import ClientException

from txregistry.driver import BadOptions, Missing
from txregistry_drivers.objects import Piece
from txregistry_drivers.swift import create
from txregistry_drivers.swift.bucket import SwiftBucket
from txregistry_drivers.swift.composing import staying_of
from txregistry_drivers.swift.connections import Connections
from txregistry_drivers.swift.options import read_options

from .servers import Swift

LOGIN = {"authurl": "http://swift.invalid/auth/v1.0", "username": "u", "password": "hunter2"}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Swift(tmp_path_factory.mktemp("swift")) as server:
        yield server


@pytest.fixture
def objects(server, bucket):
    """A bucket of a Swift that takes no object of more than 1,000 bytes."""
    options = read_options(server.options(bucket, secretkey="signs"))
    connections = Connections(options)
    url = connections.login()
    with connections.lent() as swift:
        swift.put_container(bucket)
        swift.post_account({"X-Account-Meta-Temp-URL-Key": "signs"})
    objects = SwiftBucket(connections, options, url, largest=1000)
    yield objects
    objects.close()


def read(bucket, key):
    opened = bucket.open(key)
    return b"".join(iter(lambda: opened.read(100), b""))


class LargeTests:
    """Composition beyond the largest size of an object."""

    def test_object_has_segments_of_its_own(self, objects):
        """Its sources do not matter any more, and what it is made of goes with it."""
        parts = [bytes([n]) * 700 for n in range(4)]
        for n, part in enumerate(parts):
            objects.put(f"u/{n}", part, metadata={})
        notes = []
        pieces = [Piece(f"u/{n}", 0, 700) for n in range(4)]
        objects.compose("blob", [*pieces, b"tail"], notes.append)
        whole = b"".join(parts) + b"tail"
        objects.delete_below("u/")
        assert read(objects, "blob") == whole
        assert objects.head("blob").size == len(whole)
        (listed,) = objects.list("", after="", limit=9, is_deep=False).objects
        assert (listed.key, listed.size) == ("blob", len(whole))
        assert listed.version == objects.head("blob").version
        objects.undo(notes[-1])  # also after success: it must not take the object's own
        assert read(objects, "blob") == whole
        objects.compose("copy", [Piece("blob", 0, len(whole))], notes.append)
        objects.delete("blob")
        assert read(objects, "copy") == whole
        objects.delete("copy")
        assert objects.list("", after="", limit=9, is_deep=True).objects == ()

    def test_interrupted_composition_is_undone(self, objects):
        """By its note."""
        notes = []
        with pytest.raises(Missing):
            objects.compose("blob", [b"x" * 900, b"y" * 900, Piece("no", 0, 9)], notes.append)
        left = objects.list("", after="", limit=9, is_deep=True).objects
        assert left and all(one.key.startswith("blob~/") for one in left)
        objects.put(f"{staying_of(notes[-1])}00000", b"of a larger one", metadata={})
        objects.undo(notes[-1])
        assert objects.list("", after="", limit=9, is_deep=True).objects == ()
        objects.undo(notes[-1])

    @pytest.mark.parametrize("note", ["", "/", "blob", "~/compose-0/", "docker/~/compose-/"])
    def test_note_that_is_none_removes_nothing(self, objects, note):
        """Whatever somebody left in the container: a note is no licence to empty it."""
        objects.put("blob", b"bytes", metadata={})
        objects.undo(note)
        assert read(objects, "blob") == b"bytes"


class ConnectionTests:
    def test_a_plain_refusal_keeps_its_connection(self, server, bucket):
        """That nothing is there is asked all the time; after other failures another one is made."""
        connections = Connections(read_options(server.options(bucket)))
        connections.login()
        lent = []
        for status in (404, 503, None):
            with pytest.raises(ClientException), connections.lent() as swift:
                lent.append(swift)
                raise ClientException("no", http_status=status)
        assert lent[0] is lent[1] is not lent[2]
        connections.close()


class UrlTests:
    def test_client_reads_by_a_signed_url(self, objects):
        """And by no other method, and not what it was not made for."""
        objects.put("a/b", b"content", metadata={})
        url = objects.presign("a/b", "GET", 60)
        with urllib.request.urlopen(url) as answer:
            assert answer.read() == b"content"
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(url.replace("a/b", "a/c"))
        assert caught.value.code == 401
        caught.value.close()


class OptionsTests:
    @pytest.mark.parametrize(
        "change, words",
        [
            ({"username": ""}, "username is missing"),
            ({"container": None}, "container is missing"),
            ({"container": "a/b"}, "the name of a container"),
            ({"authurl": "swift.invalid"}, "an http or https URL"),
            ({"authversion": 4}, "authversion is one of 1, 2, 3"),
            ({"accesskey": "x"}, "accesskey is not supported"),
            ({"chunksize": 100}, "chunksize is to be a whole number of at least 1048576"),
            ({"endpointtype": "publik"}, "did you mean public"),
            ({"pasword": "x"}, "did you mean password"),
        ],
    )
    def test_wrong_ones_are_one_sentence(self, change, words):
        with pytest.raises(BadOptions, match=words) as caught:
            read_options({**LOGIN, "container": "c", **change})
        assert "hunter2" not in str(caught.value)

    @pytest.mark.parametrize(
        "authurl, version",
        [
            ("https://k/v3", "3"),
            ("https://k/v2.0", "2"),
            ("https://s/auth/v1.0", "1"),
            ("http://s", "1"),
        ],
    )
    def test_version_of_the_login_is_that_of_the_url(self, authurl, version):
        options = read_options({**LOGIN, "container": "c", "authurl": authurl})
        assert options.authversion == version
        assert "hunter2" not in repr(options)

    def test_wrong_password_is_told_at_the_start(self, server, bucket):
        with pytest.raises(BadOptions, match="may not use container"):
            create({**server.options(bucket), "password": "wrong"})

    def test_other_server_is_told_at_the_start(self, server, bucket):
        wrong = f"{server.url}/nothing"
        with pytest.raises(BadOptions, match="correct"):
            create({**server.options(bucket), "authurl": wrong})
