# SPDX-License-Identifier: Apache-2.0
"""Servers that ask who one is: what they are configured by, and what their own people show.

``alice`` may do everything, ``bob`` pull and push in ``b``, ``pusher`` only push and ``maker`` only
add tags in ``a``, ``dave`` nothing at all. Their passwords are their names twice; that of ``long``,
who may do nothing either, is all that bcrypt looks at.
"""

from __future__ import annotations

import base64
import functools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import bcrypt

from ..functional.servers import free_port
from ..identify import signing
from ..identify.bad_tokens import Forge
from ..tls.authority import Authority

REALM = "Registry"

#: Where tokens are had, as configured; nobody listens there.
TOKEN_REALM = "https://auth.example/token"
BUILT_IN_REALM = "https://registry.example/auth/token"

#: As long as a password can be.
LONG = "x" * 72

PASSWORDS = {
    **{name: name * 2 for name in ("alice", "bob", "pusher", "maker", "dave")},
    "long": LONG,
}

ACCESS = [
    {"users": ["alice"], "actions": ["pull", "push", "delete", "catalog"]},
    {"users": ["bob"], "repositories": ["b"], "actions": ["pull", "push", "catalog"]},
    {"users": ["pusher"], "repositories": ["a"], "actions": ["push"]},
    {"users": ["maker"], "repositories": ["a"], "actions": ["pull", "create"]},
]

#: Failures are counted in a group of their own.
UNCOUNTED = {"peraddress": 0, "peruser": 0}


@dataclass(frozen=True)
class Guard:
    """How a server is guarded.

    Attributes:
        configure: writes the files that are needed into a directory; returns configuration for
            a server at an address.
        show: makes the header line by which the server's own people are let in.
        challenges: each 401 begins with one of them.
    """

    name: str
    configure: Callable[[Path, str], dict[str, object]]
    show: Callable[[], str] = field(default=lambda: "", repr=False)
    challenges: tuple[str, ...] = ()


def basic(name, password=None):
    """The header line of somebody with a password."""
    text = f"{name}:{PASSWORDS[name] if password is None else password}"
    return "Authorization: Basic " + base64.b64encode(text.encode()).decode()


def bearer(token):
    """The header line of a token."""
    return f"Authorization: Bearer {token}"


@functools.cache
def forge():
    """Trusted and other keys; tokens that are good for as long as any run takes."""
    return Forge(int(time.time()), patience=24 * 3600, repository="a")


def token_of(*entries, **changes):
    """A good token for these."""
    return forge().signed(forge().claims(*entries, **changes))


def pusher_token(*actions, name="a"):
    """A token for some actions on one repository."""
    return token_of(signing.access(name, *(actions or ("push",))), sub="pusher")


def _passwords(directory, failures=UNCOUNTED):
    path = directory / "htpasswd"
    salts = (bcrypt.gensalt(4) for _ in PASSWORDS)
    lines = (
        f"{name}:{bcrypt.hashpw(word.encode(), salt).decode()}\n"
        for (name, word), salt in zip(PASSWORDS.items(), salts, strict=True)
    )
    path.write_text("".join(lines))
    path.chmod(0o600)
    return {
        "htpasswd": {"realm": REALM, "path": str(path)},
        "failures": failures,
        "access": ACCESS,
    }


def _by_password(directory, address):
    """Beside it, metrics on a port for those who run it."""
    debug = {"addr": f"127.0.0.1:{free_port()}", "prometheus": {"enabled": True}}
    return {"http": {"debug": debug}, "auth": _passwords(directory)}


def _counted(directory, address):
    return {"auth": _passwords(directory, {"peraddress": 5, "peruser": 0})}


def _built_in(directory, address):
    server = {"enabled": True, "realm": BUILT_IN_REALM}
    return {"auth": {**_passwords(directory), "tokenserver": server}}


def _by_token(directory, address):
    keys, bundle = directory / "keys.json", directory / "roots.pem"
    keys.write_bytes(forge().key_set())
    bundle.write_bytes(forge().bundle())
    token = {
        "realm": TOKEN_REALM,
        "service": signing.SERVICE,
        "issuer": signing.ISSUER,
        "jwks": str(keys),
        "rootcertbundle": str(bundle),
    }
    return {"auth": {"token": token}}


def _over_tls(directory, address):
    """TLS on a port beside the plain one that the ward looks in by."""
    server = Authority(directory / "authority").issue("server", "localhost")
    return {
        "http": {
            "addr": f"127.0.0.1:{free_port()}",
            "listeners": [f"http://{address}"],
            "tls": dict(server.settings),
        }
    }


def _notifying(directory, address):
    """A receiver that is told of everything; a play listens there."""
    return {
        "notifications": {
            "queue": {"directory": str(directory / "queue")},
            "endpoints": [
                {
                    "name": "receiver",
                    "url": f"http://127.0.0.1:{free_port()}/events",
                    "timeout": "2s",
                    "backoff": "50ms",
                    "threshold": 1000,
                }
            ],
        }
    }


def _everything():
    return bearer(
        token_of(
            signing.access("a", "pull", "push", "delete"),
            signing.access("b", "pull", "push", "delete"),
            signing.access("catalog", "*", kind="registry"),
        )
    )


_ASKED = f'Basic realm="{REALM}"'
_SENT = f'Bearer realm="{TOKEN_REALM}",service="{signing.SERVICE}"'
_SENT_HERE = f'Bearer realm="{BUILT_IN_REALM}",service="registry"'


def _alice():
    return basic("alice")


BY_PASSWORD = Guard("password", _by_password, _alice, (_ASKED,))
COUNTED = Guard("failures", _counted, _alice, (_ASKED,))
BY_TOKEN = Guard("token", _by_token, _everything, (_SENT,))
BUILT_IN = Guard("built-in", _built_in, _alice, (_SENT_HERE, _ASKED))
OVER_TLS = Guard("TLS", _over_tls)
NOTIFYING = Guard("notifying", _notifying)
