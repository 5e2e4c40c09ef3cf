"""The HTTP server of one machine: what `awr dev` and `awr serve` share.

``gateway``    HTTP requests as API Gateway's events for the `api` handler, its answers back as responses (ASGI)
``admission``  who may make a request: the door of `awr dev`, which is loopback, and what doors answer
``running``    opens the socket, runs HTTP server and runtime in one event loop, ends both in order
``reload``     publishes a definitions directory, and takes up what changes in it
``log``        what is written to stderr: requests, executions, node runs

Imports `runtime` and `deployment`; uvicorn only when serving. It must never know `dev` or `serve`.
"""
