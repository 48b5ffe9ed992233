"""schemathesis against Weir's own description of itself: nothing it makes up may be answered by a 5xx, or not at all.

open_api.py SAMPLES"""

import pathlib
import subprocess
import sys
import tempfile

import requests

from checks import contains, equal, said, wrong

REPOSITORY = "^/v2/repository/models/.*/(load|unload)$"
#: The names a path is made of, where they are not made up: else nearly every request is for a model that is not there.
NAMES = """[parameters]
"path.model_name" = "iris"
"path.model_version" = "1"
"""


def run(what, samples, *args, config=""):
    """One run, the same every time."""
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, "schemathesis.toml").write_text(config)
        done = subprocess.run(
            [
                *(sys.executable, "-m", "schemathesis.cli", "--config-file", "schemathesis.toml"),
                *("run", f"{samples}/openapi.json", "--url", samples, "--seed", "1"),
                *("--generation-database", "none", "--request-timeout", "10", "--no-color", *args),
            ],
            # It leaves folders of its own where it runs.
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=100,
        )
    if done.returncode != 0:
        wrong(what, f"exit code {done.returncode}\n{done.stdout[-8000:]}{done.stderr[-2000:]}", "exit code 0")
    counts = [line.strip() for line in done.stdout.splitlines() if " generated" in line]
    equal(f"{what}: says how much it made up", len(counts), 1)
    said(f"{what}: {counts[0]}")


def main(samples):
    told = requests.get(f"{samples}/openapi.json", timeout=20)
    equal("content type", told.headers["content-type"], "application/json")
    described = told.json()
    contains("version of OpenAPI", described["openapi"], "3.")
    for path in (
        "/",
        "/v1/models",
        "/v1/models/{model_name}",
        "/v1/models/{model_name}:predict",
        "/v1/models/{model_name}:explain",
        "/v2",
        "/v2/health/live",
        "/v2/health/ready",
        "/v2/models/{model_name}",
        "/v2/models/{model_name}/ready",
        "/v2/models/{model_name}/infer",
        "/v2/repository/index",
    ):
        contains(f"describes {path}", described["paths"], path)
    docs = requests.get(f"{samples}/docs", timeout=20)
    equal("docs: status", docs.status_code, 200)
    contains("docs: are HTML", docs.headers["content-type"], "text/html")
    others = ("--exclude-path-regex", REPOSITORY)
    run("schemathesis", samples, "--max-examples", "40", *others, config=NAMES)
    run("schemathesis, made-up names", samples, "--max-examples", "15", *others)
    # Apart, since it takes models away.
    loads = ("--max-examples", "15", "--include-path-regex", REPOSITORY)
    run("schemathesis, load and unload", samples, *loads, config=NAMES)
    equal("it is alive after that", requests.get(samples, timeout=20).json(), {"status": "alive"})


if __name__ == "__main__":
    main(*sys.argv[1:])
