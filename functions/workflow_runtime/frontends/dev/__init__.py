"""`awr dev`: the whole runtime in one process behind HTTP, for development and for a single machine.

``server``    opens everything, runs it, closes it; ``options`` what it is told
``gateway``   HTTP requests as API Gateway's events for the `api` handler, its answers back as responses (ASGI)
``bus``       a door to the embedded bus, which a deployed runtime's EventBridge bus has itself
``guard``     who may talk to it: loopback names and its own pages only
``reload``    publishes `definitions/` and watches it
``log``       what is written to stderr; ``recent`` keeps the last of it for `awr logs`

Imports `runtime` and the API's models; uvicorn only when serving.
"""
