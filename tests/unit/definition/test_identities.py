"""Two files never define the same workflow unnoticed."""

from __future__ import annotations

import unicodedata

from workflow_runtime.definition.identities import Identities, same_ids

CAFE = unicodedata.normalize("NFC", "café")
DECOMPOSED = unicodedata.normalize("NFD", "café")


def workflow(id: str, nodes: str = "[{id: a, type: tool, tool: echo}]") -> str:
    return f"workflow:\n  id: {id}\n  nodes: {nodes}\n"


def test_two_files_with_one_id_are_a_finding_that_names_both() -> None:
    [found] = same_ids([(workflow("w"), "a.yaml"), (workflow("v"), "b.yaml"), (workflow("w"), "c.yaml")])
    assert (found.id, found.severity, found.file, found.line, found.path) == ("WF223", "error", "c.yaml", 2, "id")
    assert found.message == "a.yaml defines the workflow `w`, too"


def test_ids_that_look_the_same_are_the_same() -> None:
    [found] = same_ids([(workflow(CAFE), "a.yaml"), (workflow(DECOMPOSED), "b.yaml")])
    assert found.file == "b.yaml"


def test_a_mistake_elsewhere_in_a_file_does_not_hide_its_id() -> None:
    assert same_ids([(workflow("w", "5"), "a.yaml"), (workflow("w"), "b.yaml")])


def test_files_that_do_not_say_their_ids_are_no_clash() -> None:
    assert not same_ids([("workflow: [", "a.yaml"), ("workflow: {}", "b.yaml"), (workflow("5"), "c.yaml"), ("", "d")])


def test_a_file_that_is_gone_or_renamed_frees_its_id() -> None:
    identities = Identities()
    assert identities.take(workflow("w"), "a.yaml") is None
    assert identities.take(workflow("w"), "a.yaml") is None
    assert identities.take(workflow("w"), "b.yaml") is not None
    assert identities.take(workflow("v"), "a.yaml") is None
    assert identities.take(workflow("w"), "b.yaml") is None
    identities.drop("b.yaml")
    assert identities.take(workflow("w"), "c.yaml") is None
