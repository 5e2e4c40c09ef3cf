"""What `bundling` builds, as CDK's assets: one code asset, and the layers that a function needs of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from aws_cdk import AssetHashType
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.bundling import PYTHON, ROOT, Bundle, code_bundle, layer_bundle

RUNTIME = lambda_.Runtime.PYTHON_3_13  # `bundling.PYTHON`


@dataclass(frozen=True, slots=True)
class Layers:
    """``core``: for every function. ``agents``: besides, for the pools that run agents."""

    core: lambda_.LayerVersion
    agents: lambda_.LayerVersion


def function_code(
    *, definitions: Path = ROOT / "definitions", python: str = PYTHON, mocks_for_tests: Path | None = None
) -> lambda_.AssetCode:
    """The code of all functions, with ``definitions``' agents and tools, and bytecode for ``python``.

    ``mocks_for_tests`` takes the place of agents and tools in functions whose variable ``MOCKS_FILE_FOR_TESTS`` names
    `bundling.MOCKS_FILE`; code deployed without it has no such file.
    """
    return _code(code_bundle(definitions=definitions, python=python, mocks_for_tests=mocks_for_tests))


def layers(
    scope: Construct,
    *,
    architecture: lambda_.Architecture = lambda_.Architecture.ARM_64,
    python: str = PYTHON,
) -> Layers:
    """The layers, built from the lock files now unless they were before (the first time takes about 20 s).

    ``python`` is what wheels and bytecode are for, if it is not Lambda's: an emulator runs functions with this
    machine's Python.
    """

    def layer(id: str, bundle: Bundle, description: str) -> lambda_.LayerVersion:
        return lambda_.LayerVersion(
            scope,
            id,
            code=_code(bundle),
            description=description,
            compatible_architectures=[architecture],
            compatible_runtimes=[RUNTIME],
        )

    name = architecture.name
    return Layers(
        core=layer("CoreLayer", layer_bundle("core", name, python), "Packages of every function"),
        agents=layer("AgentsLayer", layer_bundle("agents", name, python), "Packages that run agents"),
    )


def _code(bundle: Bundle) -> lambda_.AssetCode:
    """The hash is of what is inside: the same wherever it was compressed."""
    return lambda_.Code.from_asset(str(bundle.path), asset_hash_type=AssetHashType.CUSTOM, asset_hash=bundle.digest)
