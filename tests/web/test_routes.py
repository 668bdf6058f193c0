# SPDX-License-Identifier: Apache-2.0
"""The routing table over raw paths."""

import pytest

from txregistry.auth.decisions import Action
from txregistry.web.app import RegistryMap
from txregistry.web.routes import make_rows

ROOT = RegistryMap(make_rows("/"))


def find(path, routes=ROOT):
    """(endpoint, name, reference) of a path."""
    row, found = routes.bind("ignored", "ignored", path_info=path).match(return_rule=True)
    parts = {} if found["found"] is None else found["found"].groupdict()
    return row.endpoint, parts.get("name"), parts.get("reference")


@pytest.mark.parametrize(
    "path, expected",
    [
        ("/", ("liveness", None, None)),
        ("/v2", ("base", None, None)),
        ("/v2/", ("base", None, None)),
        ("/v2/_catalog", ("catalog", None, None)),
        ("/v2/a/tags/list", ("tags", "a", None)),
        ("/v2/a/b/c/manifests/latest", ("manifest", "a/b/c", "latest")),
        ("/v2/a/blobs/sha256:0", ("blob", "a", "sha256:0")),
        ("/v2/a/blobs/sha256%3A0", ("blob", "a", "sha256%3A0")),
        ("/v2/a/blobs/uploads/", ("uploads", "a", None)),
        ("/v2/a/blobs/uploads", ("uploads", "a", None)),
        ("/v2/a/blobs/uploads/u-1", ("upload", "a", "u-1")),
        ("/v2/a/referrers/sha256:0", ("referrers", "a", "sha256:0")),
    ],
)
def test_paths_of_the_specification(path, expected):
    """Every end of the specification has its row."""
    assert find(path) == expected


@pytest.mark.parametrize(
    "path, expected",
    [
        ("/v2/a/manifests/b/manifests/c", ("manifest", "a/manifests/b", "c")),
        ("/v2/manifests/manifests/manifests", ("manifest", "manifests", "manifests")),
        ("/v2/a/blobs/b/blobs/c", ("blob", "a/blobs/b", "c")),
        ("/v2/a/blobs/uploads/manifests/c", ("manifest", "a/blobs/uploads", "c")),
        ("/v2/a/blobs/uploads/blobs/c", ("blob", "a/blobs/uploads", "c")),
        ("/v2/a/manifests/tags/list", ("tags", "a/manifests", None)),
        ("/v2/a/tags/list/manifests/c", ("manifest", "a/tags/list", "c")),
        ("/v2/v2/_catalog/tags/list", ("tags", "v2/_catalog", None)),
        ("/v2/a/manifests/b/blobs/uploads/", ("uploads", "a/manifests/b", None)),
    ],
)
def test_names_are_taken_greedily(path, expected):
    """A repository may be called like a part of the API: the last occurrence counts."""
    assert find(path) == expected


@pytest.mark.parametrize(
    "path, endpoint",
    [
        ("/v2/a/manifests/x/y", "manifest"),
        ("/v2/a/blobs/sha256:../../x", "blob"),
        ("/v2/a/referrers/x/y", "referrers"),
    ],
)
def test_reference_with_a_slash_is_malformed_rather_than_unknown(path, endpoint):
    """It is for the parser to refuse, with 400."""
    assert find(path)[0] == endpoint


@pytest.mark.parametrize(
    "path",
    [
        "//",
        "//v2/",
        "/V2/",
        "/v3/",
        "/v2/../../etc/passwd",
        "/v2/%2e%2e/%2e%2e/etc/passwd",
        "/v2/..%2f..%2fetc/passwd",
        "/v2/%252e%252e/x",
        "/%2F%2Fv2/",
        "/V2/_catalog",
        "/v2/_catalog/",
        "/v2/./_catalog",
        "/v2/_catalog;x",
        "/v2/_catalog%20",
        "/v2/tags/list",
        "/v2/manifests/x",
        "/v2/a",
        "/v2/a/",
        "/v2/a/tags/list/",
        "/v2/a/tags",
        "/x/v2/",
        "/v2/\n",
    ],
)
def test_everything_else_is_nowhere(path):
    """Nothing is cleaned, decoded or guessed."""
    assert find(path) == ("nowhere", None, None)


def test_prefix_moves_everything_but_liveness():
    """A registry may live below a path."""
    routes = RegistryMap(make_rows("/r.g/"))
    assert find("/r.g/v2/a/tags/list", routes) == ("tags", "a", None)
    assert find("/", routes)[0] == "liveness"
    assert find("/v2/", routes)[0] == "nowhere"
    assert find("/rxg/v2/", routes)[0] == "nowhere"
    assert find("/r.g/", routes)[0] == "nowhere"


def test_allow_lists_every_method():
    """405 and OPTIONS tell what is possible."""
    row, _ = ROOT.bind(path_info="/v2/a/blobs/uploads/u").match(return_rule=True)
    assert row.allow(lambda action: True) == "DELETE, GET, HEAD, OPTIONS, PATCH, PUT"
    assert row.allow(lambda action: action is not Action.CONTINUE) == "DELETE, GET, HEAD, OPTIONS"
