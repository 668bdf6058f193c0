# SPDX-License-Identifier: Apache-2.0
"""What an operator may set: the parameters of registry:3 by their names, and a few more.

Driver: s3. Must not know boto3. A refusal is one sentence that names the thing and the way out, and
never a secret.
"""

from __future__ import annotations

from collections.abc import Mapping

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
_GIB = 1024 * _MIB

#: Bytes of a part that S3 takes, at least and at most.
_SMALLEST_PART, _LARGEST_PART = 5 * _MIB, 5 * _GIB

#: Bytes of a part that we make at most, whatever is asked for: a part waits in memory.
LARGEST_PART = 16 * _MIB

STORAGE_CLASSES = (
    "NONE",
    "STANDARD",
    "REDUCED_REDUNDANCY",
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "OUTPOSTS",
    "GLACIER_IR",
    "EXPRESS_ONEZONE",
)

_ACLS = (
    "private",
    "public-read",
    "public-read-write",
    "authenticated-read",
    "aws-exec-read",
    "bucket-owner-read",
    "bucket-owner-full-control",
)

_LOG_LEVELS = (
    "off",
    "debug",
    "debugwithsigning",
    "debugwithhttpbody",
    "debugwithrequestretries",
    "debugwithrequesterrors",
    "debugwitheventstreambody",
)


@frozen
class S3Options:
    """The options, checked. The names are those of the configuration."""

    bucket: str
    region: str
    regionendpoint: str
    forcepathstyle: bool
    accesskey: str = field(repr=False)
    secretkey: str = field(repr=False)
    sessiontoken: str = field(repr=False)
    profile: str
    accelerate: bool
    usedualstack: bool
    usefipsendpoint: bool
    encrypt: bool
    keyid: str
    secure: bool
    skipverify: bool
    checksum: str
    chunksize: int
    multipartcopychunksize: int
    multipartcopymaxconcurrency: int
    multipartcopythresholdsize: int
    rootdirectory: str
    storageclass: str
    objectacl: str
    useragent: str
    loglevel: str
    maxattempts: int
    connecttimeout: int
    readtimeout: int
    flushafter: int
    maxmemory: int


_NAMES = ("v4auth", *S3Options.__annotations__)


def read_options(options: Mapping[str, object]) -> S3Options:
    """Read the options.

    Raises:
        BadOptions: one is wrong, or they contradict each other.
    """
    check_option_names(options, _NAMES)
    if not flag_option(options, "v4auth", True):
        raise BadOptions(
            "v4auth: false asks for signatures of version 2, which S3 has ended: remove it"
        )
    endpoint = _text(options, "regionendpoint")
    part = whole_option(options, "chunksize", 10 * _MIB, least=_SMALLEST_PART)
    if part > _LARGEST_PART:
        raise BadOptions(f"chunksize is to be at most {_LARGEST_PART}, not {part}")
    result = S3Options(
        bucket=_bucket(options),
        region=_region(options, endpoint),
        regionendpoint=endpoint,
        forcepathstyle=flag_option(options, "forcepathstyle", bool(endpoint)),
        accesskey=_text(options, "accesskey"),
        secretkey=_text(options, "secretkey"),
        sessiontoken=_text(options, "sessiontoken"),
        profile=_text(options, "profile"),
        accelerate=flag_option(options, "accelerate", False),
        usedualstack=flag_option(options, "usedualstack", False),
        usefipsendpoint=flag_option(options, "usefipsendpoint", False),
        encrypt=flag_option(options, "encrypt", False),
        keyid=_text(options, "keyid"),
        secure=flag_option(options, "secure", True),
        skipverify=flag_option(options, "skipverify", False),
        checksum=choice_option(options, "checksum", ("auto", "required"), "auto"),
        chunksize=min(part, LARGEST_PART),
        multipartcopychunksize=_size(options, "multipartcopychunksize", 32 * _MIB, _SMALLEST_PART),
        multipartcopymaxconcurrency=whole_option(
            options, "multipartcopymaxconcurrency", 100, least=1
        ),
        multipartcopythresholdsize=_size(options, "multipartcopythresholdsize", 32 * _MIB, 1),
        rootdirectory=_text(options, "rootdirectory"),
        storageclass=choice_option(options, "storageclass", STORAGE_CLASSES, "STANDARD"),
        objectacl=choice_option(options, "objectacl", _ACLS, "private"),
        useragent=_text(options, "useragent"),
        loglevel=_log_level(options),
        maxattempts=whole_option(options, "maxattempts", 4, least=1),
        connecttimeout=whole_option(options, "connecttimeout", 5, least=1),
        readtimeout=whole_option(options, "readtimeout", 30, least=1),
        flushafter=min(30, whole_option(options, "flushafter", 30, least=0)),
        maxmemory=whole_option(options, "maxmemory", 64 * _MIB, least=_MIB),
    )
    _check_together(result)
    return result


def _text(options: Mapping[str, object], name: str) -> str:
    """A text that may be left out, or empty, or null."""
    value = options.get(name)
    if value in (None, ""):
        return ""
    if isinstance(value, int) and not isinstance(value, bool):  # an account's key may be digits
        return str(value)
    if not isinstance(value, str):
        raise BadOptions(f"{name} is to be a text")  # its value may be a secret
    return value


def _size(options: Mapping[str, object], name: str, default: int, least: int) -> int:
    value = whole_option(options, name, default, least=least)
    if value > _LARGEST_PART:
        raise BadOptions(f"{name} is to be at most {_LARGEST_PART}, not {value}")
    return value


def _bucket(options: Mapping[str, object]) -> str:
    if not _text(options, "bucket"):
        raise BadOptions("bucket is missing: name the bucket that the registry stores in")
    return text_option(options, "bucket", "")


def _region(options: Mapping[str, object], endpoint: str) -> str:
    region = _text(options, "region")
    if not region and not endpoint:
        raise BadOptions(
            "region is missing: name the region of the bucket, or the regionendpoint of a server"
        )
    return region or "us-east-1"


def _log_level(options: Mapping[str, object]) -> str:
    value = options.get("loglevel")
    if value is False:  # YAML 1.1 reads off as false
        return "off"
    return choice_option(options, "loglevel", _LOG_LEVELS, "off")


def _check_together(options: S3Options) -> None:
    if bool(options.accesskey) != bool(options.secretkey):
        missing = "secretkey" if options.accesskey else "accesskey"
        raise BadOptions(
            f"{missing} is missing: give both keys, or none to use the credentials of the environment"
        )
    if options.accesskey and options.profile:
        raise BadOptions("profile and accesskey are both given: keep one")
    if options.sessiontoken and not options.accesskey:
        raise BadOptions("sessiontoken needs accesskey and secretkey: give them, or remove it")
    if options.keyid and not options.encrypt:
        raise BadOptions("keyid asks for encryption: add encrypt: true, or remove it")
    if options.regionendpoint and options.accelerate:
        raise BadOptions("accelerate is of AWS alone: remove it, or regionendpoint")
    if options.accelerate and options.forcepathstyle:
        raise BadOptions("accelerate needs the bucket in the host name: remove forcepathstyle")
