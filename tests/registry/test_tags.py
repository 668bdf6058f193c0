# SPDX-License-Identifier: Apache-2.0
"""Lists of tags."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from txregistry.oci.errors import Code
from txregistry.oci.names import RepositoryName, Tag
from txregistry.oci.pages import Page, PageRequest, take
from txregistry.registry.directories import Names, safe_start
from txregistry.storage import paths
from txregistry.storage.errors import Unavailable

from ..oci.refusals import refused
from .world import APP, OTHER, World, done

LINK = b"sha256:" + b"0" * 64


def tagged(*names):
    """A world in which the repository has tags."""
    world = World()
    for name in names:
        world.put(f"APP/_manifests/tags/{name}/current/link", LINK)
    return world


def page(world, limit=None, last="", repository=APP):
    return done(world.registry.tags.page(repository, PageRequest(limit, last)))


class TagsTests:
    def test_all_in_byte_order(self):
        world = tagged("b", "a", "A", "_", "0.1.20", "0.1.2", "0.1.2-rc", "a.b", "a-b")
        assert page(world) == Page(
            ("0.1.2", "0.1.2-rc", "0.1.20", "A", "_", "a", "a-b", "a.b", "b"), has_more=False
        )

    def test_pages(self):
        world = tagged(*"abcde")
        assert page(world, 2) == Page(("a", "b"), True)
        assert page(world, 2, "b") == Page(("c", "d"), True)
        assert page(world, 2, "d") == Page(("e",), False)
        assert page(world, 2, "e") == Page((), False)

    def test_no_page_after_one_that_is_just_full(self):
        """A link leads to something."""
        assert page(tagged("a", "b"), 2) == Page(("a", "b"), False)

    def test_start_need_not_exist(self):
        assert page(tagged("a", "c"), 2, "b").names == ("c",)

    def test_nothing_asked_for(self):
        assert page(tagged("a"), 0) == Page((), False)

    @pytest.mark.parametrize("limit", [None, 0, 5])
    def test_unknown_repository(self, limit):
        with refused(Code.NAME_UNKNOWN) as caught:
            page(tagged("a"), limit, repository=OTHER)
        assert caught.value.detail == {"name": "lib/other"}

    def test_part_of_a_name_is_no_repository(self):
        with refused(Code.NAME_UNKNOWN):
            page(tagged("a"), repository=RepositoryName("lib"))

    def test_repository_whose_last_tag_went(self):
        world = World()
        done(world.image())
        done(world.registry.manifests.delete(APP, Tag("latest")))
        assert page(world) == Page((), False)

    def test_repository_whose_last_manifest_went(self):
        world = World()
        digest = done(world.image())
        done(world.registry.manifests.delete(APP, digest))
        assert page(world) == Page((), False)

    def test_repository_with_blobs_only(self):
        world = World()
        done(world.blob(b"blob"))
        assert page(world) == Page((), False)

    def test_upload_alone_makes_no_repository(self):
        world = World()
        done(world.registry.uploads.start(APP))
        with refused(Code.NAME_UNKNOWN):
            page(world)

    def test_what_is_no_tag_is_not_listed(self):
        world = tagged("a", ".hidden", "c")
        world.put("APP/_manifests/tags/b.5e0e.tmp", b"")
        world.put("APP/_manifests/tags/" + "x" * 129 + "/current/link", LINK)
        assert page(world).names == ("a", "c")
        assert page(world, 1) == Page(("a",), True)

    def test_many_tags(self):
        names = [f"t{number:05}" for number in range(2500)]
        world = tagged(*names)
        world.driver.forget()
        assert page(world).names == tuple(names)
        assert len(world.calls) == 3
        assert page(world, 1200, "t00999") == Page(tuple(names[1000:2200]), True)

    @pytest.mark.parametrize(
        "last", ["../..", "/", "a/b", "é", "\0", "z" * 10_000, "%2e", "\ud800", "a\n"]
    )
    def test_hostile_start(self, last):
        """Whatever a client asks to start after is but a place in the order of names."""
        assert page(tagged("a", "b"), 5, last).names == tuple(name for name in "ab" if name > last)

    def test_backend_that_is_away(self):
        world = tagged("a")
        world.driver.fail("^list", Unavailable())
        with refused(Code.UNAVAILABLE):
            page(world)

    @given(
        st.sets(st.text("0aA._-", min_size=1, max_size=4).filter(lambda name: name[0] not in ".-")),
        st.text("0aA._-/é", max_size=4),
        st.none() | st.integers(0, 5),
    )
    def test_any_page_is_that_of_the_sorted_names(self, names, last, limit):
        world = tagged("zz", *names)
        assert page(world, limit, last) == take(sorted({"zz", *names}), PageRequest(limit, last))


class NamesTests:
    def test_names_go_on_where_they_were(self):
        world = tagged(*"abcde")
        names = Names(world.driver, paths.tags("lib/app"), "", lambda name: name != "b")
        assert done(names.take(2)) == ["a", "c"]
        assert done(names.take(2)) == ["d", "e"]
        assert done(names.take(2)) == []

    @pytest.mark.parametrize(
        "last, start",
        [
            ("", ""),
            ("a.B-_0", "a.B-_0"),
            ("a/b", "a"),
            ("é", ""),
            ("a" * 300, "a" * 255),
            ("a\n", "a"),
        ],
    )
    def test_start_is_a_name_that_drivers_take(self, last, start):
        assert safe_start(last) == start
