"""mypy knows every type of CDK that the infrastructure uses: of the modules that it skips, nothing is in sight."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

from tests.architecture.sources import FUNCTIONS, imports

ROOT = FUNCTIONS.parent
CDK = "aws_cdk"
BASE = "aws_cdk._jsii"  # where each module has its decorators from
FOLLOWED_WHOLE = "aws_cdk.interfaces"  # small ones, which nearly all refer to
REFERENCE = re.compile(rb"\n    import (aws_cdk[\w.]*) as ")  # for annotations, below `TYPE_CHECKING`


def source(module: str) -> Path | None:
    """The file of a module of CDK, found without importing it, which would start Node; None if it is none."""
    spec = importlib.util.find_spec(CDK)
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent.joinpath(*module.split(".")[1:])
    return next((file for file in (folder / "__init__.py", folder.with_suffix(".py")) if file.is_file()), None)


def named() -> Iterator[str]:
    """The modules of CDK that `infra` imports."""
    for path in (ROOT / "infra").rglob("*.py"):
        yield from (name for _, name in imports(path) if name.split(".")[0] == CDK and source(name))


def referred_to(module: str) -> set[str]:
    """The modules of CDK whose types a module of CDK has in its annotations."""
    file = source(module)
    assert file is not None, module
    return {name.decode() for name in REFERENCE.findall(file.read_bytes())}


def needed() -> set[str]:
    """What `infra` names, and what that refers to, over any number of modules."""
    found: set[str] = set()
    todo = set(named())
    while todo:
        found |= todo
        todo = {other for module in todo for other in referred_to(module)} - found
    return found | {BASE}


def test_mypy_follows_every_module_of_cdk_that_is_in_sight_and_no_other() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    overrides = [each for each in settings["tool"]["mypy"]["overrides"] if each["module"][0].startswith(CDK)]
    assert [(each["module"], each["follow_imports"]) for each in overrides[:2]] == [
        ([f"{CDK}.*"], "skip"),
        ([f"{FOLLOWED_WHOLE}.*"], "normal"),
    ]
    (followed,) = overrides[2:]
    assert followed["follow_imports"] == "normal"
    assert followed["module"] == sorted(each for each in needed() if not each.startswith(f"{FOLLOWED_WHOLE}."))
