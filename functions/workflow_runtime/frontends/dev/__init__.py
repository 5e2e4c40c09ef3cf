"""`awr dev`: the whole runtime in one process behind HTTP, for development and for a single machine.

``server``    opens everything, runs it, closes it; ``options`` what it is told
``gateway``   HTTP requests as API Gateway's events for the `api` handler, its answers back as responses (ASGI)
``doors``     paths besides the API's: onto the embedded bus (EventBridge has its own way in), and to recent log lines
``reload``    publishes `definitions/` and watches it
``log``       what is written to stderr, and kept for `awr logs`

Imports `runtime` and the API's models; uvicorn only when serving.
"""
