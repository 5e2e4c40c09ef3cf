"""The ports on SQLite (`embedded`), on AWS (`aws`), and on simulated AWS (`simulated_aws`), within the same `limits`.

Adapters import ports, deployment, language and errors, and never each other.
"""
