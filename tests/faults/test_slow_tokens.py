# SPDX-License-Identifier: Apache-2.0
"""Real clients whose token expires while a layer is on its way over a slow link.

The link takes several times as long for the layer as the token is good for. What is begun while it
is good is finished with it; for everything after that clients ask for another one by themselves.

The built-in token server gives no token for less than a minute, and clocks may differ by another:
it is tried in the long form, in which the layer takes two minutes and a half.
"""

from __future__ import annotations

import json
import time
from contextlib import closing

import pytest

from tests.functional.client import Client
from tests.functional.images import Layout, check_layout
from tests.functional.podman import Podman
from tests.functional.servers import Registry, need
from tests.functional.test_passwords import basic, run, write_users
from tests.functional.token_server import TokenServer
from tests.identify import signing

from .campaign import is_long
from .links import Behaviour, Link

#: Seconds for which a token is good, and those that a layer takes.
LIFE, TRIP = 3, 7
LAYER = 180_000

#: By how much clocks may differ; a token is taken for so long after its end.
LEEWAY = 60


@pytest.fixture(scope="module")
def token_server():
    """Gives tokens that are good for ``LIFE`` seconds as the registry counts them."""
    tokens = TokenServer("pw", lifetime=LIFE, back=LEEWAY, told=LEEWAY + LIFE - 1)
    with closing(tokens) as server:
        yield server


@pytest.fixture(scope="module")
def registry(token_server, tmp_path_factory):
    directory = tmp_path_factory.mktemp("tokens")
    keys = directory / "keys.json"
    keys.write_text(json.dumps({"keys": [signing.jwk_of(token_server.key, "k")]}))
    with Registry(directory, {"auth": {"token": token_server.settings(jwks=str(keys))}}) as server:
        yield server


@pytest.fixture
def image(tmp_path):
    layout = Layout(tmp_path / "layout")
    layout.tag(layout.add_image([LAYER]), "latest")
    return layout


def push(program, layout, port, name, *credentials):
    """Push through a port, as either client does."""
    there = f"docker://127.0.0.1:{port}/{name}:1"
    if program == "skopeo":
        flags = ("--insecure-policy", "copy", "--preserve-digests", "--dest-tls-verify=false")
        run(need("skopeo"), *flags, *credentials, f"oci:{layout.directory}:latest", there)
        return
    creds = [each.replace("--dest-creds", "--creds") for each in credentials]
    with Podman(layout.directory.parent / "podman") as podman:
        podman("push", "--tls-verify=false", *creds, podman.take(layout), there)


def slow(registry, seconds):
    """A link that takes so long for a layer."""
    return Link(registry.port, upstream=Behaviour(rate=LAYER / seconds, piece=4096))


@pytest.mark.parametrize("program", ["skopeo", "podman"])
def test_push_outlives_its_token(registry, token_server, image, program, tmp_path):
    """The image is there at the end, and more than one token was needed for it."""
    token_server.given.clear()
    with slow(registry, TRIP) as link:
        began = time.monotonic()
        push(program, image, link.port, f"lib/{program}", "--dest-creds", "alice:pw")
        assert time.monotonic() - began > 2 * LIFE
    assert token_server.given[-1] - token_server.given[0] >= LIFE
    there = f"docker://{registry.address}/lib/{program}:1"
    flags = ("--insecure-policy", "copy", "--preserve-digests", "--src-tls-verify=false")
    back = tmp_path / "back"
    run(need("skopeo"), *flags, "--src-creds", "alice:pw", there, f"oci:{back}:latest")
    if program == "skopeo":
        assert check_layout(back) == image.blobs()


@pytest.mark.skipif(not is_long(), reason="the long form: tokens of a minute")
def test_push_outlives_a_token_of_the_built_in_server(image, tmp_path):
    write_users(tmp_path / "htpasswd", {"alice": "pw"})
    server = Registry(tmp_path / "registry")
    auth = {
        "htpasswd": {"realm": "R", "path": str(tmp_path / "htpasswd")},
        "tokenserver": {"enabled": True, "realm": f"{server.url}/auth/token", "lifetime": "1m"},
    }
    server.reconfigure({"auth": auth})
    with server, slow(server, 2.5 * LEEWAY) as link:
        push("skopeo", image, link.port, "lib/app", "--dest-creds", "alice:pw")
        answer = Client(server).get("/v2/lib/app/tags/list", basic("alice", "pw"))
        assert answer.json()["tags"] == ["1"]
