# SPDX-License-Identifier: Apache-2.0
"""Where things lie: the tree of registry:2, byte for byte, and our own names beside it."""

from __future__ import annotations

import pytest

from txregistry.storage import paths
from txregistry.storage.errors import InvalidPath

HEX = "ab" + "0" * 62
TOP = "/docker/registry/v2"

LAYOUT = {
    paths.blob_data("sha256", HEX): f"{TOP}/blobs/sha256/ab/{HEX}/data",
    paths.blob_size("sha256", HEX): f"{TOP}/blobs/sha256/ab/{HEX}/size",
    paths.layer_link("a/b", "sha256", HEX): f"{TOP}/repositories/a/b/_layers/sha256/{HEX}/link",
    paths.revision_link(
        "a/b", "sha256", HEX
    ): f"{TOP}/repositories/a/b/_manifests/revisions/sha256/{HEX}/link",
    paths.tag_link("a/b", "v1"): f"{TOP}/repositories/a/b/_manifests/tags/v1/current/link",
    paths.tag_index_link(
        "a/b", "v1", "sha256", HEX
    ): f"{TOP}/repositories/a/b/_manifests/tags/v1/index/sha256/{HEX}/link",
    paths.upload_data("a/b", "u"): f"{TOP}/repositories/a/b/_uploads/u/data",
    paths.upload_started("a/b", "u"): f"{TOP}/repositories/a/b/_uploads/u/startedat",
    paths.upload_hash_states("a/b", "u"): f"{TOP}/repositories/a/b/_uploads/u/hashstates",
    paths.upload_meta("a/b", "u"): f"{TOP}/repositories/a/b/_uploads/u/meta",
    paths.referrer_descriptor(
        "a", ("sha256", HEX), ("sha512", "cd")
    ): f"{TOP}/repositories/a/_manifests/referrers/sha256/{HEX}/sha512/cd/descriptor",
    paths.TOKEN_KEY: f"{TOP}/_txregistry/token-key",
}


@pytest.mark.parametrize("path", LAYOUT)
def test_layout_is_that_of_the_other_registry(path):
    """Either registry can take a tree over from the other."""
    assert path == LAYOUT[path]
    assert paths.check_path(path) == path


def test_directories_are_the_parents_of_their_files():
    """What is deleted or listed as a whole is the directory of what is read."""
    pairs = (
        (paths.blob_directory("sha256", HEX), paths.blob_data("sha256", HEX)),
        (paths.layer_directory("a", "sha256", HEX), paths.layer_link("a", "sha256", HEX)),
        (paths.revision_directory("a", "sha256", HEX), paths.revision_link("a", "sha256", HEX)),
        (
            paths.tag_index_directory("a", "t", "sha256", HEX),
            paths.tag_index_link("a", "t", "sha256", HEX),
        ),
        (paths.upload_directory("a", "u"), paths.upload_data("a", "u")),
        (paths.uploads("a"), paths.upload_directory("a", "u")),
        (paths.tags("a"), paths.tag_directory("a", "t")),
        (paths.repository("a"), paths.manifests("a")),
    )
    for directory, file in pairs:
        assert file.rpartition("/")[0] == directory


def test_root_is_a_path_only_where_allowed():
    """``/`` can be looked at and nothing else."""
    assert paths.check_path("/", allow_root=True) == "/"
    with pytest.raises(InvalidPath):
        paths.check_path("/")


def test_longest_path_is_bounded():
    """A path leaves room for a driver's root in front of it."""
    assert paths.check_path("/" + "a" * (paths.PATH_LIMIT - 1))
    with pytest.raises(InvalidPath):
        paths.check_path("/" + "a" * paths.PATH_LIMIT)
