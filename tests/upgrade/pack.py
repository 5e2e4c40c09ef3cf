"""Packs the runtime of a release as what upgrades and rollbacks are tested with.

    python tests/upgrade/pack.py v1.2.0

Run it after each release and commit what it writes; older releases are not tested against: one upgrades to the next.
The same commit gives the same bytes. It is named like a wheel, as it holds a package, but has the files in one archive
inside the other, so that they are compressed together, in half the space.
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
FILES = "release.tar"
PACKAGE = "functions/workflow_runtime"
LEFT_OUT = (f"{PACKAGE}/frontends/", f"{PACKAGE}/drawing/")  # what no deployed function but the API imports
EPOCH = (2026, 1, 1, 0, 0, 0)  # of all files in it: when it was packed is of no interest


def pack(commit: str) -> bytes:
    tar = subprocess.run(["git", "archive", commit, PACKAGE], cwd=ROOT, capture_output=True, check=True).stdout
    files, wheel = io.BytesIO(), io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(tar)) as source,
        tarfile.open(fileobj=files, mode="w", format=tarfile.USTAR_FORMAT) as target,
    ):
        for member in sorted(source.getmembers(), key=lambda member: member.name):
            content = source.extractfile(member)
            if content is not None and not member.name.startswith(LEFT_OUT):
                info = tarfile.TarInfo(member.name.removeprefix("functions/"))
                info.size = member.size
                target.addfile(info, content)
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_LZMA) as archive:
        info_of_all = zipfile.ZipInfo(FILES, EPOCH)
        info_of_all.compress_type = zipfile.ZIP_LZMA
        archive.writestr(info_of_all, files.getvalue())
        archive.writestr(zipfile.ZipInfo("COMMIT", EPOCH), commit)
    return wheel.getvalue()


def unpack(folder: Path) -> None:
    """The release, as a folder that Python can import from."""
    with (
        zipfile.ZipFile(WHEEL) as archive,
        archive.open(FILES) as files,
        tarfile.open(fileobj=files, mode="r|") as source,
    ):
        source.extractall(folder, filter="data")


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
