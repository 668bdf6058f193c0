# SPDX-License-Identifier: Apache-2.0
"""A token server of somebody else: small, in a thread of the test, and it grants whatever is asked
for.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from ..identify import signing


class TokenServer:
    """Serves on a port of its own until it is closed.

    Args:
        password: that everybody has to say.
        lifetime: seconds for which tokens are good, from ``back`` seconds ago on.
        told: those that clients are told; as many as they are good for if not said.

    Attributes:
        key, header: what tokens are signed with, and how they name it.
        given: when tokens were given, in whole seconds since the epoch.
    """

    def __init__(self, password, *, lifetime=300, back=0, told=None):
        self.key, self.header = signing.make_key(), {"kid": "k"}
        self.given = []
        self._password = password
        self._lifetime, self._back, self._told = lifetime, back, told or lifetime
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Answering)
        self._server.tokens = self
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def realm(self):
        return f"http://127.0.0.1:{self._server.server_port}/token"

    def settings(self, **trust):
        """``auth.token`` of a registry that trusts it by the file that is named."""
        names = {"service": signing.SERVICE, "issuer": signing.ISSUER}
        return {"realm": self.realm, **names, **trust}

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    def issue(self, header, scopes):
        """What is answered to a header and scopes; None to a wrong password."""
        login = base64.b64decode((header or "").partition(" ")[2]).decode()
        name, _, password = login.partition(":")
        if password != self._password:
            return None
        now = int(time.time())
        self.given.append(now)
        began = now - self._back
        claims = signing.claims(
            *map(_entry, scopes), sub=name, iat=began, nbf=began, exp=began + self._lifetime
        )
        return {
            "token": signing.sign(claims, self.key, **self.header),
            "expires_in": self._told,
            "issued_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(began)),
        }


def _entry(scope):
    kind, rest = scope.split(":", 1)
    resource, actions = rest.rsplit(":", 1)
    return signing.access(resource, *actions.split(","), kind=kind)


class _Answering(BaseHTTPRequestHandler):
    def do_GET(self):
        scopes = parse_qs(urlsplit(self.path).query).get("scope", [])
        issued = self.server.tokens.issue(self.headers.get("Authorization"), scopes)
        if issued is None:
            self.send_error(401)
            return
        body = json.dumps(issued).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass
