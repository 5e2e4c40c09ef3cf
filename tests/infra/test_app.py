"""What `cdk synth` runs: the shipped app, as `cdk.json` calls it."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from tests.infra.deployed import ROOT

CLI_PACKAGE = re.compile(r"aws-cdk@([\d.]+)")


def test_the_app_writes_a_stack_of_the_name_that_is_asked_for(tmp_path: Path) -> None:
    program, *arguments = shlex.split(json.loads((ROOT / "cdk.json").read_text(encoding="utf-8"))["app"])
    assert program == ".venv/bin/python", "made by .ci/setup --infra"
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, "CDK_OUTDIR": str(tmp_path), "CDK_CONTEXT_JSON": json.dumps({"name": "Staging"})},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    template = json.loads((tmp_path / "Staging.template.json").read_text(encoding="utf-8"))
    assert template["Description"] == "Agent Workflow Runtime"
    assert any(output["Description"].startswith("Give it to awr") for output in template["Outputs"].values())


def test_the_documents_name_one_version_of_the_command_line() -> None:
    texts = [(ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "infra/README.md")]
    assert len({version for text in texts for version in CLI_PACKAGE.findall(text)}) == 1


def test_links_of_the_deployment_guide_lead_somewhere() -> None:
    guide = (ROOT / "infra" / "README.md").read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", guide)
    assert [target for target in targets if "://" not in target and not (ROOT / "infra" / target).exists()] == []
