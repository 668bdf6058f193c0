# SPDX-License-Identifier: Apache-2.0
"""Conformance: tags and the catalog - order, pages, links."""

from __future__ import annotations

import pytest

from .client import Client
from .repository import EMPTY_JSON, Repository, image
from .servers import Registry

#: In the order of their bytes, which is not that of a directory walk nor of versions.
TAGS = [
    "0.1.10",
    "0.1.2",
    "0.1.20",
    "1",
    "1-a",
    "1.0",
    "A",
    "Z",
    "_x",
    "a",
    "a-b",
    "a.b",
    "a_b",
    "ab",
]

#: Likewise: ``-`` and ``.`` sort before the slash of what lies below.
NAMES = [
    "a",
    "foo",
    "foo/1abc",
    "foo/bar/deep/er",
    "math",
    "math-voila",
    "math.x",
    "math/x",
    "math0",
    "z",
]


@pytest.fixture(scope="module")
def tagged(server):
    repository = Repository(Client(server), "listings/tags")
    repository.push_blob(EMPTY_JSON)
    for tag in TAGS[::2] + TAGS[1::2]:
        repository.push(image(), tag)
    return repository


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """A server of its own, whose repositories are known; some have no manifest (any more)."""
    with Registry(tmp_path_factory.mktemp("catalog")) as server:
        client = Client(server)
        assert client.get_json("/v2/_catalog") == {"repositories": []}
        for name in NAMES[::2] + NAMES[1::2]:
            Repository(client, name).push_image("v1")
        Repository(client, "blobs/only").push_blob(EMPTY_JSON)
        Repository(client, "upload/only").start()
        emptied = Repository(client, "math/emptied")
        emptied.push_image("v1")
        digest = client.head(emptied.manifest("v1")).headers["Docker-Content-Digest"]
        assert client.delete(emptied.manifest(digest)).status == 202
        yield client


class TagTests:
    """GET of the tags."""

    def test_all_come_in_order(self, tagged):
        """Without a number there is one page, of everything."""
        answer = tagged.client.get(tagged.tags)
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.json() == {"name": tagged.name, "tags": TAGS}
        assert "Link" not in answer.headers

    @pytest.mark.parametrize("number", [*range(1, len(TAGS) + 2), 1000, 100_000, 10**30])
    def test_links_lead_to_all_of_them(self, tagged, number):
        """Each once, in order; fewer than asked for only where there is a Link, or at the end."""
        pages = [page["tags"] for page in tagged.client.pages(f"{tagged.tags}?n={number}")]
        assert [tag for page in pages for tag in page] == TAGS
        assert all(len(page) == number for page in pages[:-1])
        assert 0 < len(pages[-1]) <= number

    def test_link_is_the_one_that_clients_parse(self, tagged):
        """A path, ``last`` before ``n``, nothing else of the query."""
        answer = tagged.client.get(f"{tagged.tags}?n=2&other=1")
        link = f'<{tagged.tags}?last={TAGS[1]}&n=2>; rel="next"'
        assert answer.all("Link") == [link]

    @pytest.mark.parametrize(
        "last", ["0.1.2", "0.1.1", "", "1.", "a!", "0", "~", "zzz", "a" * 3000, "%00"]
    )
    def test_list_goes_on_after_any_text(self, tagged, last):
        """It need not be a tag, nor have been one."""
        expected = [tag for tag in TAGS if tag > last.replace("%00", "\0")]
        for query in (f"?last={last}", f"?n=1000&last={last}", f"?last={last}&n=3"):
            found = [page["tags"] for page in tagged.client.pages(tagged.tags + query)]
            assert [tag for page in found for tag in page] == expected

    def test_nothing_asked_is_nothing_given(self, tagged):
        """n=0: an empty list, no Link."""
        for query in ("?n=0", "?n=0&last=1"):
            answer = tagged.client.get(tagged.tags + query)
            assert answer.json() == {"name": tagged.name, "tags": []}
            assert "Link" not in answer.headers

    @pytest.mark.parametrize("number", ["-1", "x", "", "1.5", "0x10", "%2B1", "1e3"])
    def test_bad_number_is_400(self, tagged, number):
        """It is said rather than guessed."""
        answer = tagged.client.get(f"{tagged.tags}?n={number}")
        assert answer.refusal == (400, "PAGINATION_NUMBER_INVALID")

    def test_repository_without_tags_has_an_empty_list(self, repository):
        """``[]``, not null: with blobs only, manifests only, and after the last tag was deleted."""
        repository.push_blob(EMPTY_JSON)
        empty = {"name": repository.name, "tags": []}
        assert repository.client.get_json(repository.tags) == empty
        repository.push(image())
        assert repository.client.get_json(repository.tags) == empty
        repository.push(image(), "v1")
        repository.client.delete(repository.manifest("v1"))
        assert repository.client.get_json(repository.tags) == empty

    def test_no_repository_is_404(self, repository):
        """Nor does an upload that has only begun, or a repository below, make one."""
        assert repository.client.get(repository.tags).refusal == (404, "NAME_UNKNOWN")
        repository.start()
        assert repository.client.get(repository.tags).refusal == (404, "NAME_UNKNOWN")
        repository.sibling("below").push_image("v1")
        assert repository.client.get(repository.tags).refusal == (404, "NAME_UNKNOWN")


class CatalogTests:
    """GET of the repositories."""

    def test_all_come_in_order(self, library):
        """``math`` before ``math-voila`` before ``math/x``; what is empty is not listed."""
        answer = library.get("/v2/_catalog")
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.json() == {"repositories": NAMES}
        assert "Link" not in answer.headers

    @pytest.mark.parametrize("number", [*range(1, len(NAMES) + 2), 1000])
    def test_links_lead_to_all_of_them(self, library, number):
        """Each once, in order."""
        pages = [page["repositories"] for page in library.pages(f"/v2/_catalog?n={number}")]
        assert [name for page in pages for name in page] == NAMES
        assert all(len(page) == number for page in pages[:-1])
        assert 0 < len(pages[-1]) <= number

    def test_link_is_the_one_that_clients_parse(self, library):
        """The slash of a name is encoded in it."""
        answer = library.get("/v2/_catalog?n=3&other=1")
        assert answer.all("Link") == ['</v2/_catalog?last=foo%2F1abc&n=3>; rel="next"']

    @pytest.mark.parametrize(
        "last", ["math", "math-", "math/", "math/w", "foo/b", "", "zz", "~", "a" * 3000]
    )
    def test_list_goes_on_after_any_text(self, library, last):
        """It need not be a repository."""
        expected = [name for name in NAMES if name > last]
        for query in (f"?last={last}", f"?n=2&last={last}"):
            pages = library.pages(f"/v2/_catalog{query}")
            assert [name for page in pages for name in page["repositories"]] == expected

    def test_nothing_asked_is_nothing_given(self, library):
        """n=0: an empty list, no Link."""
        answer = library.get("/v2/_catalog?n=0")
        assert answer.json() == {"repositories": []}
        assert "Link" not in answer.headers

    @pytest.mark.parametrize("number", ["-1", "x", "", "1001", "10000000000000000000000"])
    def test_bad_number_is_400(self, library, number):
        """One above the maximum too, unlike that of tags: registry:3 has it so."""
        answer = library.get(f"/v2/_catalog?n={number}")
        assert answer.refusal == (400, "PAGINATION_NUMBER_INVALID")
        assert answer.json()["errors"][0]["detail"] == {"n": number}
