"""CloudEvents in and out, made and read by the cloudevents package.

cloud_events.py SAMPLES"""

import sys
from datetime import datetime

import requests
from cloudevents.conversion import to_binary, to_structured
from cloudevents.http import CloudEvent, from_http

from checks import IRIS, IRIS_NAMES, contains, equal, lacks

ASKED = {"type": "com.example.ask", "source": "/test", "id": "41"}
STRUCTURED = "application/cloudevents+json"


def main(samples):
    url = f"{samples}/v1/models/iris:predict"
    rows = {"instances": IRIS.tolist()}

    def post(headers, body, url=url):
        return requests.post(url, headers=headers, data=body, timeout=20)

    def event_of(what, answer):
        equal(f"{what}: status", answer.status_code, 200)
        event = from_http(answer.headers, answer.content)
        equal(f"{what}: data", event.data, {"predictions": IRIS_NAMES})
        equal(f"{what}: version", event["specversion"], "1.0")
        equal(f"{what}: type", event["type"], "io.kserve.inference.response")
        equal(f"{what}: source", event["source"], "io.kserve.inference.iris")
        equal(f"{what}: a new id", event["id"] not in ("", "41"), True)
        equal(f"{what}: time has a zone", datetime.fromisoformat(event["time"]).tzinfo is not None, True)
        return event

    # With datacontenttype and without; with an extension, which is the asker's own affair.
    for more in ({"datacontenttype": "application/json"}, {}, {"subject": "s", "mine": "1"}):
        what = f"binary {sorted(more)}"
        answer = post(*to_binary(CloudEvent({**ASKED, **more}, rows)))
        event_of(what, answer)
        contains(f"{what}: is binary", answer.headers, "ce-specversion")
        equal(f"{what}: content type", answer.headers["content-type"], "application/json")
        lacks(f"{what}: extensions stay", answer.headers, "ce-mine")

        what = f"structured {sorted(more)}"
        headers, body = to_structured(CloudEvent({**ASKED, **more}, rows))
        answer = post(headers, body)
        event_of(what, answer)
        equal(f"{what}: content type", answer.headers["content-type"], STRUCTURED)
        lacks(f"{what}: is structured", answer.headers, "ce-specversion")
        # As plain JSON the event is understood, and the answer is plain, as with KServe.
        answer = post({"content-type": "application/json"}, body)
        equal(f"{what}, as JSON", answer.json(), {"predictions": IRIS_NAMES})

    # Of two events no two answers have one id.
    ids = {post(*to_binary(CloudEvent(ASKED, rows))).headers["ce-id"] for _ in range(10)}
    equal("ids differ", len(ids), 10)

    # The data as bytes is base64 in a structured event.
    headers, body = to_structured(CloudEvent(ASKED, b'{"instances": [[6.8, 2.8, 4.8, 1.4]]}'))
    contains("data in base64", body.decode(), "data_base64")
    answer = post(headers, body)
    equal("data in base64: status", answer.status_code, 200)
    equal("data in base64", from_http(answer.headers, answer.content).data, {"predictions": IRIS_NAMES[:1]})

    # One header short of an event is no event.
    headers, body = to_binary(CloudEvent(ASKED, rows))
    del headers["ce-source"]
    answer = post(headers, body)
    equal("no source, no event", answer.json(), {"predictions": IRIS_NAMES})
    lacks("no source, no event: headers", answer.headers, "ce-specversion")

    headers, body = to_binary(CloudEvent(ASKED, rows))
    answer = post({**headers, "ce-specversion": "9.9"}, body)
    equal("unknown version: status", answer.status_code, 400)
    contains("unknown version: text", answer.json()["error"], "9.9")
    answer = post(*to_binary(CloudEvent(ASKED, {"instances": [[1, 2, 3]]})))
    equal("a mistake: status", answer.status_code, 400)
    equal("a mistake", answer.json(), {"error": "the input has 3 features a row, step `scale` has 4"})

    headers, body = to_binary(CloudEvent(ASKED, {"instances": IRIS[:1].tolist()}))
    answer = post(headers, body, f"{samples}/v1/models/iris:explain")
    event = from_http(answer.headers, answer.content)
    equal("explain", event.data["data"]["quality"]["exact"], True)
    equal("explain: source", event["source"], "io.kserve.inference.iris")


if __name__ == "__main__":
    main(*sys.argv[1:])
