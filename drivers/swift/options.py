# SPDX-License-Identifier: Apache-2.0
"""What an operator may set: the parameters of registry:2, the last that had this driver, by their
names, and a few more.

Driver: swift. Must not know swiftclient. A refusal is one sentence that names the thing and the way
out, and never a secret.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from attrs import field, frozen

from txregistry.driver import (
    BadOptions,
    check_option_names,
    choice_option,
    flag_option,
    text_option,
    whole_option,
)

_MIB = 1024 * 1024

#: Bytes of a part that are made at most, whatever is asked for: a part waits in memory.
LARGEST_PART = 16 * _MIB

#: The smallest ``chunksize`` of registry:2.
_SMALLEST_PART = 1024 * 1024


@frozen
class SwiftOptions:
    """The options, checked. The names are those of the configuration."""

    authurl: str
    username: str
    password: str = field(repr=False)
    container: str
    region: str
    tenant: str
    tenantid: str
    domain: str
    domainid: str
    tenantdomain: str
    tenantdomainid: str
    trustid: str
    authversion: str
    endpointtype: str
    insecureskipverify: bool
    cacert: str
    secretkey: str = field(repr=False)
    prefix: str
    chunksize: int
    timeout: int
    flushafter: int
    maxmemory: int


#: Of registry:2, and without a meaning here.
_REFUSED = {
    "accesskey": "URLs are signed with secretkey alone: remove it",
    "tempurlcontainerkey": "set the key of the container yourself and write secretkey: remove it",
    "tempurlmethods": "URLs are made for GET and HEAD: remove it",
}

_NAMES = tuple(SwiftOptions.__annotations__)


def read_options(options: Mapping[str, object]) -> SwiftOptions:
    """Read the options.

    Raises:
        BadOptions: one is wrong or missing.
    """
    for name, remedy in _REFUSED.items():
        if name in options:
            raise BadOptions(f"{name} is not supported; {remedy}")
    check_option_names(options, _NAMES)
    for name in ("authurl", "username", "password", "container"):
        if not options.get(name):
            raise BadOptions(f"{name} is missing")
    authurl = _text(options, "authurl")
    if urlsplit(authurl).scheme not in ("http", "https"):
        raise BadOptions(f"authurl is to be an http or https URL, not {authurl!r}")
    container = _text(options, "container")
    if "/" in container or len(container.encode()) > 256:
        raise BadOptions(f"container is to be the name of a container, not {container!r}")
    chunk = whole_option(options, "chunksize", LARGEST_PART, least=_SMALLEST_PART)
    texts = {
        name: _text(options, name)
        for name in (
            *("username", "password", "region", "tenant", "tenantid", "domain", "domainid"),
            *("tenantdomain", "tenantdomainid", "trustid", "cacert", "secretkey", "prefix"),
        )
    }
    return SwiftOptions(
        authurl=authurl,
        container=container,
        authversion=_version(options, authurl),
        endpointtype=choice_option(
            options, "endpointtype", ("public", "internal", "admin"), "public"
        ),
        insecureskipverify=flag_option(options, "insecureskipverify", False),
        chunksize=min(chunk, LARGEST_PART),
        timeout=whole_option(options, "timeout", 30, least=1),
        flushafter=min(30, whole_option(options, "flushafter", 30, least=0)),
        maxmemory=whole_option(options, "maxmemory", 64 * _MIB, least=_MIB),
        **texts,
    )


def _text(options: Mapping[str, object], name: str) -> str:
    return text_option(options, name, "") if options.get(name) not in (None, "") else ""


def _version(options: Mapping[str, object], authurl: str) -> str:
    """The version of the login; without one what the URL says, as in registry:2."""
    given = str(options.get("authversion") or "")
    if given not in ("", "0", "1", "2", "3"):
        raise BadOptions(f"authversion is one of 1, 2, 3, not {given!r}")
    if given not in ("", "0"):
        return given
    return next((number for number in "321" if f"v{number}" in authurl), "1")
