# SPDX-License-Identifier: Apache-2.0
"""The catalog, and the walk over repositories below it."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from txregistry.oci.errors import Code, OciError
from txregistry.oci.names import RepositoryName
from txregistry.oci.pages import Page, PageRequest, take
from txregistry.registry import tree
from txregistry.registry.tree import LAYERS, MANIFESTS, UPLOADS, RepositoryTree, markers_of
from txregistry.storage.errors import Missing, Unavailable

from ..oci.refusals import refused
from .world import World, done

LINK = b"sha256:" + b"0" * 64
HEX = "0" * 64


def holding(*names):
    """A world with repositories that have a manifest each."""
    world = World()
    for name in names:
        world.put(f"repositories/{name}/_manifests/revisions/sha256/{HEX}/link", LINK)
        world.put(f"repositories/{name}/_layers/sha256/{HEX}/link", LINK)
    return world


def page(world, limit=None, last=""):
    return done(world.registry.catalog.page(PageRequest(limit, last)))


def walked(world, after=""):
    walk = RepositoryTree(world.driver, after=after)
    nodes = []
    while (node := done(walk.next())) is not None:
        nodes.append(node)
    return nodes


def is_name(text):
    try:
        RepositoryName.parse(text)
    except OciError:
        return False
    return True


#: Names that nest and share beginnings, with everything that sorts before and after "/".
names = (
    st.lists(st.text("a0-._", min_size=1, max_size=3), min_size=1, max_size=3)
    .map("/".join)
    .filter(is_name)
)


class CatalogTests:
    def test_byte_order_of_full_names(self):
        """Nested names come where their text puts them, not where a walk would."""
        world = holding("math/x", "math-voila", "math", "math0", "math.b", "a")
        assert page(world).names == ("a", "math", "math-voila", "math.b", "math/x", "math0")

    def test_pages(self):
        world = holding(*"abc")
        assert page(world, 2) == Page(("a", "b"), True)
        assert page(world, 2, "b") == Page(("c",), False)
        assert page(world, 3) == Page(("a", "b", "c"), False)
        assert page(world, 2, "c") == Page((), False)

    def test_nothing_asked_for(self):
        world = holding("a")
        world.driver.forget()
        assert page(world, 0) == Page((), False)
        assert world.calls == []

    def test_empty_storage(self):
        assert page(World(), 10) == Page((), False)

    def test_repository_that_was_pushed_to(self):
        world = World()
        done(world.image())
        assert page(world).names == ("lib/app",)

    def test_emptied_repository_is_not_listed(self):
        """It has directories for ever on a file system, but nothing to pull."""
        world = World()
        digest = done(world.image())
        done(world.registry.manifests.delete(RepositoryName("lib/app"), digest))
        world.put(f"APP/_manifests/revisions/sha256/{HEX}/left", b"")
        assert page(world).names == ()

    def test_what_another_registry_left_of_deleted_manifests(self):
        """Directories without a link, one with an empty link, one with signatures only."""
        world = World()
        root = "APP/_manifests/revisions/sha256"
        for number in range(1500):
            world.put(f"{root}/{number:064}/x", b"")
        world.put(f"{root}/{1500:064}/link", b"")
        world.put(f"{root}/{1501:064}/signatures/sha256/{HEX}/link", LINK)
        assert page(world).names == ()
        world.put(f"{root}/{1502:064}/link", LINK)
        assert page(world).names == ("lib/app",)

    def test_tag_makes_it_listed(self):
        """A tag that dangles is still there to be seen and deleted."""
        world = World()
        world.put("APP/_manifests/tags/latest/current/link", LINK)
        assert page(world).names == ("lib/app",)

    def test_blobs_and_uploads_alone_do_not(self):
        world = World()
        done(world.blob(b"blob"))
        done(world.registry.uploads.start(RepositoryName("lib/app")))
        assert page(world).names == ()

    def test_junk_in_the_tree_is_passed_over(self):
        world = holding("a", "b")
        world.put("repositories/UPPER/_manifests/revisions/sha256/0/link", LINK)
        world.put("repositories/a.tmp", b"")
        world.put("repositories/-x/_manifests/revisions/sha256/0/link", LINK)
        world.put(f"repositories/{'a' * 200}/{'b' * 100}/_manifests/revisions/sha256/0/link", LINK)
        assert page(world).names == ("a", "b")

    def test_page_costs_a_page(self):
        """One page of many repositories does not list them all."""
        world = holding(*(f"r{number:04}" for number in range(3000)))
        world.driver.forget()
        assert page(world, 3, "r2000").names == ("r2001", "r2002", "r2003")
        assert len(world.calls) < 20

    def test_deep_start_costs_a_page(self):
        world = holding(*(f"n{space}/r{number:03}" for space in range(5) for number in range(300)))
        world.driver.forget()
        assert page(world, 2, "n3/r100").names == ("n3/r101", "n3/r102")
        assert len(world.calls) < 20

    def test_backend_that_is_away(self):
        world = holding("a")
        world.driver.fail("^list", Unavailable())
        with refused(Code.UNAVAILABLE):
            page(world)

    @pytest.mark.parametrize(
        "last", ["../..", "/", "a//b", "é", "\0", "-" * 10_000, "a-" * 200, "A", "a!b", "a/", "a/-"]
    )
    def test_hostile_start(self, last):
        world = holding("a", "a/b", "a0", "b")
        assert page(world, 9, last).names == tuple(
            name for name in ("a", "a/b", "a0", "b") if name > last
        )

    @given(st.sets(names, max_size=12), names | st.text("a0-._/!é", max_size=8), st.integers(1, 4))
    @example({"a", "a-b", "a/x"}, "a-b", 1)
    @example({"a", "a-b/c", "a.b", "a/x/y"}, "a-b/c", 2)
    def test_any_page_is_that_of_the_sorted_names(self, repositories, last, limit):
        world = holding(*repositories)
        assert page(world, limit, last) == take(sorted(repositories), PageRequest(limit, last))

    @given(st.sets(names, max_size=12), st.integers(1, 3))
    def test_pages_together_are_everything(self, repositories, limit):
        """Each repository once, whatever the size of the pages."""
        world = holding(*repositories)
        seen, last, has_more = [], "", True
        while has_more:
            found = page(world, limit, last)
            seen += found.names
            last, has_more = seen[-1] if seen else "", found.has_more
        assert seen == sorted(repositories)


class Sight:
    """Sees what begins with a text."""

    def __init__(self, beginning):
        self.beginning = beginning

    def sees(self, name):
        return name.text.startswith(self.beginning)

    def leads_on(self, directory):
        inside = directory + "/"
        return inside.startswith(self.beginning) or self.beginning.startswith(inside)


class NarrowSightTests:
    """The catalog of who sees little of it."""

    def page(self, world, sight, limit=None, last="", owner="x"):
        request = PageRequest(limit, last)
        return world.registry.catalog.page(request, sight=sight, owner=owner)

    def test_what_is_not_seen_leaves_no_gap(self):
        world = holding("a", "b/1", "b/2", "c", "b/3")
        assert done(self.page(world, Sight("b/"), 2)) == Page(("b/1", "b/2"), True)
        assert done(self.page(world, Sight("b/"), 2, "b/2")) == Page(("b/3",), False)

    def test_what_holds_nothing_of_it_is_not_looked_into(self):
        """Else somebody with one repository makes the registry read a million directories."""
        every = (f"{top}{number}/x/y" for top in "az" for number in range(200))
        world = holding(*every, "team/app", "team/app/base")
        world.driver.forget()
        sight = Sight("team/app")
        assert done(self.page(world, sight)).names == ("team/app", "team/app/base")
        assert len(world.calls) < 20

    @given(st.sets(names, max_size=12), names, names | st.text("a0-./", max_size=4))
    def test_it_is_everything_but_what_is_not_seen(self, repositories, beginning, last):
        world = holding(*repositories)
        seen = sorted(each for each in repositories if each.startswith(beginning))
        found = done(self.page(world, Sight(beginning), None, last))
        assert found == take(seen, PageRequest(None, last))

    def test_one_client_has_one_walk_at_a_time(self):
        """Another's does not wait for it."""
        world = holding("a")
        held = world.driver.hold("^list")
        first, second, other = (
            Deferred.fromCoroutine(self.page(world, Sight(""), owner=owner)) for owner in "xxy"
        )
        assert not second.called
        assert other.result.names == ("a",)
        held.errback(Unavailable())
        failures = []
        first.addErrback(failures.append)
        assert [failure.value.code for failure in failures] == [Code.UNAVAILABLE]
        assert second.result.names == ("a",)


class TreeTests:
    @pytest.fixture(autouse=True)
    def small_pages(self, monkeypatch):
        monkeypatch.setattr(tree, "PAGE", 2)

    def test_markers_are_told(self):
        world = World()
        done(world.image())
        done(world.registry.uploads.start(RepositoryName("lib")))
        assert [(node.name.text, node.markers) for node in walked(world)] == [
            ("lib", {UPLOADS}),
            ("lib/app", {MANIFESTS, LAYERS}),
        ]

    def test_markers_behind_the_first_page(self):
        """Names of digits sort before them."""
        world = holding("a", *(f"a/{number}" for number in range(5)))
        assert walked(world)[0].markers == {MANIFESTS, LAYERS}

    def test_markers_on_the_first_page(self):
        world = holding("a", *(f"a/b{number}" for number in range(5)))
        done(world.registry.uploads.start(RepositoryName("a")))
        assert walked(world)[0].markers == {MANIFESTS, LAYERS, UPLOADS}

    def test_markers_of_one(self):
        world = holding("a")
        assert done(markers_of(world.driver, "a")) == {MANIFESTS, LAYERS}
        with pytest.raises(Missing):
            done(markers_of(world.driver, "b"))

    @given(st.sets(names, max_size=12), names | st.text("a0-._/", max_size=8))
    def test_any_walk_is_in_order(self, repositories, after):
        """With pages of two, every way of continuing a page is met."""
        world = holding(*repositories)
        every = {name for one in repositories for name in (one, *parents(one))}
        assert [node.name.text for node in walked(world, after)] == sorted(
            name for name in every if name > after
        )


def parents(name):
    parts = name.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]
