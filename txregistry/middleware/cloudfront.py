# SPDX-License-Identifier: Apache-2.0
"""``cloudfront``: clients get signed URLs of a CloudFront distribution in front of the bucket.

Room: middleware. The URL names the object by its key, so the store below must tell keys; one that
does not is asked for its own URL. Clients inside AWS may be sent to the bucket itself, which is
nearer and cheaper: ``ipfilteredby``.

Source: registry:3's middleware of that name; Amazon's "Creating a signed URL using a canned
policy".
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Mapping
from urllib.parse import SplitResult

from attrs import field, frozen
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from txregistry.middleware.ip_ranges import URL, NoRanges, Ranges, ServedRanges
from txregistry.middleware.urls import base_url, join
from txregistry.storage.errors import BadOptions
from txregistry.storage.options import (
    check_option_names,
    choice_option,
    seconds_option,
    text_option,
    texts_option,
)
from txregistry.storage.redirecting import Asked, Redirects

_NAMES = (
    *("baseurl", "privatekey", "keypairid", "duration"),
    *("ipfilteredby", "awsregion", "updatefrequency", "iprangesurl"),
)

#: What registry:2 and its documentation called ``updatefrequency``; both are taken.
_MISSPELT = "updatefrenquency"

#: How long a URL works, in seconds, and how often the list of addresses is read again; registry:3's.
_DURATION = 20 * 60.0
_UPDATE = 12 * 3600.0

#: The alphabet of base64 in CloudFront's URLs.
_URL_SAFE = bytes.maketrans(b"+=/", b"-_~")


@frozen
class Cloudfront:
    """Signs URLs.

    Attributes:
        base: of the distribution.
        ranges: which clients are sent to the bucket itself.
    """

    base: SplitResult
    ranges: Ranges
    _key: rsa.RSAPrivateKey = field(repr=False)
    _key_id: str
    _duration: float
    _below: Redirects
    _now: Callable[[], float] = time.time

    @classmethod
    def create(cls, options: Mapping[str, object], below: Redirects) -> Cloudfront:
        """Make it of its options; the key is read now.

        Raises:
            BadOptions: one of them is wrong or missing, or the key can't be read.
        """
        if _MISSPELT in options and "updatefrequency" not in options:
            options = {
                "updatefrequency" if name == _MISSPELT else name: value
                for name, value in options.items()
            }
        check_option_names(options, _NAMES)
        for name in ("privatekey", "keypairid"):
            if not options.get(name):
                raise BadOptions(f"{name} is missing")
        return cls(
            base_url(options, "baseurl", assumed="https"),
            _ranges(options),
            _private_key(text_option(options, "privatekey", "")),
            text_option(options, "keypairid", ""),
            seconds_option(options, "duration", _DURATION, least=1),
            below,
        )

    def url(self, asked: Asked) -> str | None:
        """A signed URL, whatever the method; the one from below for clients that are exempt."""
        key = self._below.key(asked.path)
        if key is None or (asked.client and asked.client in self.ranges):
            return self._below.url(asked)
        return self._signed(join(self.base, key))

    def key(self, path: str) -> str | None:
        """As below."""
        return self._below.key(path)

    def _signed(self, url: str) -> str:
        expires = int(self._now() + self._duration)
        condition = {"DateLessThan": {"AWS:EpochTime": expires}}
        policy = {"Statement": [{"Resource": url, "Condition": condition}]}
        document = json.dumps(policy, separators=(",", ":")).encode()
        # SHA-1 is what CloudFront takes; what is signed was made here.
        signature = self._key.sign(document, padding.PKCS1v15(), hashes.SHA1())  # noqa: S303
        text = base64.b64encode(signature).translate(_URL_SAFE).decode("ascii")
        return f"{url}?Expires={expires}&Signature={text}&Key-Pair-Id={self._key_id}"


def _private_key(path: str) -> rsa.RSAPrivateKey:
    try:
        with open(path, "rb") as file:
            key = serialization.load_pem_private_key(file.read(), None)
    except OSError as error:
        raise BadOptions(f"privatekey {path} can't be read: {error.strerror}") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise BadOptions(f"privatekey {path} holds no PEM key without a password") from error
    if not isinstance(key, rsa.RSAPrivateKey):
        raise BadOptions(f"privatekey {path} is to be an RSA key, which CloudFront takes")
    return key


def _ranges(options: Mapping[str, object]) -> Ranges:
    choice = choice_option(options, "ipfilteredby", ("none", "aws", "awsregion"), "none")
    regions = texts_option(options, "awsregion")
    if (choice == "awsregion") is not bool(regions):
        raise BadOptions("ipfilteredby: awsregion and awsregion belong together: give both or none")
    if choice == "none":
        return NoRanges()
    return ServedRanges(
        base_url({"iprangesurl": URL, **options}, "iprangesurl").geturl(),
        frozenset(region.lower() for region in regions),
        seconds_option(options, "updatefrequency", _UPDATE, least=1),
    )
