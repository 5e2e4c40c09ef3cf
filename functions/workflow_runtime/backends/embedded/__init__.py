"""The embedded backend: the ports on one SQLite database, in a file or in memory, with a real or a virtual clock.

Lives here: the database file and its lock, one module per port, the clocks, the pump and `backend.open_backend`, which
puts the ports together. It may import ports, deployment, language and errors; it must never know boto3 or `aws`. It
obeys the rules of the AWS services on purpose: what works here works deployed. Not rebuilt:
messages do not expire with their retention period, and FIFO deduplication forgets deleted messages when the database is
opened again. Delays are kept to the millisecond, where SQS rounds up to seconds.
"""
