"""Packs the runtime of a release as the wheel that upgrades and rollbacks are tested with.

    python tests/upgrade/pack.py v1.2.0

Run it after each release and commit what it writes; older releases are not tested against: one upgrades to the next.
The same commit gives the same bytes.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
WHEEL = Path(__file__).with_name("release-py3-none-any.whl")
WHEEL_BYTES_MAX = 1_000_000  # it is kept in the repository
PACKAGE = "functions/workflow_runtime"
LEFT_OUT = (f"{PACKAGE}/frontends/", f"{PACKAGE}/drawing/")  # what no deployed function but the API imports
EPOCH = (2026, 1, 1, 0, 0, 0)  # of all files in it: when it was packed is of no interest


def pack(commit: str) -> bytes:
    tar = subprocess.run(["git", "archive", commit, PACKAGE], cwd=ROOT, capture_output=True, check=True).stdout
    data = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(tar)) as source,
        zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as wheel,
    ):
        for member in sorted(source.getmembers(), key=lambda member: member.name):
            file = source.extractfile(member)
            if file is not None and not member.name.startswith(LEFT_OUT):
                info = zipfile.ZipInfo(member.name.removeprefix("functions/"), EPOCH)
                info.compress_type = zipfile.ZIP_DEFLATED
                wheel.writestr(info, file.read(), compresslevel=9)
        wheel.writestr(zipfile.ZipInfo("COMMIT", EPOCH), commit)
    return data.getvalue()


def main() -> None:
    (name,) = sys.argv[1:]
    commit = subprocess.check_output(["git", "rev-parse", f"{name}^{{commit}}"], cwd=ROOT, text=True).strip()
    data = pack(commit)
    if len(data) > WHEEL_BYTES_MAX:
        raise SystemExit(f"{len(data):,} bytes are more than {WHEEL_BYTES_MAX:,}")
    WHEEL.write_bytes(data)
    print(f"{WHEEL.relative_to(ROOT)}: {len(data):,} bytes of {commit}")


if __name__ == "__main__":
    main()
