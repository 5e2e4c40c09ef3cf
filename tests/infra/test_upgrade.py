"""A stack deployed before the handlers moved into the package is updated in place: nothing of it is replaced.

The golden file holds the functions of such a stack as they were deployed, by logical id, and is never rewritten.
"""

from __future__ import annotations

import json

import pytest
from tests.infra.deployed import ROOT, Deployed, listed

BEFORE = json.loads((ROOT / "tests/golden/infra/functions_before_handlers_moved.json").read_text(encoding="utf-8"))
# CloudFormation's reference of AWS::Lambda::Function, "Update requires: Replacement".
REPLACING = {"FunctionName", "PackageType", "TenancyConfig"}


@pytest.mark.parametrize("id", BEFORE)
def test_a_deployed_function_gets_its_new_handler_in_place(shipped: Deployed, id: str) -> None:
    resource = shipped.template["Resources"][id]
    assert resource["Type"] == "AWS::Lambda::Function"
    assert resource["Properties"]["Handler"] == f"workflow_runtime.{BEFORE[id]['Handler']}"
    changed = set(resource["Properties"]) ^ set(BEFORE[id]["Properties"])
    assert not (set(resource["Properties"]) | changed) & REPLACING


def test_the_dispatcher_is_replaced_before_all_that_sends_to_it(shipped: Deployed) -> None:
    """What they say anew it knows then; it never waits for them."""
    resources = shipped.template["Resources"]
    dispatch, live = (shipped.paths[f"Functions/Dispatch{part}"] for part in ("", "Live"))
    for id, resource in resources.items():
        if resource["Type"] == "AWS::Lambda::Function":
            assert (live in listed(resource["DependsOn"])) is (id != dispatch)


def test_no_function_is_removed_and_what_was_added_since_is_known(shipped: Deployed) -> None:
    added = shipped.of_type("AWS::Lambda::Function").keys() - BEFORE.keys()
    assert shipped.of_type("AWS::Lambda::Function").keys() >= BEFORE.keys()
    assert {id.rstrip("0123456789ABCDEF") for id in added} == {"RuntimeFunctionsLimitPump"}
