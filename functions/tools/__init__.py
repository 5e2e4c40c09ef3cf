"""Tools that workflow authors add: every module here is searched for functions marked with ``@tool``.

They import ``workflow_runtime.sdk`` and nothing else of the runtime.
"""
