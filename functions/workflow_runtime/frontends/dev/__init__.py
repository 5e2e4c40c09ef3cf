"""`awr dev`: the whole runtime in one process behind HTTP, for development.

``server``    puts the parts together; ``options`` what it is told
``doors``     paths besides the API's: onto the embedded bus (EventBridge has its own way in), and to recent log lines
``recent``    the last log lines, for `awr logs`

Imports `server`, which runs it, and the API's models.
"""
