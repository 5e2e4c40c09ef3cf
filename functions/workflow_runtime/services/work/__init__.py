"""One attempt of one node: claim, read, run, record, report."""
