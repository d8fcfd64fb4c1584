# The uWSGI peer's page: what examples/node-hello says of itself, in Python and with nothing beside it.
import json
import os
import platform
import time

began = time.monotonic()
requests = 0


def application(environ, start_response):
    global requests
    requests += 1
    facts = {"runtime": f"Python {platform.python_version()}", "uid": os.getuid(), "pid": os.getpid(),
             "uptime": f"{time.monotonic() - began:.1f} s", "requests": requests}
    rows = "".join(f"<dt>{key}</dt><dd>{json.dumps(value)}</dd>" for key, value in facts.items())
    page = f"<!doctype html>\n<html lang=\"en\">\n<title>Hello</title>\n<dl>{rows}</dl>\n".encode()
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(page)))])
    return [page]
