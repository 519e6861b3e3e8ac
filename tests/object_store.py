"""An S3 server on loopback, with its settings in the environment, for the time of a block."""

import contextlib
import os
from collections.abc import Iterator
from urllib.request import Request, urlopen

import boto3
from moto.server import ThreadedMotoServer

BUCKET = "lake"
REGION = "eu-west-1"


@contextlib.contextmanager
def object_store() -> Iterator[str]:
    """The server's URL; BUCKET is there and empty."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    named = {"AWS_ENDPOINT_URL": url, "AWS_REGION": REGION, "AWS_ACCESS_KEY_ID": "test",
             "AWS_SECRET_ACCESS_KEY": "test", "AWS_EC2_METADATA_DISABLED": "true"}  # fmt: skip
    before = {name: os.environ.get(name) for name in named}
    os.environ.update(named)
    try:
        urlopen(Request(f"{url}/moto-api/reset", method="POST"))  # servers of a process share it
        place = {"LocationConstraint": REGION}
        boto3.client("s3", region_name=REGION).create_bucket(
            Bucket=BUCKET, CreateBucketConfiguration=place
        )
        yield url
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value
        server.stop()
