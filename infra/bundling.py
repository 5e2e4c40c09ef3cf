"""What is uploaded to Lambda, built without Docker: deterministic archives, kept by the hash of what they are made of.

- code: `functions/`, verbatim, and beside it the agents and tools in `definitions/` that workers load, with a
  catalogue of them: publishing to a deployment checks names as `awr validate` does, and imports none of them.
- core layer: the packages that every function needs. agents layer: those that only run agents (`layers/*.txt`, written
  by `.ci/lock`; the second holds only what the first does not). uv or pip installs the wheels of Lambda's platform,
  whatever this machine is.

boto3 comes from the core layer, not from Lambda: what runs is what was tested, on every day and in every region. It
costs 10 MB of the archive and no import time, since `/opt/python` comes before Lambda's own copy.
Archives hold bytecode if this machine has a Python of Lambda's version: where nothing can be written, a cold start
would otherwise compile every module. `python -m infra.bundling` builds all, and prints their sizes.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from workflow_runtime.invokers.mocks import Mocks
from workflow_runtime.plan.catalogue import FILE_NAME
from workflow_runtime.runtime.packaged_catalogue import packaged_catalogue

ROOT = Path(__file__).parents[1]
LOCKS = Path(__file__).parent / "layers"
CACHE = ROOT / "cdk.out" / "bundles"

PYTHON = "3.13"  # the Lambda runtime's
LAYERS = ("core", "agents")
ARCHITECTURES = {"arm64": "aarch64", "x86_64": "x86_64"}  # Lambda's names, and those of wheels
GLIBC_MINORS = (34, 28, 17)  # of Amazon Linux 2023, and older ones that wheels are usually made for
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")
UNZIPPED_BYTES_MAX = 250 * 1024 * 1024  # Lambda: a function with its layers
WORKER_DEFINITIONS = ("agents", "mcp", "tools")  # what workers load; workflows are published to the table
DEFINITIONS_DIRECTORY = "definitions"  # in the code; Lambda's working directory holds the code
MOCKS_FILE = "definitions/mocks_for_tests.yaml"

_LEFT_OUT_FILES = frozenset({"RECORD", "INSTALLER", "REQUESTED", ".lock"})  # notes on this machine's installation
_LEFT_OUT_SUFFIXES = frozenset({".pyc", ".pyi"})
_FORMAT = "2"  # of archives: to be changed with what this module puts into them
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip file knows


@dataclass(frozen=True, slots=True)
class Bundle:
    """An archive. ``digest`` is a hash of the names and contents in it; ``unzipped_bytes`` is their size."""

    path: Path
    digest: str
    unzipped_bytes: int


@dataclass(frozen=True, slots=True)
class Compiler:
    """A Python of this machine that makes bytecode for Lambda's. ``version``: what the bytecode depends on."""

    executable: str
    version: str

    @classmethod
    def found(cls, python: str) -> Compiler | None:
        """This very Python if it is of that version (``3.13``), or ``python3.13`` if there is one that runs."""
        for candidate in (sys.executable, shutil.which(f"python{python}")):
            if candidate is not None:
                asked = [candidate, "-c", "import platform; print(platform.python_version())"]
                version = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
                if version.startswith(f"{python}."):
                    return cls(candidate, version)
        return None

    def bytecode(self, contents: Mapping[str, bytes]) -> dict[str, bytes]:
        """Of all modules in an archive. It is not compared with the sources when they are imported, as nobody changes
        them there. A module that does not compile has none, and fails when it is imported, with its own message."""
        with tempfile.TemporaryDirectory() as directory:
            root = Path(directory)
            for name, data in contents.items():
                if name.endswith(".py"):
                    (root / name).parent.mkdir(parents=True, exist_ok=True)
                    (root / name).write_bytes(data)
            command = [self.executable, "-I", "-m", "compileall", "-qq", "--invalidation-mode", "unchecked-hash"]
            subprocess.run([*command, "-s", directory, directory], check=False)
            return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*.pyc")}


class BundleError(Exception):
    """A layer's packages could not be installed."""


def code_bundle(
    functions: Path = ROOT / "functions",
    definitions: Path = ROOT / "definitions",
    cache: Path = CACHE,
    *,
    python: str = PYTHON,
    mocks_for_tests: Path | None = None,
) -> Bundle:
    """``functions`` as it is (without the lock file, which is for machines that run `awr`), and ``definitions``' agents
    and tools with their catalogue. ``mocks_for_tests`` becomes `MOCKS_FILE`, which is nowhere else.

    The tools are imported for that. Raises `DefinitionError` for agents and tools that cannot be used.
    """
    files: list[tuple[str, Path | bytes]] = list(_files(functions, without="requirements.txt"))
    for kind in WORKER_DEFINITIONS:
        files += _below(f"{DEFINITIONS_DIRECTORY}/{kind}", definitions / kind)
    mocks = Mocks.load(mocks_for_tests) if mocks_for_tests is not None else None
    files.append((f"{DEFINITIONS_DIRECTORY}/{FILE_NAME}", packaged_catalogue(definitions, mocks)))
    if mocks_for_tests is not None:
        files.append((MOCKS_FILE, mocks_for_tests))
    return _archive("code", files, cache, Compiler.found(python))


def layer_bundle(
    layer: str, architecture: str = "arm64", python: str = PYTHON, cache: Path = CACHE, locks: Path = LOCKS
) -> Bundle:
    """The packages in ``locks/<layer>.txt``. Raises `BundleError` with what pip says if one cannot be had."""
    lock = locks / f"{layer}.txt"
    compiler = Compiler.found(python)
    compiled = compiler.version if compiler is not None else ""
    made_from = "\0".join((_FORMAT, architecture, python, compiled, lock.read_text(encoding="utf-8")))
    key = hashlib.sha256(made_from.encode()).hexdigest()[:16]
    kept = cache / f"{layer}-{architecture}-{python}-{key}"
    if not kept.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            packages = Path(scratch) / "packages"
            _install(lock, architecture, python, packages)
            made = _archive(layer, _below("python", packages), Path(scratch) / "made", compiler)
            (made.path.parent / "digest").write_text(f"{made.digest} {made.unzipped_bytes}", encoding="ascii")
            _keep(made.path.parent, kept)
    digest, size = (kept / "digest").read_text(encoding="ascii").split()
    return Bundle(kept / f"{layer}-{digest[:16]}.zip", digest, int(size))


def _keep(made: Path, kept: Path) -> None:
    """Move a finished directory to its place; the first one wins."""
    try:
        made.rename(kept)
    except OSError:
        if not kept.is_dir():
            raise


def _install(lock: Path, architecture: str, python: str, target: Path) -> None:
    """By uv if `.ci/setup` installed it beside this Python: it takes a tenth of pip's time. Else, or if uv finds no way
    to the packages (it knows pip's index, but not all of pip's settings), by pip: what is in the archive is the same.
    """
    machine = ARCHITECTURES[architecture]
    needed = [f"--requirement={lock}", "--quiet", "--no-deps", "--require-hashes", "--only-binary=:all:"]
    needed += [f"--python-version={python}", f"--target={target}"]
    uv = Path(sys.executable).with_name("uv")
    if uv.is_file():
        platform = f"--python-platform={machine}-manylinux_2_{GLIBC_MINORS[0]}"
        command = [str(uv), "pip", "install", f"--python={sys.executable}", platform, *needed]
        if subprocess.run(command, capture_output=True, env=_environment_of_uv(), check=False).returncode == 0:
            return
        shutil.rmtree(target, ignore_errors=True)
    platforms = [f"--platform=manylinux_2_{minor}_{machine}" for minor in GLIBC_MINORS]
    command = [*PIP, "install", "--no-compile", "--implementation=cp", *platforms]
    command += [f"--platform=manylinux2014_{machine}", *needed]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BundleError(f"{lock.name} for {architecture}, Python {python}:\n{done.stderr.strip()}")


def _environment_of_uv() -> dict[str, str]:
    """Ours, with the index that pip uses unless uv has one of its own."""
    index = os.environ.get("PIP_INDEX_URL") or _configured_index()
    return {"UV_DEFAULT_INDEX": index, **os.environ} if index else dict(os.environ)


@cache
def _configured_index() -> str:
    """The index in pip's settings; "" if there is none."""
    asked = subprocess.run([*PIP, "config", "get", "global.index-url"], capture_output=True, text=True, check=False)
    return asked.stdout.strip()


def _below(folder: str, directory: Path) -> Iterator[tuple[str, Path]]:
    """The files of ``directory``, in ``folder``; scripts for a shell have no use on Lambda."""
    return ((f"{folder}/{name}", path) for name, path in _files(directory, without="bin"))


def _files(directory: Path, without: str) -> Iterator[tuple[str, Path]]:
    """Names relative to ``directory``, and paths, of what belongs into an archive; ``without`` one entry at the top."""
    for path in directory.rglob("*"):
        parts = path.relative_to(directory).parts
        left_out = (
            not path.is_file()
            or parts[0] == without
            or "__pycache__" in parts
            or path.name in _LEFT_OUT_FILES
            or path.suffix in _LEFT_OUT_SUFFIXES
        )
        if not left_out:
            yield "/".join(parts), path


def _archive(
    name: str, files: Iterable[tuple[str, Path | bytes]], directory: Path, compiler: Compiler | None
) -> Bundle:
    """A zip file that depends on names, contents and the compiler alone; one that exists already is taken as it is."""
    contents = {inside: _bytes(content) for inside, content in files}
    digest = hashlib.sha256(f"{_FORMAT} {compiler.version if compiler is not None else ''}".encode())
    for inside, data in sorted(contents.items()):
        digest.update(f"{inside}\0{len(data)}\0".encode())
        digest.update(data)
    target = directory / f"{name}-{digest.hexdigest()[:16]}.zip"
    if not target.is_file():
        if compiler is not None:
            contents |= compiler.bytecode(contents)
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=directory) as scratch:
            unfinished = Path(scratch) / target.name
            with zipfile.ZipFile(unfinished, "w") as archive:
                for inside, data in sorted(contents.items()):
                    archive.writestr(_entry(inside), data)
            unfinished.rename(target)
    with zipfile.ZipFile(target) as archive:
        size = sum(entry.file_size for entry in archive.infolist())
    return Bundle(target, digest.hexdigest(), size)


def _bytes(content: Path | bytes) -> bytes:
    return content.read_bytes() if isinstance(content, Path) else content


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = (0o755 if ".so" in name.rpartition("/")[2] else 0o644) << 16
    entry.create_system = 3  # Unix, on whatever machine it is made
    return entry


def main() -> None:
    parser = argparse.ArgumentParser(description="Build everything that is uploaded to Lambda.")
    parser.add_argument("--architecture", choices=sorted(ARCHITECTURES), default="arm64")
    parser.add_argument("--python", default=PYTHON)
    options = parser.parse_args()
    bundles = [code_bundle(python=options.python)]
    bundles += [layer_bundle(layer, options.architecture, options.python) for layer in LAYERS]
    for bundle in bundles:
        zipped = bundle.path.stat().st_size
        print(f"{bundle.unzipped_bytes / 1e6:7.1f} MB, {zipped / 1e6:5.1f} MB zipped: {bundle.path.relative_to(ROOT)}")
    total = sum(bundle.unzipped_bytes for bundle in bundles)
    print(f"{total / 1e6:7.1f} MB at most in one function; Lambda takes {UNZIPPED_BYTES_MAX / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
