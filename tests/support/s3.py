"""A server that speaks S3."""

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.session import Session
from moto.server import ThreadedMotoServer


@contextmanager
def serving() -> Iterator[str]:
    """Its URL while it runs, with the bucket `objects` in it."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    url = "http://{}:{}".format(*server.get_host_and_port())
    client = Session().create_client(
        "s3", region_name="us-east-1", endpoint_url=url, aws_access_key_id="key", aws_secret_access_key="secret"
    )
    client.create_bucket(Bucket="objects")
    client.close()
    yield url
    server.stop()
