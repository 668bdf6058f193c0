# SPDX-License-Identifier: Apache-2.0
"""What an operator may set: the parameters of registry:3 by their names, and a few more.

Driver: azure. Must not know Microsoft's library. A refusal is one sentence that names the thing and
the way out, and never a secret.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping

from attrs import field, frozen

from txregistry.driver import (
    BadOptions,
    check_option_names,
    choice_option,
    flag_option,
    whole_option,
)

_MIB = 1024 * 1024

#: Bytes of a part, at most, whatever is asked for: a part waits in memory.
LARGEST_PART = 16 * _MIB

#: Source: Microsoft's "Naming and referencing containers".
_CONTAINER = re.compile(r"(?=.{3,63}\Z)[a-z0-9]+(-[a-z0-9]+)*")

_ACCOUNT = re.compile(r"[a-z0-9]{3,24}")

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0}

SHARED_KEY, CLIENT_SECRET, DEFAULT, SAS = (
    "shared_key",
    "client_secret",
    "default_credentials",
    "sas",
)


@frozen
class Credentials:
    """Who the driver is for Azure.

    Attributes:
        kind: ``shared_key`` with ``secret``, the account's key; ``client_secret`` with all three;
            ``sas`` with ``secret``; ``default_credentials``, perhaps with ``clientid``, the identity
            of several that a machine may have.
    """

    kind: str
    secret: str = field(repr=False, default="")
    clientid: str = ""
    tenantid: str = ""


@frozen
class AzureOptions:
    """The options, checked and put together.

    Attributes:
        retry_delay: seconds before the first retry.
    """

    accountname: str
    container: str
    serviceurl: str
    credentials: Credentials
    rootdirectory: str
    max_retries: int
    retry_delay: float
    skipverify: bool
    chunksize: int
    timeout: int
    flushafter: int
    maxmemory: int


#: Of ``connectionstring``, and where they would stand as options.
_PARTS = {"AccountName": "accountname", "AccountKey": "accountkey", "BlobEndpoint": "serviceurl"}

_NAMES = ("accountkey", "connectionstring", "realm", *AzureOptions.__annotations__)


def read_options(options: Mapping[str, object]) -> AzureOptions:
    """Read the options.

    Raises:
        BadOptions: one is wrong or missing, or they contradict each other.
    """
    check_option_names(options, _NAMES)
    given = {
        name: _text(options, name)
        for name in ("accountname", "accountkey", "serviceurl", "connectionstring", "realm")
    }
    sas = _connection(given)
    account = given["accountname"]
    if not account:
        raise BadOptions("accountname is missing")
    if not _ACCOUNT.fullmatch(account):
        raise BadOptions(f"accountname is to be the name of a storage account, not {account!r}")
    container = _text(options, "container")
    if not container:
        raise BadOptions("container is missing")
    if not _CONTAINER.fullmatch(container):
        raise BadOptions(f"container is to be the name of a container, not {container!r}")
    url = given["serviceurl"] or f"https://{account}.blob.{given['realm'] or 'core.windows.net'}"
    if not url.startswith(("http://", "https://")):
        raise BadOptions(f"serviceurl is to be an http or https URL, not {url!r}")
    credentials = _credentials(options.get("credentials"), given["accountkey"], sas)
    if credentials.kind not in (SHARED_KEY, SAS) and not url.startswith("https://"):
        raise BadOptions(f"serviceurl is to be an https URL with {credentials.kind}, not {url!r}")
    return AzureOptions(
        accountname=account,
        container=container,
        serviceurl=url.rstrip("/"),
        credentials=credentials,
        rootdirectory=_text(options, "rootdirectory"),
        max_retries=whole_option(options, "max_retries", 5, least=0),
        retry_delay=_seconds(options.get("retry_delay") or "100ms"),
        skipverify=flag_option(options, "skipverify", False),
        chunksize=min(LARGEST_PART, whole_option(options, "chunksize", 10 * _MIB, least=64 * 1024)),
        timeout=whole_option(options, "timeout", 30, least=1),
        flushafter=min(30, whole_option(options, "flushafter", 30, least=0)),
        maxmemory=whole_option(options, "maxmemory", 64 * _MIB, least=_MIB),
    )


def _text(options: Mapping[str, object], name: str, *, where: str = "") -> str:
    value = options.get(name)
    if value is None or value == "":
        return ""
    if not isinstance(value, str):  # perhaps a secret that YAML took for a number
        raise BadOptions(f"{where}{name} is to be a text: quote it")
    return value


def _connection(given: dict[str, str]) -> str:
    """Fill in what the connection string says; returns its SAS, if it has one.

    Raises:
        BadOptions: it can't be read, or says what another option says as well.
    """
    text = given["connectionstring"]
    if not text:
        return ""
    parts = dict(
        part.partition("=")[::2] for part in text.strip().strip(";").split(";") if "=" in part
    )
    if not parts.get("AccountName"):
        raise BadOptions("connectionstring has no AccountName: copy it whole from Azure's portal")
    for part, name in _PARTS.items():
        if parts.get(part) and given[name]:
            raise BadOptions(f"connectionstring and {name} are the same in two ways: keep one")
        given[name] = given[name] or parts.get(part, "")
    given["realm"] = given["realm"] or parts.get("EndpointSuffix", "")
    sas = parts.get("SharedAccessSignature", "")
    if not sas and not given["accountkey"]:
        raise BadOptions(
            "connectionstring has neither AccountKey nor SharedAccessSignature: it needs one"
        )
    return "" if given["accountkey"] else sas


def _credentials(section: object, accountkey: str, sas: str) -> Credentials:
    section = section or {}
    if not isinstance(section, Mapping):
        raise BadOptions("credentials is to be a mapping with type, clientid, tenantid and secret")
    try:
        check_option_names(section, ("type", "clientid", "tenantid", "secret"))
        default = SHARED_KEY if accountkey else DEFAULT
        kind = choice_option(section, "type", (CLIENT_SECRET, SHARED_KEY, DEFAULT), default)
    except BadOptions as error:
        raise BadOptions(f"in credentials: {error.message}") from error
    if sas:
        if section:
            raise BadOptions("connectionstring and credentials are two ways in: keep one")
        return Credentials(SAS, sas)
    if kind == SHARED_KEY:
        return Credentials(SHARED_KEY, _key(accountkey))
    if accountkey:
        raise BadOptions(f"accountkey and credentials of type {kind} are two ways in: keep one")
    texts = {
        name: _text(section, name, where="credentials.")
        for name in ("secret", "clientid", "tenantid")
    }
    if kind == CLIENT_SECRET:
        for name, value in texts.items():
            if not value:
                raise BadOptions(f"credentials.{name} is missing, which client_secret needs")
    return Credentials(kind, **texts)


def _key(accountkey: str) -> str:
    if not accountkey:
        raise BadOptions("accountkey is missing, which shared_key needs")
    try:
        base64.b64decode(accountkey, validate=True)
    except ValueError:
        raise BadOptions("accountkey can't be read: it is base64") from None
    return accountkey


def _seconds(value: object) -> float:
    """A duration as registry:3 writes it."""
    match = _DURATION.fullmatch(str(value))
    if not match:
        raise BadOptions(f"retry_delay is to be a duration such as 100ms, not {value!r}")
    return float(match[1]) * _UNITS[match[2]]
