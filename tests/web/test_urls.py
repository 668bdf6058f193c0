# SPDX-License-Identifier: Apache-2.0
"""URLs that are given out."""

import pytest

from txregistry.oci.digests import EMPTY_SHA256
from txregistry.oci.names import RepositoryName
from txregistry.web.urls import make_urls

NAME = RepositoryName.parse("lib/app")


@pytest.mark.parametrize(
    "prefix, host, relative, root",
    [
        ("/", "", True, "/v2"),
        ("/", "https://registry.example", True, "/v2"),
        ("/", "https://registry.example:8443/ignored", False, "https://registry.example:8443/v2"),
        ("/reg/", "", True, "/reg/v2"),
        ("/reg/", "http://h", False, "http://h/reg/v2"),
        ("/", "", False, "/v2"),
        ("/", "registry.example", False, "/v2"),
    ],
)
def test_urls_are_paths_unless_configured_otherwise(prefix, host, relative, root):
    """Nobody is sent to a host that configuration does not name."""
    urls = make_urls(prefix, host, relative=relative)
    assert urls.blob(NAME, EMPTY_SHA256) == f"{root}/lib/app/blobs/{EMPTY_SHA256}"
    assert urls.manifest(NAME, EMPTY_SHA256) == f"{root}/lib/app/manifests/{EMPTY_SHA256}"


def test_upload_url_escapes_the_token():
    """Clients append ``&digest=`` to it as it is."""
    url = make_urls("/", "", relative=True).upload(NAME, "u", "a-_b==")
    assert url == "/v2/lib/app/blobs/uploads/u?_state=a-_b%3D%3D"


def test_page_paths_never_have_an_origin():
    """Link stays relative, as registry:3's."""
    assert make_urls("/reg/", "http://h", relative=False).page("_catalog") == "/reg/v2/_catalog"
