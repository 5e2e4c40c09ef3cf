"""The code and the layers, as they are uploaded to Lambda, are importable with nothing else around."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests.e2e.deployment import STACK
from tests.e2e.emulator import PYTHON, archives_of, template_of, unpacked_layers

from workflow_runtime.deployment.topology import TOPOLOGY


def test_every_handler_and_the_agents_import_from_the_archives_alone(assembly: Path, tmp_path: Path) -> None:
    template, archives = template_of(assembly, STACK), archives_of(assembly, STACK)
    layers = [str(place / "python") for place in unpacked_layers(template, archives).values()]
    functions = (
        each["Properties"] for each in template["Resources"].values() if each["Type"] == "AWS::Lambda::Function"
    )
    (code,) = {function["Code"]["S3Key"] for function in functions}
    shutil.unpack_archive(archives[code], tmp_path)
    handlers = sorted({function.handler.rpartition(".")[0] for function in TOPOLOGY.functions})
    agents = ["workflow_runtime.invokers.agents.invoker", "pydantic_ai.models.bedrock", "pydantic_ai.models.openai"]
    modules = [*handlers, "workflow_runtime.backends.aws.backend", "workflow_runtime.frontends.api.application"]
    program = f"""if True:
        import importlib, sys
        sys.path += {[str(tmp_path), *layers]!r}
        for module in {[*modules, *agents, "pydantic_ai.models.anthropic"]!r}:
            importlib.import_module(module)
        places = [getattr(module, "__file__", None) or "" for module in sys.modules.values()]
        assert not [place for place in places if "site-packages" in place]
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    ran = subprocess.run(
        [PYTHON, "-I", "-S", "-c", program], capture_output=True, text=True, env=environment, check=False
    )
    assert ran.returncode == 0, ran.stderr
