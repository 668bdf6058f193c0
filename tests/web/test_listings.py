# SPDX-License-Identifier: Apache-2.0
"""Catalog, tags and referrers over HTTP."""

import json

import pytest

from .content import OCI_INDEX, OCI_MANIFEST, digest_of, push_image


class CatalogTests:
    """GET /v2/_catalog."""

    @pytest.fixture
    def names(self):
        return ["a", "b", "b/c"]

    async def push(self, house, names):
        for name in names:
            await push_image(house, name, "v1")

    async def test_all_repositories_are_listed(self, house, names):
        """In order, as a list even if there is none."""
        assert json.loads((await house.ask("GET", "/v2/_catalog")).body) == {"repositories": []}
        await self.push(house, names)
        reply = await house.ask("GET", "/v2/_catalog")
        assert reply.headers["content-type"] == "application/json"
        assert json.loads(reply.body) == {"repositories": names}
        assert "link" not in reply.headers

    async def test_link_leads_to_the_next_page(self, house, names):
        """registry:3's form, which clients parse."""
        await self.push(house, names)
        reply = await house.ask("GET", "/v2/_catalog?n=2&other=dropped")
        assert json.loads(reply.body) == {"repositories": ["a", "b"]}
        assert reply.headers["link"] == '</v2/_catalog?last=b&n=2>; rel="next"'
        reply = await house.ask("GET", "/v2/_catalog?last=b&n=2")
        assert json.loads(reply.body) == {"repositories": ["b/c"]}
        assert "link" not in reply.headers

    @pytest.mark.parametrize(
        "n", ["-1", "abc", "1001", "2147483648", "1000000000", "", "1e3", "+1"]
    )
    async def test_bad_numbers_are_400(self, house, n):
        """B-110."""
        reply = await house.ask("GET", f"/v2/_catalog?n={n}")
        assert (reply.status, reply.code) == (400, "PAGINATION_NUMBER_INVALID")

    async def test_nothing_asked_is_nothing_given(self, house, names):
        """n=0 is an empty list without a Link."""
        await self.push(house, names)
        reply = await house.ask("GET", "/v2/_catalog?n=0")
        assert (reply.status, json.loads(reply.body)) == (200, {"repositories": []})
        assert "link" not in reply.headers


class TagsTests:
    """GET /v2/<name>/tags/list."""

    async def push(self, house):
        for tag in ("v1", "v10", "v2", "latest"):
            await push_image(house, "lib/app", tag)

    async def test_all_tags_are_listed_in_order(self, house):
        """Without a number everything comes at once."""
        await self.push(house)
        reply = await house.ask("GET", "/v2/lib/app/tags/list")
        assert json.loads(reply.body) == {"name": "lib/app", "tags": ["latest", "v1", "v10", "v2"]}

    async def test_link_leads_to_the_next_page(self, house):
        """To the end, which has none."""
        await self.push(house)
        reply = await house.ask("GET", "/v2/lib/app/tags/list?n=3")
        assert reply.headers["link"] == '</v2/lib/app/tags/list?last=v10&n=3>; rel="next"'
        reply = await house.ask("GET", "/v2/lib/app/tags/list?last=v10&n=3")
        assert json.loads(reply.body)["tags"] == ["v2"]
        assert "link" not in reply.headers

    async def test_link_knows_the_prefix(self, house):
        """Below another path the next page is there, too."""
        await self.push(house)
        house.serve(prefix="/reg/")
        reply = await house.ask("GET", "/reg/v2/lib/app/tags/list?n=1")
        assert reply.headers["link"] == '</reg/v2/lib/app/tags/list?last=latest&n=1>; rel="next"'

    @pytest.mark.parametrize(
        "query, tags",
        [
            ("n=0", []),
            ("n=99999999999999999999", 4),
            ("last=zzz", []),
            ("last=v1", 2),
            ("last=" + "x" * 10240, []),
        ],
    )
    async def test_odd_pages_are_harmless(self, house, query, tags):
        """B-111: empty, clamped, or after a tag that need not exist."""
        await self.push(house)
        reply = await house.ask("GET", f"/v2/lib/app/tags/list?{query}")
        assert reply.status == 200
        found = json.loads(reply.body)["tags"]
        assert found == tags if isinstance(tags, list) else len(found) == tags
        assert "link" not in reply.headers

    @pytest.mark.parametrize("last", ["%0d%0aX:%20y", "../../etc", "%22%3E%3C", "%00", "%ff"])
    async def test_hostile_last_gets_nowhere(self, house, last):
        """B-113: it is a text to be compared, and never comes back raw."""
        await self.push(house)
        reply = await house.ask("GET", f"/v2/lib/app/tags/list?n=1&last={last}")
        assert reply.status == 200
        assert "x" not in reply.headers
        for link in reply.all("Link"):
            assert link.startswith("</v2/lib/app/tags/list?last=") and link.count("<") == 1

    async def test_unknown_repository_is_404(self, house):
        """NAME_UNKNOWN."""
        reply = await house.ask("GET", "/v2/none/tags/list")
        assert (reply.status, reply.code) == (404, "NAME_UNKNOWN")


class ReferrersTests:
    """GET /v2/<name>/referrers/<digest>."""

    async def push(self, house):
        subject = await push_image(house, "a", "v1")
        one = await push_image(
            house,
            "a",
            "s1",
            subject=subject,
            artifact_type="application/sig+x",
            annotations={"k": "v"},
        )
        two = await push_image(house, "a", "s2", subject=subject, artifact_type="application/sbom")
        return digest_of(subject), one, two

    async def test_nothing_known_is_an_empty_index(self, house):
        """Never 404."""
        reply = await house.ask("GET", f"/v2/none/referrers/{digest_of(b'x')}")
        assert reply.status == 200
        assert reply.headers["content-type"] == OCI_INDEX
        assert json.loads(reply.body) == {
            "schemaVersion": 2,
            "mediaType": OCI_INDEX,
            "manifests": [],
        }

    async def test_descriptors_tell_type_and_annotations(self, house):
        """Clients choose by these."""
        subject, one, two = await self.push(house)
        reply = await house.ask("GET", f"/v2/a/referrers/{subject}")
        found = {row["digest"]: row for row in json.loads(reply.body)["manifests"]}
        assert set(found) == {digest_of(one), digest_of(two)}
        assert found[digest_of(one)] == {
            "mediaType": OCI_MANIFEST,
            "digest": digest_of(one),
            "size": len(one),
            "artifactType": "application/sig+x",
            "annotations": {"k": "v"},
        }
        assert "oci-filters-applied" not in reply.headers

    @pytest.mark.parametrize("spelled", ["application/sig%2Bx", "application/sig+x"])
    async def test_filter_is_applied_and_said_so(self, house, spelled):
        """Also if the client did not encode the plus."""
        subject, one, _ = await self.push(house)
        reply = await house.ask("GET", f"/v2/a/referrers/{subject}?artifactType={spelled}")
        assert [row["digest"] for row in json.loads(reply.body)["manifests"]] == [digest_of(one)]
        assert reply.headers["oci-filters-applied"] == "artifactType"

    async def test_pages_are_linked_and_keep_the_filter(self, house):
        """Following the links gives each of them once."""
        subject, _, _ = await self.push(house)
        house.serve(referrers_maximum=1)
        target, seen = f"/v2/a/referrers/{subject}", []
        filtered = await house.ask("GET", f"{target}?artifactType=application/sig%2Bx")
        for link in filtered.all("Link"):
            assert "artifactType=application%2Fsig%2Bx&last=" in link
        while target:
            reply = await house.ask("GET", target)
            seen += [row["digest"] for row in json.loads(reply.body)["manifests"]]
            target = reply.headers.get("link", "").partition(">")[0].lstrip("<")
        assert len(seen) == len(set(seen)) == 2

    @pytest.mark.parametrize("reference", ["sha256:xyz", "tag", "a/b", "md5:" + "0" * 32])
    async def test_malformed_digest_is_400(self, house, reference):
        """400, not an empty list."""
        reply = await house.ask("GET", f"/v2/a/referrers/{reference}")
        assert reply.status == 400

    async def test_head_is_answered(self, house):
        """As GET without the body."""
        reply = await house.ask("HEAD", f"/v2/a/referrers/{digest_of(b'x')}")
        assert (reply.status, reply.headers["content-type"], reply.body) == (200, OCI_INDEX, b"")
