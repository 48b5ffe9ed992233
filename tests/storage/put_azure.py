"""Puts the files of a folder into a container: ENDPOINT KEY CONTAINER PREFIX FOLDER."""

import pathlib
import sys

from azure.storage.blob import BlobServiceClient

endpoint, key, container, prefix, folder = sys.argv[1:]
service = BlobServiceClient(endpoint, credential={"account_name": endpoint.rsplit("/", 1)[1], "account_key": key})
target = service.create_container(container)
root = pathlib.Path(folder)
for path in sorted(it for it in root.rglob("*") if it.is_file()):
    with path.open("rb") as file:
        target.upload_blob(f"{prefix}/{path.relative_to(root)}", file)
