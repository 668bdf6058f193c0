# SPDX-License-Identifier: Apache-2.0
"""``/auth/token``: the built-in token server.

Room: web. GET is Docker's token specification, POST its OAuth2 form. Here a password is asked for,
as Basic has it; everywhere else the challenge leads here.
"""

from __future__ import annotations

import base64
import json
from urllib.parse import parse_qsl

from txregistry.auth.asking import Asker
from txregistry.auth.decisions import Unauthorized
from txregistry.auth.issuing import Issued, IssueTokens, TokenRequest
from txregistry.oci.errors import Code, OciError
from txregistry.web.answer import Answer
from txregistry.web.call import Call
from txregistry.web.faults import JSON_TYPE, refusal

#: Largest form, in bytes, and most fields of it. Arbitrary: a refresh token and some scopes.
FORM_LIMIT = 32 * 1024
FIELDS_LIMIT = 64


async def get(call: Call) -> Answer:
    """GET: a token for who shows a password, or nothing. Source: Docker's token specification."""
    request = TokenRequest(
        asker=call.asker,
        service=call.parameter("service") or "",
        scopes=tuple(call.parameters("scope")),
        is_offline=call.parameter("offline_token") == "true",
    )
    return await _issue(call, request)


async def post(call: Call) -> Answer:
    """POST: a token for a password or a refresh token. Source: Docker's OAuth2 token
    specification; RFC 6749 sections 4.3, 6.
    """
    if call.body.length is None or call.body.length > FORM_LIMIT:
        raise OciError(
            Code.UNSUPPORTED, f"a form has at most {FORM_LIMIT} bytes, and says so", too_large=True
        )
    fields = _fields(await call.body.read_whole(FORM_LIMIT))
    grant = fields.get("grant_type")
    asker = call.asker
    if grant == "password":
        # Without them it would be nobody's token, and a login that lost its name a success.
        if not fields.get("username") or "password" not in fields:
            raise _malformed("the grant of a password needs username and password")
        if ":" in fields["username"]:
            raise _malformed("a name has no colon")
        text = f"{fields['username']}:{fields['password']}"
        header = "Basic " + base64.b64encode(text.encode("utf-8")).decode("ascii")
        asker = Asker(header, asker.address)
    elif grant != "refresh_token" or not fields.get("refresh_token"):
        raise _malformed("grant_type must be password, or refresh_token with one")
    request = TokenRequest(
        asker=asker,
        service=fields.get("service", ""),
        scopes=tuple(fields.get("scope", "").split()),
        refresh_token=fields["refresh_token"] if grant == "refresh_token" else "",
        is_offline=fields.get("access_type") == "offline",
    )
    return await _issue(call, request)


async def _issue(call: Call, request: TokenRequest) -> Answer:
    server = call.settings.token_server
    assert server is not None, "there is no route without it"
    try:
        issued = await server.issue(request)
    except Unauthorized as error:
        return _unauthorized(error, server)
    return Answer(200, (JSON_TYPE, ("Cache-Control", "no-store")), _render(issued, request))


def _unauthorized(error: Unauthorized, server: IssueTokens) -> Answer:
    return refusal(error).with_headers(("WWW-Authenticate", f'Basic realm="{server.realm}"'))


def _render(issued: Issued, request: TokenRequest) -> bytes:
    document = {
        "token": issued.token,
        "access_token": issued.token,
        "expires_in": issued.expires_in,
        "issued_at": issued.issued_at,
        "scope": issued.scope,
    }
    refresh_token = issued.refresh_token or request.refresh_token
    if refresh_token:
        document["refresh_token"] = refresh_token
    return json.dumps(document, separators=(",", ":")).encode("ascii")


def _fields(data: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(
            data.decode("utf-8"),
            keep_blank_values=True,
            max_num_fields=FIELDS_LIMIT,
            errors="strict",
        )
    except ValueError:
        raise _malformed("the body is no form") from None
    if len({name for name, _ in pairs}) < len(pairs):
        raise _malformed("a field of the form is there twice")
    return dict(pairs)


def _malformed(message: str) -> OciError:
    return OciError(Code.UNSUPPORTED, message=message, malformed=True)
