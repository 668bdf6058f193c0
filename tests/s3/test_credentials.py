# SPDX-License-Identifier: Apache-2.0
"""Who the driver is for S3 if no keys are configured: each link of boto3's chain, over services of
our own in the place of Amazon's.
"""

from __future__ import annotations

import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import pytest

from txregistry.driver import BadOptions
from txregistry_drivers.s3 import create

from .fake import FakeS3

TEMPORARY = {
    "SecretAccessKey": "hunter2",
    "Token": "a-session",
    "Expiration": "2099-01-01T00:00:00Z",
    "Code": "Success",
}

ASSUMED = """<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>
<AccessKeyId>{key}</AccessKeyId><SecretAccessKey>hunter2</SecretAccessKey>
<SessionToken>a-session</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration>
</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"""


class Surroundings(BaseHTTPRequestHandler):
    """What a pod, a container and an instance find round them."""

    def log_message(self, *_):
        pass

    def answer(self, text, status=200):
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())

    def temporary(self, key):
        self.answer(json.dumps({"AccessKeyId": key, **TEMPORARY}))

    def do_PUT(self):
        self.answer("a-token" if self.path == "/latest/api/token" else "", 200)

    def do_GET(self):
        roles = "/latest/meta-data/iam/security-credentials/"
        if self.path == "/pod":
            is_known = self.headers["Authorization"] == "a-pod's-token"
            return self.temporary("POD") if is_known else self.answer("", 403)
        if self.path.startswith(roles) and self.headers["x-aws-ec2-metadata-token"] == "a-token":
            return self.temporary("INSTANCE") if self.path != roles else self.answer("its-role")
        return self.answer("", 404)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        asked = parse_qs(body)
        is_known = asked.get("WebIdentityToken") == ["a-web-identity"]
        self.answer(ASSUMED.format(key="WEB") if is_known else "", 200 if is_known else 403)


@pytest.fixture(scope="module")
def surroundings():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Surroundings)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def nobody(monkeypatch, tmp_path):
    """An environment without any credentials; returns a function that makes a file."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)

    def write(name, text):
        (tmp_path / name).write_text(text)
        return os.fspath(tmp_path / name)

    monkeypatch.setenv("AWS_CONFIG_FILE", os.fspath(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.fspath(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return write


PROFILES = """
[profile work]
aws_access_key_id = WORK
aws_secret_access_key = hunter2
"""


def signers(fake, **options):
    """Whose keys signed what a driver asked for."""
    create({"bucket": "b", "regionendpoint": fake.url, **options}).close()
    return fake.signers


class ChainTests:
    @pytest.fixture
    def fake(self):
        with FakeS3() as fake:
            yield fake

    def test_keys_of_the_environment(self, fake, nobody, monkeypatch):
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ENVIRONMENT")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
        assert signers(fake) == {"ENVIRONMENT"}
        fake.signers.clear()
        assert signers(fake, accesskey="OPTION", secretkey="s") == {"OPTION"}

    def test_profile(self, fake, nobody, monkeypatch):
        """By the option, or by the variable."""
        monkeypatch.setenv("AWS_CONFIG_FILE", nobody("config", PROFILES))
        assert signers(fake, profile="work") == {"WORK"}
        fake.signers.clear()
        monkeypatch.setenv("AWS_PROFILE", "work")
        assert signers(fake) == {"WORK"}

    def test_web_identity(self, fake, nobody, monkeypatch, surroundings):
        """A role for which the token of a file speaks."""
        monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", nobody("token", "a-web-identity"))
        monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::1:role/registry")
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", surroundings)
        assert signers(fake) == {"WEB"}

    def test_pod_identity(self, fake, nobody, monkeypatch, surroundings):
        """An endpoint that is asked with the token of a file; that of containers is the same."""
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{surroundings}/pod")
        token = nobody("token", "a-pod's-token")
        monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token)
        assert signers(fake) == {"POD"}

    def test_role_of_the_instance(self, fake, nobody, monkeypatch, surroundings):
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", surroundings)
        monkeypatch.setenv("AWS_METADATA_SERVICE_TIMEOUT", "60")  # a second otherwise
        monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
        assert signers(fake) == {"INSTANCE"}

    def test_nobody_is_told_so(self, fake, nobody):
        """In a sentence with the ways out."""
        with pytest.raises(BadOptions, match="give accesskey and secretkey, a profile, or a role"):
            signers(fake)

    def test_token_that_is_refused_is_a_sentence(self, fake, nobody, monkeypatch, surroundings):
        """And the token is not in it."""
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{surroundings}/pod")
        monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "hunter2")
        with pytest.raises(BadOptions) as caught:
            signers(fake)
        assert "credentials" in str(caught.value) and "hunter2" not in str(caught.value)
