"""`awr serve`: the whole runtime in one process, as the production server of one machine.

``server``    puts the parts together; ``options`` what it is told
``tokens``    the file of bearer tokens, of which only hashes are kept; ``scopes`` what each request needs
``health``    ``/health/live`` and ``/health/ready``
``json_log``  log lines for machines
``backups``   a consistent copy of the database while it is in use

Imports `server`, which runs it. `awr dev` is the same runtime for development: on loopback, without tokens.
"""
