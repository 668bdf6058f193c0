# SPDX-License-Identifier: Apache-2.0
"""Middlewares by the options that a driver gets."""

import pytest

from txregistry import middleware
from txregistry.middleware import StoreRedirects, make_chain
from txregistry.middleware import chain as chain_module
from txregistry.storage.errors import BadOptions
from txregistry.storage.memory import MemoryStore
from txregistry.storage.redirecting import Asked

PATH = "/docker/registry/v2/blobs/sha256/ab/abcd/data"
ASKED = Asked(PATH, "GET", 1200, "192.0.2.1")


class BucketStore(MemoryStore):
    """A store with redirects and keys."""

    has_redirects = True

    def redirect_url(self, path, method, expires_in):
        return f"https://bucket.example/prefix{path}?method={method}&expires={expires_in}"

    def object_key(self, path):
        return f"prefix{path}"


def chained(*entries, store=None):
    return make_chain(list(entries), StoreRedirects(store or BucketStore()))


class StoreTests:
    def test_stores_url_and_key(self):
        """Without a middleware it is as the store says."""
        assert chained().url(ASKED) == BucketStore().redirect_url(PATH, "GET", 1200)
        assert chained().key(PATH) == f"prefix{PATH}"

    def test_store_without_any(self):
        """It is not asked for what it does not offer."""
        bare = chained(store=MemoryStore())
        assert bare.url(ASKED) is None
        assert bare.key(PATH) is None


class RedirectTests:
    @pytest.mark.parametrize(
        "base, url",
        [
            ("https://cdn.example", f"https://cdn.example{PATH}"),
            ("http://cdn.example:8080/a/", f"http://cdn.example:8080/a{PATH}"),
        ],
    )
    def test_path_below_the_base(self, base, url):
        """Whether the store has redirects or not."""
        entry = {"name": "redirect", "options": {"baseurl": base}}
        assert chained(entry, store=MemoryStore()).url(ASKED) == url
        assert chained(entry).key(PATH) == f"prefix{PATH}"

    @pytest.mark.parametrize(
        "options, words",
        [
            ({}, "baseurl is missing"),
            ({"baseurl": ""}, "baseurl is to be a text"),
            ({"baseurl": "cdn.example"}, "an http or https URL"),
            ({"baseurl": "ftp://cdn.example"}, "an http or https URL"),
            ({"baseurl": "https://"}, "an http or https URL"),
            ({"baseurl": "https://cdn.example:x/"}, "an http or https URL"),
            ({"baseurl": "https://cdn.example/?a=b"}, "an http or https URL"),
            ({"baseurl": "https://u:p@cdn.example/"}, "an http or https URL"),
            ({"baseurl": "https://cdn.example", "bseurl": 1}, "did you mean baseurl"),
        ],
    )
    def test_wrong_options_are_one_sentence(self, options, words):
        with pytest.raises(BadOptions, match=words) as caught:
            chained({"name": "redirect", "options": options})
        assert str(caught.value).startswith("middleware redirect: ")


class RewriteTests:
    @pytest.mark.parametrize(
        "options, url",
        [
            ({"host": "cdn.example:444"}, f"https://cdn.example:444/prefix{PATH}"),
            ({"scheme": "http"}, f"http://bucket.example/prefix{PATH}"),
            ({"trimpathprefix": "/prefix"}, f"https://bucket.example{PATH}"),
            ({"trimpathprefix": "/other"}, f"https://bucket.example/prefix{PATH}"),
            (
                {"scheme": "http", "host": "c", "trimpathprefix": "/prefix/docker"},
                f"http://c{PATH.removeprefix('/docker')}",
            ),
        ],
    )
    def test_parts_are_replaced(self, options, url):
        """The query, which holds the signature, stays."""
        found = chained({"name": "rewrite", "options": options}).url(ASKED)
        assert found == f"{url}?method=GET&expires=1200"

    def test_nothing_to_rewrite(self):
        """A store that serves itself goes on doing so."""
        entry = {"name": "rewrite", "options": {"host": "cdn.example"}}
        assert chained(entry, store=MemoryStore()).url(ASKED) is None
        assert chained(entry).key(PATH) == f"prefix{PATH}"

    @pytest.mark.parametrize(
        "options, words",
        [
            ({}, "changes nothing"),
            ({"host": ""}, "changes nothing"),
            ({"scheme": "gopher"}, "scheme is one of http, https"),
            ({"host": "a/b"}, "host is to be a host"),
            ({"host": "a b"}, "host is to be a host"),
            ({"hots": "a"}, "did you mean host"),
        ],
    )
    def test_wrong_options_are_one_sentence(self, options, words):
        with pytest.raises(BadOptions, match=words):
            chained({"name": "rewrite", "options": options})


class ChainTests:
    def test_first_is_next_to_the_store(self):
        """So a rewrite after a redirect changes the redirect's URL, as in registry:3."""
        redirect = {"name": "redirect", "options": {"baseurl": "https://one.example"}}
        rewrite = {"name": "rewrite", "options": {"host": "two.example"}}
        assert chained(redirect, rewrite).url(ASKED) == f"https://two.example{PATH}"
        assert chained(rewrite, redirect).url(ASKED) == f"https://one.example{PATH}"

    @pytest.mark.parametrize(
        "configured, words",
        [
            ({"name": "redirect"}, "middleware is to be a list"),
            (["redirect"], "each middleware is to have a name"),
            ([{"options": {}}], "each middleware is to have a name"),
            ([{"name": "redirect", "options": [1]}], "are to be a table"),
            (
                [{"name": "redirekt"}],
                "middleware redirekt: is not installed; did you mean redirect",
            ),
            ([{"name": "x"}], "known are: cloudfront, redirect, rewrite"),
        ],
    )
    def test_what_makes_no_chain(self, configured, words):
        with pytest.raises(BadOptions, match=words):
            make_chain(configured, StoreRedirects(MemoryStore()))

    def test_middleware_of_another_package(self, monkeypatch):
        """Found by its entry point, and given its options and what is below."""

        class Point:
            name = "ours"

            def load(self):
                return lambda options, below: (options, below.key(PATH))

        monkeypatch.setattr(chain_module, "entry_points", lambda group: [Point()])
        entry = {"name": "ours", "options": {"a": 1}}
        assert chained(entry) == ({"a": 1}, f"prefix{PATH}")
        assert middleware.GROUP == "txregistry.middlewares"
