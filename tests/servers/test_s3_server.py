"""The S3 server is strict where a real one is: a test that passes against it means something."""

import pytest
from botocore.exceptions import ClientError


def refused(call, **arguments):
    with pytest.raises(ClientError) as error:
        call(**arguments)
    return error.value.response["Error"]["Code"]


def test_an_object_comes_back(s3_server):
    client = s3_server.client()
    client.put_object(Bucket=s3_server.bucket, Key="fixture/a", Body=b"abc")
    assert client.get_object(Bucket=s3_server.bucket, Key="fixture/a")["Body"].read() == b"abc"


def test_a_wrong_secret_is_refused(s3_server):
    client = s3_server.client(aws_secret_access_key="wrong")
    assert refused(client.list_objects_v2, Bucket=s3_server.bucket) == "SignatureDoesNotMatch"


def test_an_unknown_key_is_refused(s3_server):
    client = s3_server.client(aws_access_key_id="nobody")
    assert refused(client.list_objects_v2, Bucket=s3_server.bucket) == "InvalidAccessKeyId"


def test_a_second_conditional_create_loses(s3_server):
    client = s3_server.client()
    put = {"Bucket": s3_server.bucket, "Key": "fixture/once", "IfNoneMatch": "*"}
    client.put_object(Body=b"first", **put)
    assert refused(client.put_object, Body=b"second", **put) == "PreconditionFailed"
    assert client.get_object(Bucket=s3_server.bucket, Key="fixture/once")["Body"].read() == b"first"


def test_writing_does_not_make_a_bucket(s3_server):
    client = s3_server.client()
    assert refused(client.put_object, Bucket="reelsift-absent", Key="a", Body=b"") == "NoSuchBucket"
