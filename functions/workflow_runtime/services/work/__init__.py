"""One attempt of one node: claim, read, run, record, report. Where nothing else has a say, the next one in place."""
