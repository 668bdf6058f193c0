# SPDX-License-Identifier: Apache-2.0
"""What a configuration asks for is what stands at the door."""

import pytest
import pytest_twisted
import yaml

from txregistry.auth.asking import Asker
from txregistry.auth.decisions import Action, Resource, State, decide
from txregistry.authentication import Authentication

from .config.reading import read_keys

HTPASSWD = {"htpasswd": {"realm": "r", "path": "/p"}}
TOKEN = {"token": {"realm": "r", "service": "s", "issuer": "i", "jwks": "/j"}}
RULES = {"access": [{"authenticated": True, "actions": ["pull", "push"]}]}
PROVIDER = {"oidc": [{"issuer": "https://ci.example", "audience": "r", "claims": {"sub": "a"}}]}
CERTIFICATES = {"certificates": {"name": "dns"}}
SERVER = {"tokenserver": {"enabled": True}}


@pytest.mark.parametrize(
    "auth",
    [
        HTPASSWD,
        TOKEN,
        CERTIFICATES,
        {**PROVIDER, **RULES},
        {**PROVIDER, **RULES, **SERVER},
        {**HTPASSWD, **PROVIDER, **RULES, **SERVER, **CERTIFICATES},
        {"silly": {"realm": "r", "service": "s"}},
    ],
    ids=lambda auth: " ".join(auth),
)
@pytest_twisted.ensureDeferred
async def test_nobody_may_do_anything_unless_that_was_said(auth):
    from twisted.internet import reactor  # noqa: PLC0415

    tls = {"certificate": "/c", "key": "/k", "clientcas": ["/a"]}
    text = yaml.safe_dump({"http": {"host": "https://r.example", "tls": tls}, "auth": auth})
    configuration = read_keys(text)
    identifying = Authentication(configuration.auth, configuration.http, reactor).identifying
    nobody = await identifying.identify(Asker())
    for action in set(Action) - {Action.ASK}:
        decision = decide(nobody, action, Resource("repository", "a"), State(delete_enabled=True))
        assert not decision.is_allowed, action
