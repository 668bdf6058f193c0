# SPDX-License-Identifier: Apache-2.0
"""Servers that speak S3, as processes: moto, which is fast, and OpenStack Swift, which is honest (it
checks signatures).
"""

from __future__ import annotations

import os
import sys

import boto3
from botocore.config import Config

from ..functional.servers import Server


class Moto(Server):
    """moto: knows all of S3's conditions; checks no signature; keeps everything in memory."""

    check = "/moto-api/data.json"
    accesskey, secretkey = "testing", "testing"

    def __init__(self, directory):
        super().__init__(directory, [sys.executable])
        self.command += ["-m", "tests.s3.moto_server", "-H", "127.0.0.1", "-p", str(self.port)]

    def options(self, bucket, **more):
        """Of a driver; the bucket is there."""
        options = {
            "bucket": bucket,
            "regionendpoint": self.url,
            "accesskey": self.accesskey,
            "secretkey": self.secretkey,
            **more,
        }
        client = self.client()
        if bucket not in [one["Name"] for one in client.list_buckets()["Buckets"]]:
            client.create_bucket(Bucket=bucket)
        return options

    def client(self):
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            aws_access_key_id=self.accesskey,
            aws_secret_access_key=self.secretkey,
            region_name="us-east-1",
            config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
        )


class Swift(Moto):
    """OpenStack Swift with its S3 interface."""

    check = "/info"
    accesskey, secretkey = "test:tester", "testing"

    def __init__(self, directory):
        super().__init__(directory)
        place = os.fspath(directory / "swift")
        self.command = [sys.executable, "-W", "ignore", "-m", "tests.s3.swift_server"]
        self.command += [place, str(self.port)]
