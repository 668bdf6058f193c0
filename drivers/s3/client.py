# SPDX-License-Identifier: Apache-2.0
"""The client of boto3 that the options ask for.

Driver: s3. Credentials come from the options, or by the whole chain of boto3: environment, profile,
web identity, container and pod identity, instance role. No request for S3 is made here.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from txregistry.driver import BadOptions
from txregistry_drivers.s3.options import S3Options

#: Connections that are kept; each object that is being read has one.
_CONNECTIONS = 128

_WHEN = {True: "when_supported", False: "when_required"}


def make_session(options: S3Options) -> Any:
    """What clients are made with: the credentials, and the descriptions of S3, which are large.

    Raises:
        BadOptions: the region or the profile is not known.
    """
    try:
        session = boto3.session.Session(profile_name=options.profile or None)
    except BotoCoreError as err:
        raise BadOptions(f"profile {options.profile!r} can't be used: {err}") from err
    _check_region(session, options)
    return session


def make_client(options: S3Options, session: Any, *, has_checksums: bool) -> Any:
    """A client, and no request yet.

    Args:
        session: of :func:`make_session`.
        has_checksums: send and check CRCs wherever the protocol knows them. Servers that are like S3
            but older refuse that, or worse, store the framing that comes with it.

    Raises:
        BadOptions: no client can be made of the options.
    """
    if options.skipverify:
        warnings.filterwarnings("ignore", module="urllib3")  # one for each request
    try:
        client = session.client(
            "s3",
            region_name=options.region,
            endpoint_url=_endpoint(options),
            use_ssl=options.secure,
            verify=False if options.skipverify else None,
            aws_access_key_id=options.accesskey or None,
            aws_secret_access_key=options.secretkey or None,
            aws_session_token=options.sessiontoken or None,
            config=_config(options, has_checksums=has_checksums),
        )
    except (BotoCoreError, ValueError) as err:
        raise BadOptions(f"no client for S3 can be made of these options: {err}") from err
    if options.loglevel != "off":
        _log_requests(client)
    return client


def _config(options: S3Options, *, has_checksums: bool) -> Config:
    # "auto" would sign URLs for the global host, which redirects, and signatures end there. A
    # certificate does not cover a bucket's name with dots.
    is_path = options.forcepathstyle or "." in options.bucket
    s3: dict[str, Any] = {
        "addressing_style": "path" if is_path else "virtual",
        "us_east_1_regional_endpoint": "regional",
        "payload_signing_enabled": False,
    }
    if options.accelerate:
        s3["use_accelerate_endpoint"] = True
    if options.usedualstack:
        s3["use_dualstack_endpoint"] = True
    return Config(
        signature_version="s3v4",
        s3=s3,
        use_fips_endpoint=options.usefipsendpoint or None,
        user_agent_extra=options.useragent or "txregistry",
        connect_timeout=options.connecttimeout,
        read_timeout=options.readtimeout,
        # Standard mode stops retrying when most requests fail: an outage is not multiplied.
        retries={"mode": "standard", "total_max_attempts": options.maxattempts},
        max_pool_connections=_CONNECTIONS,
        tcp_keepalive=True,
        request_checksum_calculation=_WHEN[has_checksums],
        response_checksum_validation=_WHEN[has_checksums],
    )


def _endpoint(options: S3Options) -> str | None:
    endpoint = options.regionendpoint
    if endpoint and "://" not in endpoint:
        return f"{'https' if options.secure else 'http'}://{endpoint}"
    return endpoint or None


def _check_region(session: Any, options: S3Options) -> None:
    """Refuse a region that AWS does not have; servers of others have what they like."""
    if options.regionendpoint:
        return
    known = sorted(set(_regions(session)))
    if options.region not in known:
        near = get_close_matches(options.region, known, n=1)
        remedy = f"did you mean {near[0]}?" if near else "upgrade botocore if it is a new one"
        raise BadOptions(f"region {options.region!r} is not known; {remedy}")


def _regions(session: Any) -> Iterator[str]:
    for partition in session.get_available_partitions():
        yield from session.get_available_regions("s3", partition)


def _log_requests(client: Any) -> None:
    """A line for each answer: what it was, and by what the server finds it. Never headers or
    bodies, which hold credentials and content.
    """

    def tell(parsed: Any, model: Any, **more: Any) -> None:
        metadata = parsed.get("ResponseMetadata", {})
        say(
            f"{model.name}: status {metadata.get('HTTPStatusCode')},"
            f" request {metadata.get('RequestId')}, {metadata.get('RetryAttempts')} retries"
        )

    client.meta.events.register("after-call.s3", tell)


def say(sentence: str) -> None:
    """Tell the operator: what a driver writes to standard error is in the registry's log."""
    sys.stderr.write(sentence + "\n")
    sys.stderr.flush()
