"""Models make their validators when they first validate, in whatever thread."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

FUNCTIONS = Path(__file__).parents[2] / "functions"
PROGRAM = """
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from workflow_runtime.compiler import compile_workflow

SOURCE = '''
workflow:
  id: w
  nodes:
    - {id: a, type: tool, tool: echo, inputs: {x: 1}, retry_policy: {max_retries: 2}}
    - {id: b, type: control, subtype: fail, when: "false", dependencies: [a]}
    - {id: c, type: control, subtype: pass, dependencies: [b]}
'''
together = Barrier(8)

def compiled(_):
    together.wait()
    return compile_workflow(SOURCE.encode())

with ThreadPoolExecutor(8) as threads:
    results = list(threads.map(compiled, range(8)))
assert results[0].plan is not None, results[0].findings
assert all(repr(result) == repr(results[0]) for result in results)
"""


def test_threads_that_read_the_first_definitions_together_read_the_same() -> None:
    environment = {**os.environ, "PYTHONPATH": str(FUNCTIONS)}
    for _ in range(2):
        ran = subprocess.run(
            [sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=environment, check=False
        )
        assert ran.returncode == 0, ran.stderr
