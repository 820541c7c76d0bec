"""Prints the events of a stream as JSON lines, over whatever ends it: requests
with sseclient-py, or, with iter_lines as second argument, alone."""

import json
import os
import sys
import time

import requests
from sseclient import SSEClient

headers = {"Authorization": "Bearer " + os.environ["TOKEN"]}


def by_sseclient(response):
    for event in SSEClient(response).events():
        yield event.id, event.data


def by_lines(response):
    last_id = None
    for line in response.iter_lines():
        name, _, value = line.decode().partition(": ")
        if name == "id":
            last_id = value
        elif name == "data":
            yield last_id, value
            last_id = None


events = by_lines if sys.argv[2:] == ["iter_lines"] else by_sseclient
while True:
    try:
        with requests.get(sys.argv[1], headers=headers, stream=True, timeout=30) as response:
            response.raise_for_status()
            for event_id, data in events(response):
                if event_id:
                    headers["Last-Event-ID"] = event_id
                print(json.dumps({"id": event_id, "data": data}), flush=True)
    except requests.RequestException as error:
        print(repr(error), file=sys.stderr)
    time.sleep(0.2)
