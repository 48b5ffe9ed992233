"""Puts the files of a folder into a bucket: ENDPOINT BUCKET PREFIX FOLDER."""

import pathlib
import sys

import boto3

endpoint, bucket, prefix, folder = sys.argv[1:]
s3 = boto3.client(
    "s3", endpoint_url=endpoint, aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1"
)
s3.create_bucket(Bucket=bucket, ACL="public-read")
root = pathlib.Path(folder)
for path in sorted(it for it in root.rglob("*") if it.is_file()):
    s3.upload_file(str(path), bucket, f"{prefix}/{path.relative_to(root)}", ExtraArgs={"ACL": "public-read"})
