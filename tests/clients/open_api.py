"""schemathesis against Weir's own description of itself: nothing it makes up may be answered by a 5xx, or not at all.

open_api.py SAMPLES"""

import pathlib
import subprocess
import sys
import tempfile

import requests

from checks import contains, equal, said, wrong

REPOSITORY = "^/v2/repository/models/.*/(load|unload)$"
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,"
    "response_headers_conformance,response_schema_conformance"
)
#: A caller that gives the server no time is answered 504, and rightly.
CONFIG = """[parameters]
"header.x-request-timeout-ms" = "9000"
"""


def run(what, samples, *args):
    """One run, the same every time."""
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, "schemathesis.toml").write_text(CONFIG)
        done = subprocess.run(
            [
                *(sys.executable, "-m", "schemathesis.cli", "--config-file", "schemathesis.toml"),
                *("run", f"{samples}/openapi.json", "--url", samples, "--seed", "1"),
                *("--generation-database", "none", "--request-timeout", "10", "--no-color"),
                *("--checks", CHECKS, *args),
            ],
            # It leaves folders of its own where it runs.
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=100,
        )
    if done.returncode != 0:
        wrong(what, f"exit code {done.returncode}\n{done.stdout[-8000:]}{done.stderr[-2000:]}", "exit code 0")
    counts = [line.strip() for line in done.stdout.splitlines() if " generated, " in line]
    equal(f"{what}: says how much it made up", len(counts), 1)
    said(f"{what}: {counts[0]}")


def main(samples):
    told = requests.get(f"{samples}/openapi.json", timeout=20)
    equal("content type", told.headers["content-type"], "application/json")
    described = told.json()
    contains("version of OpenAPI", described["openapi"], "3.")
    for model in ("iris", "penguins"):
        for path in (":predict", ":explain", ":classify", "", "/metadata", "/versions/{version}:predict"):
            contains(f"describes V1 {model}{path}", described["paths"], f"/v1/models/{model}{path}")
        for path in ("/infer", "/explain", "/ready", "", "/versions/{version}/infer"):
            contains(f"describes V2 {model}{path}", described["paths"], f"/v2/models/{model}{path}")
    for path in ("/", "/v1/models", "/v2", "/v2/health/live", "/v2/health/ready", "/v2/repository/index"):
        contains(f"describes {path}", described["paths"], path)
    docs = requests.get(f"{samples}/docs", timeout=20)
    equal("docs: status", docs.status_code, 200)
    contains("docs: are HTML", docs.headers["content-type"], "text/html")
    run("schemathesis", samples, "--max-examples", "25", "--exclude-path-regex", REPOSITORY)
    # Apart, since it takes models away.
    run("schemathesis, load and unload", samples, "--max-examples", "15", "--include-path-regex", REPOSITORY)
    equal("it is alive after that", requests.get(samples, timeout=20).json(), {"status": "alive"})


if __name__ == "__main__":
    main(*sys.argv[1:])
