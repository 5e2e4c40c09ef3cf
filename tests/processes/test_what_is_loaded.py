"""What a process that starts anew loads, and what it makes of hashes that are others than those of the last one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from workflow_runtime.compiler import compile_or_raise

ROOT = Path(__file__).parents[2]
FUNCTIONS = ROOT / "functions"
GOLDEN = ROOT / "tests" / "golden"


def test_the_plan_does_not_depend_on_the_process() -> None:
    """Python's hashes of strings differ from process to process; nothing may follow their order."""
    path = GOLDEN / "names.yaml"
    code = f"import sys; sys.path[:0] = {sys.path!r}; from workflow_runtime.compiler import compile_or_raise as c; "
    code += f"print(c(open({str(path)!r}, encoding='utf-8').read()).hash)"
    seed = "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"
    other = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
        check=True,
    )
    assert other.stdout.strip() == compile_or_raise(path.read_text("utf-8")).hash


def test_loading_agents_does_not_import_pydantic_ai() -> None:
    code = (
        "import sys; from workflow_runtime.invokers import agents, tools, mocks; "
        "print([n for n in ('pydantic_ai', 'boto3', 'httpx') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=FUNCTIONS)
    assert done.stdout.strip() == "[]"
