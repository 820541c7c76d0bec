"""Prints the events of a stream as JSON lines, over whatever ends it: the
resume loop that httpx-sse documents."""

import json
import os
import sys
import time

import httpx
from httpx_sse import connect_sse

last_id = ""
delay = 0.2
headers = {"Authorization": "Bearer " + os.environ["TOKEN"]}

with httpx.Client(timeout=30) as client:
    while True:
        if last_id:
            headers["Last-Event-ID"] = last_id
        try:
            with connect_sse(client, "GET", sys.argv[1], headers=headers) as source:
                source.response.raise_for_status()
                for event in source.iter_sse():
                    last_id = event.id
                    if event.retry is not None:
                        delay = event.retry / 1000
                    print(json.dumps({"id": event.id, "data": event.data}), flush=True)
        except httpx.HTTPError as error:
            print(repr(error), file=sys.stderr)
        time.sleep(delay)
