# SPDX-License-Identifier: Apache-2.0
"""What an operator may set: taken as registry:3 takes it, or refused in one sentence."""

from __future__ import annotations

import urllib.request

import pytest
import yaml

from txregistry.config.foreign import FOREIGN_DRIVERS
from txregistry.driver import BadOptions
from txregistry.process.spec import installed_drivers
from txregistry_drivers import s3
from txregistry_drivers.s3 import create
from txregistry_drivers.s3.client import make_client, make_session
from txregistry_drivers.s3.options import read_options

MIB = 1024 * 1024
LEAST = {"bucket": "images", "region": "eu-west-1"}

#: Each parameter of registry:3, as its documentation writes it.
EVERYTHING = """
accesskey: awsaccesskey
secretkey: awssecretkey
region: us-west-1
regionendpoint: http://myobjects.local
forcepathstyle: true
accelerate: false
bucket: bucketname
encrypt: true
keyid: mykeyid
secure: true
v4auth: true
chunksize: 5242880
multipartcopychunksize: 33554432
multipartcopymaxconcurrency: 100
multipartcopythresholdsize: 33554432
rootdirectory: /s3/object/name/prefix
usedualstack: false
usefipsendpoint: false
skipverify: false
storageclass: STANDARD
objectacl: private
useragent: docker
loglevel: debug
"""


def test_every_parameter_of_registry_3_is_taken():
    """Its sample configuration works, also with every value as text, as variables give them."""
    document = yaml.safe_load(EVERYTHING)
    options = read_options(document)
    assert options.chunksize == 5 * MIB
    as_text = {name: str(value).lower() for name, value in document.items()}
    as_text["storageclass"] = "STANDARD"
    assert read_options(as_text) == options
    make_client(options, make_session(options), has_checksums=True).close()


def test_defaults_are_wise():
    """Path style comes with a server of one's own, as before registry:3."""
    plain = read_options(LEAST)
    assert (plain.forcepathstyle, plain.chunksize, plain.checksum) == (False, 10 * MIB, "auto")
    local = read_options({"bucket": "b", "regionendpoint": "http://localhost:9000"})
    assert (local.forcepathstyle, local.region) == (True, "us-east-1")
    assert read_options({**LEAST, "chunksize": 5 * 1024 * MIB}).chunksize == 16 * MIB
    assert read_options({**LEAST, "loglevel": False}).loglevel == "off"  # YAML's off
    assert read_options({**LEAST, "accesskey": None, "keyid": ""}).keyid == ""


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"bukcet": "x"}, "there is no option 'bukcet'; did you mean bucket?"),
        ({"bucket": ""}, "bucket is missing"),
        ({"region": ""}, "region is missing: name the region of the bucket, or the regionendpoint"),
        ({"region": "eu-wset-1"}, "region 'eu-wset-1' is not known; did you mean eu-west-1?"),
        ({"region": "mars"}, "region 'mars' is not known"),
        ({"v4auth": False}, "v4auth: false asks for signatures of version 2"),
        ({"chunksize": 5 * MIB - 1}, "chunksize is to be a whole number of at least 5242880"),
        ({"chunksize": 6 * 1024 * MIB}, "chunksize is to be at most 5368709120"),
        ({"storageclass": "STANDRAD_IA"}, "did you mean STANDARD_IA?"),
        ({"objectacl": "public"}, "objectacl is one of private"),
        ({"encrypt": "maybe"}, "encrypt is true or false, not 'maybe'"),
        ({"accesskey": "x"}, "secretkey is missing: give both keys, or none"),
        ({"secretkey": "hunter2"}, "accesskey is missing"),
        ({"secretkey": ["hunter2"]}, "secretkey is to be a text"),
        ({"accesskey": "x", "secretkey": "y", "profile": "p"}, "keep one"),
        ({"sessiontoken": "hunter2"}, "sessiontoken needs accesskey and secretkey"),
        ({"keyid": "k"}, "keyid asks for encryption: add encrypt: true"),
        ({"regionendpoint": "http://h", "accelerate": True}, "accelerate is of AWS alone"),
        ({"accelerate": True, "forcepathstyle": True}, "remove forcepathstyle"),
        ({"profile": "nobody-has-this"}, "profile 'nobody-has-this' can't be used"),
        ({"regionendpoint": "ht tp://x"}, "no client for S3 can be made of these options"),
    ],
)
def test_a_mistake_is_one_sentence(changes, sentence):
    """It names the option and the way out, and no secret."""
    with pytest.raises(BadOptions) as caught:
        options = read_options({**LEAST, **changes})
        make_client(options, make_session(options), has_checksums=False)
    assert sentence in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "host"),
    [
        ({}, "images.s3.eu-west-1.amazonaws.com"),
        ({"bucket": "my.images"}, "s3.eu-west-1.amazonaws.com/my.images"),
        ({"region": "us-east-1"}, "images.s3.us-east-1.amazonaws.com"),
        ({"forcepathstyle": True}, "s3.eu-west-1.amazonaws.com/images"),
        ({"usedualstack": True}, "images.s3.dualstack.eu-west-1.amazonaws.com"),
        ({"region": "us-gov-west-1", "usefipsendpoint": True}, "s3-fips.us-gov-west-1"),
        ({"accelerate": True}, "images.s3-accelerate.amazonaws.com"),
        ({"region": "cn-north-1"}, "images.s3.cn-north-1.amazonaws.com.cn"),
        ({"regionendpoint": "minio:9000"}, "https://minio:9000/images"),
        ({"regionendpoint": "minio:9000", "secure": False}, "http://minio:9000/images"),
    ],
)
def test_requests_go_where_the_options_say(changes, host):
    """By what a signed URL has for its host."""
    options = read_options({**LEAST, "accesskey": "a", "secretkey": "b", **changes})
    client = make_client(options, make_session(options), has_checksums=False)
    url = client.generate_presigned_url("get_object", Params={"Bucket": options.bucket, "Key": "k"})
    client.close()
    assert host in url
    assert "X-Amz-Algorithm=AWS4-HMAC-SHA256" in url


def test_secrets_do_not_show():
    """Neither in what is printed of the options nor in a log of requests."""
    secrets = {"accesskey": "AKIAHIDDEN", "secretkey": "hunter2", "sessiontoken": "hunter3"}
    shown = repr(read_options({**LEAST, **secrets}))
    assert not any(secret in shown for secret in secrets.values())


def test_both_names_are_installed():
    assert installed_drivers()["s3"] == installed_drivers()["s3aws"] == "txregistry_drivers.s3"
    assert not {"s3", "s3aws"} & set(FOREIGN_DRIVERS)


def test_without_boto3_there_is_one_sentence(monkeypatch):
    """With the command that installs it."""
    monkeypatch.setattr(s3, "_IS_INSTALLED", False)
    with pytest.raises(BadOptions, match=r"needs boto3: pip install 'txregistry\[s3\]'"):
        create(LEAST)


@pytest.mark.parametrize("kind", ["moto", "swift"])
def test_redirects_are_signed_urls(request, kind, bucket):
    """Anybody may GET and HEAD by them; Swift checks the signature."""
    server = request.getfixturevalue(kind)
    store = create(server.options(bucket))
    store.put("/a/blob", b"content", if_absent=False, if_version=None)
    with urllib.request.urlopen(store.redirect_url("/a/blob", "GET", 60)) as answer:
        assert answer.read() == b"content"
    head = urllib.request.Request(store.redirect_url("/a/blob", "HEAD", 60), method="HEAD")
    with urllib.request.urlopen(head) as answer:
        assert answer.headers["Content-Length"] == "7"
    assert store.redirect_url("/a/blob", "PUT", 60) is None
    store.close()


def test_requests_are_logged_on_demand(moto, bucket, capfd):
    """One line for each, without headers."""
    store = create(moto.options(bucket, loglevel="debug"))
    store.put("/a", b"x", if_absent=False, if_version=None)
    store.close()
    said = capfd.readouterr().err
    assert "PutObject: status 200, request" in said
    assert "AWS4-HMAC" not in said
