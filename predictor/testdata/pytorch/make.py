"""Makes archives as TorchServe's archiver does: a manifest, a model (here no real one), names of classes.

    python make.py
"""

import json
import pathlib
import zipfile

HERE = pathlib.Path(__file__).parent
MANIFEST = {"createdOn": "01/01/2026 00:00:00", "runtime": "python", "archiverVersion": "0.12.0",
            "model": {"modelName": "m", "modelVersion": "1.0", "serializedFile": "model.pt", "handler": "base_handler"}}

for name, method in (("packed", zipfile.ZIP_DEFLATED), ("stored", zipfile.ZIP_STORED)):
    with zipfile.ZipFile(HERE / (name + ".mar"), "w", method) as archive:
        for file, text in (("model.pt", "no model" * 20), ("index_to_name.json", json.dumps({"0": "cat", "1": ["n1", "dog"]})),
                           ("MAR-INF/MANIFEST.json", json.dumps(MANIFEST))):
            archive.writestr(zipfile.ZipInfo(file, (2026, 1, 1, 0, 0, 0)), text, method)
