"""Packs the runtime of a release as what upgrades and rollbacks are tested with.

    python tests/upgrade/pack.py v1.2.0

Run it after each release and commit what it writes; older releases are not tested against: one upgrades to the next.
The same commit gives the same bytes.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
RELEASE = Path(__file__).with_name("release.tar.xz")
RELEASE_BYTES_MAX = 1_000_000  # it is kept in the repository
PACKAGE = "functions/workflow_runtime"
LEFT_OUT = (f"{PACKAGE}/frontends/", f"{PACKAGE}/drawing/")  # what no deployed function but the API imports


def pack(commit: str) -> bytes:
    tar = subprocess.run(["git", "archive", commit, PACKAGE], cwd=ROOT, capture_output=True, check=True).stdout
    packed = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(tar)) as source,
        tarfile.open(fileobj=packed, mode="w:xz", format=tarfile.USTAR_FORMAT, preset=9) as target,
    ):
        _add(target, "COMMIT", commit.encode())
        for member in sorted(source.getmembers(), key=lambda member: member.name):
            content = source.extractfile(member)
            if content is not None and not member.name.startswith(LEFT_OUT):
                _add(target, member.name.removeprefix("functions/"), content.read())
    return packed.getvalue()


def _add(target: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)  # of no time or owner, which would be others each time
    info.size = len(content)
    target.addfile(info, io.BytesIO(content))


def unpack(folder: Path) -> None:
    """The release, as a folder that Python can import from."""
    with tarfile.open(RELEASE) as source:
        source.extractall(folder, filter="data")


def main() -> None:
    (name,) = sys.argv[1:]
    commit = subprocess.check_output(["git", "rev-parse", f"{name}^{{commit}}"], cwd=ROOT, text=True).strip()
    data = pack(commit)
    if len(data) > RELEASE_BYTES_MAX:
        raise SystemExit(f"{len(data):,} bytes are more than {RELEASE_BYTES_MAX:,}")
    RELEASE.write_bytes(data)
    print(f"{RELEASE.relative_to(ROOT)}: {len(data):,} bytes of {commit}")


if __name__ == "__main__":
    main()
