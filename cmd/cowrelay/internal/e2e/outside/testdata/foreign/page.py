"""page.py LIBRARY URL: gets a page with requests or httpx as they ask by themselves, and
prints the coding that the header names, a line feed, and the page as they give it."""
import importlib
import os
import sys

library = importlib.import_module(sys.argv[1])
reply = library.get(sys.argv[2], headers={"Authorization": "Bearer " + os.environ["TOKEN"]})
sys.stdout.buffer.write(reply.headers.get("Content-Encoding", "").encode() + b"\n" + reply.content)
