"""Puts a runtime together.

`services` is the composition root: one backend's ports, and all services on them. `aws` makes one from a deployed
function's environment; `in_process` has a whole one in this process, with backend, pump and handlers, which
`observation` lets others look into.
"""
