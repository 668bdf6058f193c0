# SPDX-License-Identifier: Apache-2.0
"""What is GCS's alone: generations, composition by levels, what its errors mean, options."""

from __future__ import annotations

import json

import pytest
from google.api_core.exceptions import (
    Forbidden,
    PreconditionFailed,
    RetryError,
    ServiceUnavailable,
    TooManyRequests,
)
from google.auth.exceptions import DefaultCredentialsError, RefreshError

from txregistry.driver import (
    BadOptions,
    Changed,
    Denied,
    Exists,
    Internal,
    Missing,
    Throttled,
    Unavailable,
)
from txregistry_drivers.gcs import create
from txregistry_drivers.gcs.bucket import GcsBucket
from txregistry_drivers.gcs.opening import _minds_generations
from txregistry_drivers.gcs.options import read_options
from txregistry_drivers.gcs.refusals import refusal
from txregistry_drivers.objects import Piece

from .servers import Gcs

KEY = {"client_email": "r@x", "private_key": "hunter2", "token_uri": "https://x"}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Gcs(tmp_path_factory.mktemp("gcs")) as server:
        yield server


@pytest.fixture
def objects(server, bucket):
    options = read_options(server.options(bucket))
    objects = GcsBucket(server.client(), options, has_conditions=False)
    yield objects
    objects.close()


def read(bucket, key, start=0):
    opened = bucket.open(key, start)
    return b"".join(iter(lambda: opened.read(1000), b""))


class ComposingTests:
    @pytest.mark.parametrize("count", [1, 32, 33, 70])
    def test_many_pieces_are_one_object(self, objects, count):
        """32 by a call, more by levels; nothing between is left, and no source is needed."""
        notes = []
        for n in range(count):
            objects.put(f"u/{n}", b"%04d" % n, metadata={})
        pieces = [Piece(f"u/{n}", 0, 4) for n in range(count)]
        objects.compose("blob", [*pieces, b"tail"], notes.append)
        objects.delete_below("u/")
        assert read(objects, "blob") == b"".join(b"%04d" % n for n in range(count)) + b"tail"
        assert read(objects, "blob", 2) == read(objects, "blob")[2:]
        assert [one.key for one in objects.list("", after="", limit=9, is_deep=True).objects] == [
            "blob"
        ]
        assert notes and notes[-1].startswith("blob~/compose-")

    def test_interrupted_one_is_undone(self, objects):
        notes = []
        with pytest.raises(Missing):
            objects.compose("blob", [b"bytes", Piece("no", 0, 4)], notes.append)
        assert objects.list("", after="", limit=9, is_deep=True).objects
        objects.undo(notes[-1])
        assert objects.list("", after="", limit=9, is_deep=True).objects == ()

    @pytest.mark.parametrize("note", ["", "/", "blob", "~/compose-0/", "docker/~/compose-/"])
    def test_note_that_is_none_removes_nothing(self, objects, note):
        """Whatever somebody left in the bucket: a note is no licence to empty it."""
        objects.put("blob", b"bytes", metadata={})
        objects.undo(note)
        assert read(objects, "blob") == b"bytes"

    def test_what_was_cut_is_put_together(self, objects):
        """GCS composes whole objects."""
        objects.put("a", b"0123456789", metadata={})
        objects.compose("b", [Piece("a", 0, 4), Piece("a", 4, 10)], [].append)
        assert read(objects, "b") == b"0123456789"
        with pytest.raises(Internal):
            objects.compose("c", [Piece("a", 4, 10)], [].append)


class Blob:
    """One of Google's library, of a server that minds generations."""

    name = "a"

    def upload_from_string(self, data, content_type, *, if_generation_match, **_):
        if if_generation_match is not None:
            raise PreconditionFailed("no")
        self.generation = 7

    def delete(self, *, if_generation_match, **_):
        if if_generation_match is not None:
            raise PreconditionFailed("no")


class Client:
    def bucket(self, name):
        return self

    def blob(self, key):
        return Blob()

    def close(self):
        pass


class GenerationTests:
    @pytest.fixture
    def minding(self):
        bucket = GcsBucket(Client(), read_options({"bucket": "images"}), has_conditions=True)
        yield bucket
        bucket.close()

    def test_conditions_are_generations(self, minding):
        assert minding.put("a", b"x", metadata={}) == "7"
        with pytest.raises(Exists):
            minding.put("a", b"x", metadata={}, if_absent=True)
        for version in ("6", "0", "junk"):
            with pytest.raises(Changed):
                minding.put("a", b"x", metadata={}, if_version=version)
            with pytest.raises(Changed):
                minding.delete("a", if_version=version)

    def test_server_is_tried_at_the_start(self, minding, objects):
        """An emulator takes conditions and does not mind them."""
        assert _minds_generations(minding, "root/")
        assert not _minds_generations(objects, "root/")
        assert objects.list("", after="", limit=9, is_deep=True).objects == ()


@pytest.mark.parametrize(
    "error, kind",
    [
        (Forbidden("hunter2"), Denied),
        (TooManyRequests("hunter2"), Throttled),
        (ServiceUnavailable("hunter2"), Unavailable),
        (RetryError("hunter2", TooManyRequests("hunter2")), Throttled),
        (ConnectionError("hunter2"), Unavailable),
        (DefaultCredentialsError("hunter2"), Denied),
        (RefreshError("hunter2"), Denied),
    ],
)
def test_error_is_told_without_what_was_sent(error, kind):
    """Each means one refusal."""
    refused = refusal(error, "key", "a look")
    assert type(refused) is kind
    assert "hunter2" not in str(refused)


class OptionsTests:
    @pytest.mark.parametrize(
        "options, words",
        [
            ({}, "bucket is missing"),
            ({"bucket": "UPPER"}, "the name of a bucket"),
            ({"bucket": "images", "chunksize": 262145}, "a multiple of 262144"),
            ({"bucket": "images", "endpoint": "host:1"}, "an http or https URL"),
            ({"bucket": "images", "keyfile": "/no/where"}, "can't be read: No such file"),
            ({"bucket": "images", "keyfile": "/dev/null"}, "is not a JSON document"),
            ({"bucket": "images", "credentials": {"private_key": "hunter2"}}, "client_email"),
            ({"bucket": "images", "credentials": "hunter2"}, "the key of a service account"),
            ({"bucket": "images", "keyfile": "x", "credentials": KEY}, "keep one"),
            ({"bucket": "images", "buket": 1}, "did you mean bucket"),
        ],
    )
    def test_wrong_ones_are_one_sentence(self, options, words):
        with pytest.raises(BadOptions, match=words) as caught:
            read_options(options)
        assert "hunter2" not in str(caught.value)

    def test_key_is_not_shown(self, tmp_path):
        path = tmp_path / "key.json"
        path.write_text(json.dumps(KEY))
        for how in ({"keyfile": str(path)}, {"credentials": KEY}):
            options = read_options({"bucket": "images", **how})
            assert options.credentials == KEY
            assert "hunter2" not in repr(options)
        with pytest.raises(BadOptions, match="private_key can't be read"):
            create({"bucket": "images", "credentials": KEY})

    def test_bucket_that_is_not_there_is_told_at_the_start(self, server):
        with pytest.raises(BadOptions, match="bucket 'nothing' does not exist"):
            create({"bucket": "nothing", "endpoint": server.url})
