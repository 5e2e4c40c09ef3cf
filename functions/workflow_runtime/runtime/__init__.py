"""Puts a runtime together: its `services` on a backend, on Lambda (`aws`), or in this process (`in_process`)."""
