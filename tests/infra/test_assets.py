"""What is uploaded to Lambda: complete, small and reproducible. `tests/e2e/test_imports.py` imports it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from infra.bundling import LAYERS, LOCKS, ROOT, BundleError, code_bundle, layer_bundle
from tests.infra.deployed import Deployed

from infra import bundling
from workflow_runtime.deployment.topology import TOPOLOGY
from workflow_runtime.errors import DefinitionError
from workflow_runtime.plan.catalogue import decode_catalogue
from workflow_runtime.runtime.packaged_catalogue import packaged_catalogue

UNZIPPED_BYTES_EXPECTED = {"core": 70_000_000, "agents": 105_000_000}  # with bytecode; growth is noticed
CODE_BYTES_EXPECTED = 12_000_000


def names(bundle: bundling.Bundle) -> list[str]:
    with zipfile.ZipFile(bundle.path) as archive:
        return archive.namelist()


def locked(lock: Path) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", lock.read_text(encoding="utf-8"), re.MULTILINE))


def test_every_package_has_a_wheel_for_lambda_and_all_fit_below_its_limit() -> None:
    bundles = {layer: layer_bundle(layer) for layer in LAYERS}
    for layer, expected in UNZIPPED_BYTES_EXPECTED.items():
        assert bundles[layer].unzipped_bytes < expected
    code = code_bundle()
    assert code.unzipped_bytes < CODE_BYTES_EXPECTED
    total = code.unzipped_bytes + sum(bundle.unzipped_bytes for bundle in bundles.values())
    assert total < bundling.UNZIPPED_BYTES_MAX * 3 / 4
    for bundle in bundles.values():
        libraries = [name for name in names(bundle) if name.endswith(".so")]
        assert not [name for name in libraries if "x86_64" in name or "cp311" in name]


def test_layers_hold_packages_and_nothing_of_this_machine() -> None:
    for layer in LAYERS:
        inside = names(layer_bundle(layer))
        assert all(name.startswith("python/") for name in inside)
        assert not [name for name in inside if name.endswith(("/RECORD", "/INSTALLER"))]
        assert not [name for name in inside if name.startswith("python/bin/")]


def test_no_package_is_in_both_layers_and_versions_are_those_that_are_tested() -> None:
    core, agents = (locked(LOCKS / f"{layer}.txt") for layer in LAYERS)
    assert not core.keys() & agents.keys()
    tested = locked(ROOT / "tests" / "requirements.txt")
    differing = {name: version for name, version in (core | agents).items() if tested.get(name, version) != version}
    assert differing == {}
    assert {"boto3", "msgspec", "pydantic"} <= core.keys()
    assert {"pydantic-ai-slim", "anthropic", "openai"} <= agents.keys()


@pytest.fixture
def two_packages(tmp_path: Path) -> Path:
    """A folder with the lock of a layer that holds few of the core's packages: one of Python, one compiled."""
    entries = re.split(r"^(?=[a-z0-9-]+==)", (LOCKS / "core.txt").read_text(encoding="utf-8"), flags=re.MULTILINE)
    few = [entry for entry in entries if entry.startswith(("jmespath==", "msgspec=="))]
    assert len(few) == 2
    (tmp_path / "few.txt").write_text("".join(few), encoding="utf-8")
    return tmp_path


def test_built_twice_an_archive_is_the_same_to_the_byte(two_packages: Path, tmp_path: Path) -> None:
    first, again = (layer_bundle("few", cache=tmp_path / cache, locks=two_packages) for cache in ("one", "other"))
    assert {name.split("/")[1] for name in names(first)} >= {"jmespath", "msgspec"}
    assert again.path != first.path
    assert again.digest == first.digest
    assert again.path.read_bytes() == first.path.read_bytes()


def test_times_and_modes_of_files_do_not_change_the_code(tmp_path: Path) -> None:
    copy = tmp_path / "functions"
    shutil.copytree(ROOT / "functions", copy)
    for path in copy.rglob("*.py"):
        os.utime(path, (1, 1))
        path.chmod(0o600)
    (copy / "workflow_runtime" / "handlers" / "__pycache__").mkdir(exist_ok=True)
    (copy / "workflow_runtime" / "handlers" / "__pycache__" / "api.cpython-399.pyc").write_bytes(b"")
    again = code_bundle(copy, cache=tmp_path)
    assert again.digest == code_bundle(cache=tmp_path / "other").digest


def test_code_is_compiled_before_if_there_is_a_python_of_its_version(tmp_path: Path) -> None:
    """Sources would be compiled anew in every cold start: nothing can be written there."""
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    functions = tmp_path / "functions"
    (functions / "mine").mkdir(parents=True)
    (functions / "mine" / "module.py").write_text("def answer() -> int:\n    return 42\n", encoding="utf-8")
    bundle = code_bundle(functions, python=here, cache=tmp_path)
    again = code_bundle(functions, python=here, cache=tmp_path / "other")
    assert bundle.path.read_bytes() == again.path.read_bytes()
    assert bundle.digest != code_bundle(functions, python="3.4", cache=tmp_path).digest
    with zipfile.ZipFile(bundle.path) as archive:
        archive.extractall(tmp_path / "task")
    module = tmp_path / "task" / "mine" / "module.py"
    module.write_text("that is not what was compiled", encoding="utf-8")
    command = [sys.executable, "-c", "import mine.module as module; print(module.__file__)"]
    ran = subprocess.run(command, cwd=tmp_path / "task", capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == str(module)


def test_the_code_is_what_topology_names_and_the_definitions_of_workers(tmp_path: Path) -> None:
    inside = set(names(code_bundle(cache=tmp_path)))
    modules = {function.handler.rpartition(".")[0].replace(".", "/") + ".py" for function in TOPOLOGY.functions}
    assert modules <= inside
    assert {"workflow_runtime/deployment/topology.py", "definitions/tools/orders.py"} <= inside
    assert {"definitions/tools/examples.yaml", "definitions/catalogue.json"} <= inside
    tops = {name.partition("/")[0] for name in inside}
    assert tops == {"workflow_runtime", "definitions"}
    assert not [name for name in inside if "mocks_for_tests" in name]


def test_the_code_has_a_catalogue_of_the_agents_and_tools_beside_it(tmp_path: Path) -> None:
    with zipfile.ZipFile(code_bundle(cache=tmp_path).path) as archive:
        data = archive.read("definitions/catalogue.json")
    catalogue = decode_catalogue(data)
    assert [each.name for each in catalogue.tools["refund_payment"].arguments] == ["order_id", "amount", "method"]
    assert catalogue.tools["refund_payment"].source == "tools/orders.py"
    assert {"echo", "exchange_rates"} <= catalogue.tools.keys()
    assert "intent_agent" in catalogue.agents
    assert str(ROOT).encode() not in data


TOOL = """
from workflow_runtime.sdk import tool

@tool
def answer() -> int:
    return 42
"""


@pytest.mark.parametrize("is_relative", [False, True])
def test_the_catalogue_is_the_same_however_its_folder_is_named(tmp_path: Path, is_relative: bool) -> None:
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "mine.py").write_text(TOOL, encoding="utf-8")
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "mine.yaml").write_text("id: mine\nmodel: test\ninstructions: i\n", encoding="utf-8")
    catalogue = decode_catalogue(packaged_catalogue(Path(os.path.relpath(tmp_path)) if is_relative else tmp_path))
    assert catalogue.tools["answer"].source == "tools/mine.py"
    assert catalogue.tools["echo"].source == "built-in"
    assert catalogue.agents["mine"].source == "agents/mine.yaml"


def test_tools_that_cannot_be_imported_are_not_deployed(tmp_path: Path) -> None:
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "broken.py").write_text("import no_such_module\n", encoding="utf-8")
    with pytest.raises(DefinitionError, match=r"broken\.py cannot be imported: ModuleNotFoundError"):
        code_bundle(definitions=tmp_path, cache=tmp_path)


def test_mocks_get_into_the_code_only_when_tests_ask_for_them(tmp_path: Path) -> None:
    mocks = tmp_path / "mine.yaml"
    mocks.write_text("default: {return: null}\n", encoding="utf-8")
    with_mocks, without = code_bundle(cache=tmp_path, mocks_for_tests=mocks), code_bundle(cache=tmp_path)
    assert set(names(with_mocks)) - set(names(without)) == {bundling.MOCKS_FILE}
    assert with_mocks.digest != without.digest


def test_the_shipped_stack_mocks_nothing(shipped: Deployed) -> None:
    assert "MOCKS_FILE_FOR_TESTS" not in shipped.text


def test_what_cannot_be_installed_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"core\.txt for arm64, Python 3\.4"):
        layer_bundle("core", python="3.4", cache=tmp_path)
    assert list(tmp_path.iterdir()) == []
