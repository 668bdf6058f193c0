# SPDX-License-Identifier: Apache-2.0
"""What an operator may set: the parameters of registry:3 by their names, and a few more.

Driver: gcs. Must not know Google's library. A refusal is one sentence that names the thing and the
way out, and never a secret.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from txregistry.driver import BadOptions, check_option_names, text_option, whole_option

_MIB = 1024 * 1024
_KIB = 1024

#: Bytes of a part, at most, whatever is asked for: a part waits in memory.
LARGEST_PART = 16 * _MIB

#: registry:3's unit of ``chunksize``.
_UNIT = 256 * _KIB

#: Source: Google's "Bucket naming guidelines".
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")

#: What a service account's key has at least.
_NEEDED = ("client_email", "private_key", "token_uri")


@frozen
class GcsOptions:
    """The options, checked. The names are those of the configuration.

    Attributes:
        credentials: a service account's key; None to look for the surroundings' own.
    """

    bucket: str
    credentials: Mapping[str, Any] | None = field(repr=False)
    rootdirectory: str
    chunksize: int
    maxconcurrency: int
    useragent: str
    endpoint: str
    timeout: int
    flushafter: int
    maxmemory: int


_NAMES = ("keyfile", *GcsOptions.__annotations__)


def read_options(options: Mapping[str, object]) -> GcsOptions:
    """Read the options; the key file, too.

    Raises:
        BadOptions: one is wrong, or they contradict each other.
    """
    check_option_names(options, _NAMES)
    bucket = text_option(options, "bucket", "-")
    if not _BUCKET.fullmatch(bucket):
        raise BadOptions(
            f"bucket is to be the name of a bucket, not {bucket!r}"
            if "bucket" in options
            else "bucket is missing"
        )
    chunk = whole_option(options, "chunksize", LARGEST_PART, least=_UNIT)
    if chunk % _UNIT:
        raise BadOptions(f"chunksize is to be a multiple of {_UNIT}, not {chunk}")
    endpoint = _text(options, "endpoint")
    if endpoint and not endpoint.startswith(("http://", "https://")):
        raise BadOptions(f"endpoint is to be an http or https URL, not {endpoint!r}")
    return GcsOptions(
        bucket=bucket,
        credentials=_credentials(options),
        rootdirectory=_text(options, "rootdirectory"),
        chunksize=min(chunk, LARGEST_PART),
        # registry:3 raises what is lower as well.
        maxconcurrency=max(25, whole_option(options, "maxconcurrency", 50, least=1)),
        useragent=_text(options, "useragent"),
        endpoint=endpoint.rstrip("/"),
        timeout=whole_option(options, "timeout", 30, least=1),
        flushafter=min(30, whole_option(options, "flushafter", 30, least=0)),
        maxmemory=whole_option(options, "maxmemory", 64 * _MIB, least=_MIB),
    )


def _text(options: Mapping[str, object], name: str) -> str:
    return text_option(options, name, "") if options.get(name) not in (None, "") else ""


def _credentials(options: Mapping[str, object]) -> Mapping[str, Any] | None:
    keyfile, given = _text(options, "keyfile"), options.get("credentials")
    if keyfile and given:
        raise BadOptions("keyfile and credentials are the same in two ways: keep one")
    if keyfile:
        return _checked(_read(keyfile), f"keyfile {keyfile}")
    if given is None or given == {}:
        return None
    return _checked(given, "credentials")


def _read(path: str) -> object:
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except OSError as error:
        raise BadOptions(f"keyfile {path} can't be read: {error.strerror}") from error
    except ValueError as error:
        raise BadOptions(f"keyfile {path} is not a JSON document") from error


def _checked(key: object, where: str) -> Mapping[str, Any]:
    if not isinstance(key, Mapping):
        raise BadOptions(f"{where} is to hold the key of a service account")
    missing = [name for name in _NEEDED if not isinstance(key.get(name), str)]
    if missing:
        raise BadOptions(f"{where} is no key of a service account: {missing[0]} is missing")
    return {str(name): value for name, value in key.items()}
