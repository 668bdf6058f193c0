# SPDX-License-Identifier: Apache-2.0
"""The key of upload tokens."""

from __future__ import annotations

import itertools
import re

import pytest

from txregistry.oci.errors import Code
from txregistry.registry import SecretRequired, load_or_create_secret, open_registry
from txregistry.storage.errors import Changed, Unavailable
from txregistry.storage.paths import TOKEN_KEY

from ..oci.refusals import refused
from .world import APP, Bytes, done, parse, started


def keys():
    numbers = itertools.count(1)
    return lambda: f"{next(numbers):064x}"


class SecretTests:
    def test_configured_secret_is_used(self, world):
        """As it is, so that another registry with the same configuration agrees."""
        assert done(load_or_create_secret(world.driver, "sécret")) == "sécret".encode()
        assert world.calls == []

    @pytest.mark.parametrize("configured", [None, ""])
    def test_secret_is_made_once(self, world, configured):
        key = done(load_or_create_secret(world.driver, configured))
        assert re.fullmatch(rb"[0-9a-f]{64}", key)
        assert world.get(TOKEN_KEY) == key
        world.driver.forget()
        assert done(load_or_create_secret(world.driver, configured)) == key
        assert len(world.calls) == 1

    def test_first_of_two_processes_decides(self, world):
        new_key = keys()
        gate = world.driver.hold("^put")
        late = started(load_or_create_secret(world.driver, new_key=new_key))
        first = done(load_or_create_secret(world.driver, new_key=new_key))
        gate.callback(None)
        assert late.result == first

    @pytest.mark.parametrize("garbage", [b"", b"short", b"x" * 64, b"0" * 65])
    def test_garbage_is_replaced(self, world, garbage):
        world.put(TOKEN_KEY, garbage)
        key = done(load_or_create_secret(world.driver))
        assert world.get(TOKEN_KEY) == key and len(key) == 64

    def test_first_of_two_that_replace_garbage_decides(self, world):
        world.put(TOKEN_KEY, b"")
        new_key = keys()
        gate = world.driver.hold("^put")
        late = started(load_or_create_secret(world.driver, new_key=new_key))
        first = done(load_or_create_secret(world.driver, new_key=new_key))
        gate.callback(None)
        assert late.result == first

    def test_storage_that_never_settles(self, world):
        for _ in range(5):
            world.driver.fail("^put", Changed())
        with pytest.raises(Changed):
            done(load_or_create_secret(world.driver))

    def test_storage_that_can_not_tell_hosts_apart_needs_a_configured_one(self, world):
        """None is made there; one that lies there already is the same for all hosts."""

        async def is_decided():
            return False

        with pytest.raises(SecretRequired):
            done(load_or_create_secret(world.driver, is_decided=is_decided))
        assert not [call for call in world.calls if call.startswith("put")]
        assert done(load_or_create_secret(world.driver, "ours", is_decided=is_decided)) == b"ours"
        world.put(TOKEN_KEY, b"a" * 64)
        assert done(load_or_create_secret(world.driver, is_decided=is_decided)) == b"a" * 64

    def test_backend_that_is_away(self, world):
        world.driver.fail("^get", Unavailable())
        with pytest.raises(Unavailable):
            done(load_or_create_secret(world.driver))


class NoSecretYetTests:
    def test_uploads_wait_for_the_secret(self, world):
        """While the storage is away there is a 503, and everything once it is back."""
        registry = open_registry(world.driver, secret=None, now=lambda: world.now, parse=parse)
        with refused(Code.UNAVAILABLE) as caught:
            done(registry.uploads.start(APP))
        assert caught.value.retry_after
        registry.use_secret(b"asecret")
        upload = done(registry.uploads.start(APP))
        assert (
            done(registry.uploads.append(APP, upload.id, upload.token, None, Bytes(b"abc"))).offset
            == 3
        )
