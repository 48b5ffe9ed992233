"""Fetches a prefix of a bucket by boto3's transfer manager, or by KServe's storage initializer: KIND ENDPOINT BUCKET PREFIX FOLDER.

Prints the seconds that it took, without those of starting Python.
"""

import concurrent.futures
import os
import pathlib
import sys
import time

kind, endpoint, bucket, prefix, folder = sys.argv[1:]
os.environ.update(
    AWS_ENDPOINT_URL=endpoint,
    AWS_ACCESS_KEY_ID="test",
    AWS_SECRET_ACCESS_KEY="test",
    AWS_DEFAULT_REGION="us-east-1",
)

if kind == "boto3":
    import boto3
    from boto3.s3.transfer import create_transfer_manager, TransferConfig
    from botocore.config import Config

    start = time.perf_counter()
    # As many connections as Weir has.
    s3 = boto3.client("s3", config=Config(max_pool_connections=16))
    manager = create_transfer_manager(s3, TransferConfig(max_concurrency=16))
    with manager:
        futures = []
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for it in page["Contents"]:
                target = pathlib.Path(folder, it["Key"].removeprefix(prefix).lstrip("/"))
                target.parent.mkdir(parents=True, exist_ok=True)
                futures.append(manager.download(bucket, it["Key"], str(target)))
        for it in futures:
            it.result()
else:
    from kserve_storage import Storage

    start = time.perf_counter()
    Storage.download(f"s3://{bucket}/{prefix}", folder)

print(time.perf_counter() - start)
