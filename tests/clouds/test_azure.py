# SPDX-License-Identifier: Apache-2.0
"""Azure's options, its ways in, and the URLs that are signed with each."""

from __future__ import annotations

import base64
import datetime
import json
import ssl
import time
import urllib.error
import urllib.request
from urllib.parse import parse_qs, urlsplit

import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError
from azure.identity import ClientSecretCredential, DefaultAzureCredential
from azure.storage.blob import (
    BlobServiceClient,
    ContainerSasPermissions,
    generate_container_sas,
)

from txregistry.driver import (
    BadOptions,
    Unavailable,
)
from txregistry_drivers.azure import create
from txregistry_drivers.azure.opening import LONGEST_PAUSE, Retries, credential_of, make_bucket
from txregistry_drivers.azure.options import read_options
from txregistry_drivers.azure.signing import TokenSigner
from txregistry_drivers.objects import Piece

from ..tls.authority import Authority
from .azure_copying import pages, read
from .servers import AZURITE_ACCOUNT, AZURITE_KEY, Azurite

MIB = 1024 * 1024
KEY = base64.b64encode(b"hunter2").decode()
PLAIN = {"accountname": "account", "container": "images", "accountkey": KEY}
APP = {"type": "client_secret", "tenantid": "t", "clientid": "c", "secret": "hunter2"}


def fetch(url, method="GET", data=None, context=None):
    """Status and content of a URL, for whoever has no credentials."""
    request = urllib.request.Request(url, method=method, data=data)
    try:
        with urllib.request.urlopen(request, timeout=60, context=context) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, b""


class OptionsTests:
    @pytest.mark.parametrize(
        ("options", "refusal"),
        [
            ({"container": "c12"}, "accountname is missing"),
            (
                {**PLAIN, "accountname": "No!"},
                "accountname is to be the name of a storage account, not 'No!'",
            ),
            ({"accountname": "account"}, "container is missing"),
            (
                {**PLAIN, "container": "two--hyphens"},
                "container is to be the name of a container, not 'two--hyphens'",
            ),
            ({**PLAIN, "accountkey": "secret!"}, "accountkey can't be read: it is base64"),
            ({**PLAIN, "accountkey": 12345}, "accountkey is to be a text: quote it"),
            (
                {**PLAIN, "serviceurl": "ftp://x"},
                "serviceurl is to be an http or https URL, not 'ftp://x'",
            ),
            ({**PLAIN, "contaner": "c"}, "there is no option 'contaner'; did you mean container?"),
            (
                {**PLAIN, "credentials": APP},
                "accountkey and credentials of type client_secret are two ways in: keep one",
            ),
            (
                {**PLAIN, "accountkey": "", "credentials": {**APP, "secret": ""}},
                "credentials.secret is missing, which client_secret needs",
            ),
            (
                {**PLAIN, "accountkey": "", "credentials": {"type": "shared_key"}},
                "accountkey is missing, which shared_key needs",
            ),
            (
                {**PLAIN, "credentials": {"type": "shared_kye"}},
                "in credentials: type is one of client_secret, shared_key, default_credentials, not"
                " 'shared_kye'; did you mean shared_key?",
            ),
            (
                {**PLAIN, "credentials": ["x"]},
                "credentials is to be a mapping with type, clientid, tenantid and secret",
            ),
            (
                {**PLAIN, "accountkey": "", "serviceurl": "http://x"},
                "serviceurl is to be an https URL with default_credentials, not 'http://x'",
            ),
            (
                {**PLAIN, "connectionstring": f"AccountName=other;AccountKey={KEY}"},
                "connectionstring and accountname are the same in two ways: keep one",
            ),
            (
                {"container": "c12", "connectionstring": "hunter2"},
                "connectionstring has no AccountName: copy it whole from Azure's portal",
            ),
            (
                {"container": "c12", "connectionstring": "AccountName=account"},
                "connectionstring has neither AccountKey nor SharedAccessSignature: it needs one",
            ),
            (
                {**PLAIN, "retry_delay": "soon"},
                "retry_delay is to be a duration such as 100ms, not 'soon'",
            ),
            (
                {**PLAIN, "max_retries": -1},
                "max_retries is to be a whole number of at least 0, not -1",
            ),
        ],
    )
    def test_refusal_says_what_to_do(self, options, refusal):
        with pytest.raises(BadOptions) as caught:
            create(options)
        assert caught.value.message == refusal

    def test_defaults_are_those_of_the_other_registry(self):
        options = read_options(PLAIN)
        assert options.serviceurl == "https://account.blob.core.windows.net"
        assert (options.max_retries, options.retry_delay) == (5, 0.1)
        assert options.credentials.kind == "shared_key"
        assert read_options({**PLAIN, "realm": "x.cn"}).serviceurl == "https://account.blob.x.cn"
        assert read_options({**PLAIN, "accountkey": ""}).credentials.kind == "default_credentials"
        assert read_options({**PLAIN, "retry_delay": "1.5s"}).retry_delay == 1.5

    def test_connection_string_is_used(self):
        text = (
            f"DefaultEndpointsProtocol=https;AccountName=abc;AccountKey={KEY};EndpointSuffix=x.cn"
        )
        options = read_options({"container": "images", "connectionstring": text})
        assert (options.accountname, options.serviceurl) == ("abc", "https://abc.blob.x.cn")
        assert options.credentials.secret == KEY

    @pytest.mark.parametrize("more", [{"accountkey": KEY}, {"credentials": APP}])
    def test_secrets_are_not_shown(self, more):
        options = read_options({"accountname": "account", "container": "images", **more})
        assert "hunter2" not in repr(options) and KEY not in repr(options)


class OpeningTests:
    def test_container_has_to_be_there(self, options):
        with pytest.raises(BadOptions) as caught:
            create({**options, "container": "another"})
        assert caught.value.message == (
            "container 'another' does not exist: create it, or correct container"
        )

    def test_key_has_to_be_the_accounts(self, options):
        with pytest.raises(BadOptions) as caught:
            create({**options, "accountkey": KEY})
        assert KEY not in caught.value.message
        assert "can't be used with these credentials: Azure answered a look with 403" in (
            caught.value.message
        )

    def test_service_that_is_not_reached_may_come_back(self, options):
        """That is no fault of the configuration."""
        with pytest.raises(Unavailable, match="Azure can't be reached for a look"):
            create({**options, "serviceurl": "http://127.0.0.1:1/account", "max_retries": 0})

    def test_directories_that_are_blobs_are_refused(self, options, copying):
        copying.is_hierarchical = True
        with pytest.raises(BadOptions, match="has a hierarchical namespace"):
            create(options)

    @pytest.mark.parametrize(
        ("credentials", "kind"), [(APP, ClientSecretCredential), ({}, DefaultAzureCredential)]
    )
    def test_tokens_are_had_as_the_operator_says(self, credentials, kind):
        options = read_options({**PLAIN, "accountkey": "", "credentials": credentials})
        with credential_of(options) as credential:
            assert type(credential) is kind


def test_pauses_between_tries_have_a_bound():
    """However many tries an operator allows."""
    retries = Retries(read_options({**PLAIN, "retry_delay": "1s"}))
    pauses = [retries.get_backoff_time({"count": count}) for count in range(60)]
    assert 0.5 <= pauses[0] <= 1.5
    assert pauses[-1] == max(pauses) == LONGEST_PAUSE


class SigningTests:
    def test_client_reads_and_does_no_more(self, objects):
        objects.put("a~/ b", b"content", metadata={})
        url = objects.presign("a~/ b", "GET", 60)
        assert fetch(url) == (200, b"content")
        assert fetch(url, "HEAD")[0] == 200
        assert fetch(url, "DELETE")[0] == 403
        assert fetch(objects.presign("a~/ b", "GET", -600))[0] == 403

    def test_sas_is_not_given_away(self, azurite, copying, bucket, objects):
        """It does everything else."""
        sas = generate_container_sas(
            AZURITE_ACCOUNT,
            bucket,
            account_key=AZURITE_KEY,
            permission=ContainerSasPermissions.from_string("racwdl"),
            expiry=datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1),
        )
        text = (
            f"BlobEndpoint={copying.service_url};AccountName={AZURITE_ACCOUNT};"
            f"SharedAccessSignature={sas}"
        )
        entered = make_bucket(read_options({"container": bucket, "connectionstring": text}))
        version = entered.put("part", b"part", metadata={})
        entered.compose("blob", [Piece("part", 0, 4), b"tail"], pytest.fail)
        entered.copy("blob", "copy")
        assert (read(entered, "copy"), copying.copies) == (b"parttail", 1)
        assert entered.presign("part", "GET", 60) is None
        entered.delete("part", if_version=version)
        entered.delete_many(["blob", "copy"])
        assert pages(entered, 10) == []
        entered.close()


class Entra:
    """Gives tokens as Microsoft's Entra does, but for their signature."""

    def get_token(self, scope, **_):
        now = int(time.time())
        claims = {"aud": scope.removesuffix("/.default"), "iss": "https://sts.windows.net/t/"}
        claims |= {"iat": now, "nbf": now - 60, "exp": now + 3600, "oid": "o", "tid": "t"}
        parts = [
            base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()
            for part in ({"alg": "RS256", "typ": "JWT"}, claims)
        ]
        return AccessToken(".".join([*parts, "c2ln"]), claims["exp"])


class SecureAzurite(Azurite):
    """Takes tokens, and so speaks TLS."""

    def __init__(self, directory):
        self.authority = Authority(directory / "authority")
        files = self.authority.issue("server")
        super().__init__(
            directory,
            *("--oauth", "basic", "--cert", str(files.certificate), "--key", str(files.key)),
        )

    @property
    def url(self):
        return f"https://{self.address}"

    def answers(self):
        try:
            return fetch(self.url, context=self.context())[0] >= 400
        except OSError:
            return False

    def context(self):
        return ssl.create_default_context(cafile=self.authority.file)


class TokenTests:
    """Credentials of Entra, as azurite knows them."""

    @pytest.fixture(scope="class")
    @classmethod
    def secure(cls, tmp_path_factory):
        with SecureAzurite(tmp_path_factory.mktemp("secure")) as server:
            yield server

    @pytest.fixture
    def options(self, secure, bucket):
        verify = str(secure.authority.file)
        with BlobServiceClient(
            secure.service_url, credential=Entra(), connection_verify=verify
        ) as client:
            client.create_container(bucket)
        return {
            "accountname": AZURITE_ACCOUNT,
            "container": bucket,
            "serviceurl": secure.service_url,
            "credentials": APP,
        }

    def test_token_opens_and_signs(self, secure, options, monkeypatch):
        """A client gets a URL that is signed with a key which was asked for with the token.

        Azurite does not know the form of such a signature that the library makes by now.
        """
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(secure.authority.file))
        objects = make_bucket(read_options(options), Entra())
        objects.put("a", b"content", metadata={})
        objects.copy("a", "b")
        assert read(objects, "b") == b"content"
        query = parse_qs(urlsplit(objects.presign("b", "GET", 60)).query)
        assert {name: query[name] for name in ("sp", "spr", "sr", "skoid", "sks")} == {
            **{"sp": ["r"], "spr": ["https"], "sr": ["b"], "skoid": ["o"], "sks": ["b"]}
        }
        objects.close()

    @pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
    def test_certificate_counts_unless_told_otherwise(self, options):
        with pytest.raises(Unavailable, match="can't be reached"):
            make_bucket(read_options({**options, "max_retries": 0}), Entra())
        objects = make_bucket(read_options({**options, "skipverify": True}), Entra())
        objects.put("a", b"content", metadata={})
        objects.close()

    def test_copy_is_given_the_token(self):
        class Blob:
            url = "https://account.blob.example/images/a"
            blob_name = "a"

        source = TokenSigner(None, Entra()).source(Blob)
        assert source["source_url"] == Blob.url
        assert source["source_authorization"].startswith("Bearer ey")

    def test_without_a_delegation_key_nobody_is_sent_elsewhere(self):
        """The role lacks that: it is not asked for at every download."""
        asked = []

        class Service:
            def get_user_delegation_key(self, *_):
                asked.append(1)
                error = HttpResponseError("no")
                error.status_code = 403
                raise error

        signer = TokenSigner(Service(), Entra())
        assert [signer.link(None, 60), signer.link(None, 60)] == [None, None]
        assert asked == [1]

    def test_credentials_without_a_token_end_the_start(self, options):
        class Stranger:
            def get_token(self, *_, **__):
                raise ClientAuthenticationError("AADSTS7000215: hunter2 is wrong")

        with pytest.raises(BadOptions) as caught:
            make_bucket(read_options({**options, "max_retries": 0}), Stranger())
        assert "Azure gives no token for these credentials" in caught.value.message
        assert "hunter2" not in caught.value.message
