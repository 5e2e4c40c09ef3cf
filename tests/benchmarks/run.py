"""All benchmarks, one command, one JSON document.

    python tests/benchmarks/run.py [--smoke] [NAME…]

Each is a module ``bench_<name>.py`` beside this file with a ``--json`` option, run in a process of its own. ``--smoke``
runs those that know it with small sizes, to see that they work; figures then mean nothing.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
SMOKE_SECONDS_MAX = 170


def names() -> list[str]:
    return [path.stem.removeprefix("bench_") for path in sorted(HERE.glob("bench_*.py"))]


def run(name: str, smoke: bool) -> Any:
    """The JSON document of one benchmark. Raises `CalledProcessError`."""
    path = HERE / f"bench_{name}.py"
    options = ["--smoke"] if smoke and "--smoke" in path.read_text(encoding="utf-8") else []
    done = subprocess.run(
        [sys.executable, str(path), "--json", *options],
        stdout=subprocess.PIPE,
        check=True,
        timeout=SMOKE_SECONDS_MAX if smoke else None,
    )
    return json.loads(done.stdout)


def machine() -> dict[str, Any]:
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which ones: {', '.join(names())} (default: all)")
    parser.add_argument("--smoke", action="store_true", help="small sizes")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(names())
    if unknown:
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    results = {name: run(name, arguments.smoke) for name in arguments.names or names()}
    print(json.dumps({"machine": machine(), "benchmarks": results}, indent=2, ensure_ascii=False))


if __name__ == "__main__":
    main()
