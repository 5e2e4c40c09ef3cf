"""Characters that look like others are named with code point and place; names that look the same are the same."""

from __future__ import annotations

import pytest

from workflow_runtime.compiler import compile_workflow

GRAPH = "workflow:\n  id: w\n  nodes:\n    - {id: a, type: tool, tool: t}\n"


def findings(text: str) -> str:
    return "\n".join(map(str, compile_workflow(text, file="w.yaml").findings))


@pytest.mark.parametrize(
    ("text", "character", "place"),
    [
        ("workflow：\n  id: w\n", "`：` (U+FF1A)", "line 1, column 9"),
        ("workflow：\n", "`：` (U+FF1A)", "Character 9"),
        ("workflow:\n  id： w\n", "`：` (U+FF1A)", "Character 3"),
        ("workflow:\n\u00a0\u00a0id: w\n", "U+00A0 (no-break space)", "Character 1"),
        ("workflow:\n  id: “w”\n", "`“` (U+201C)", "Character 1"),
        (GRAPH.replace("a,", "a，"), "`，` (U+FF0C)", "line 4, column 13"),
        (GRAPH.replace("{id:", "{id："), "`：` (U+FF1A)", "Character 3"),
        (GRAPH + "    – id: b\n", "`–` (U+2013)", "line 5, column 5"),
        (GRAPH + "    - {id: b\ufe0f, type: tool, tool: t}\n", "U+FE0F (variation selector-16)", "Character 2"),
        (GRAPH + "    - {id: b\u200b, type: tool, tool: t}\n", "U+200B (zero width space)", "Character 2"),
        (GRAPH + "    - {id: b, type: ｔool, tool: t}\n", "`ｔ` (U+FF54)", "Character 1"),
        (GRAPH + "    - {id: b, type: tool, tool: t, timeout: １０s}\n", "`１` (U+FF11)", "Character 1"),
        (GRAPH + "    - {id: b, type: tool, tool: t, dependencies: [а]}\n", "`а` (U+0430)", "Character 1"),
        (GRAPH + '    - {id: b, type: tool, tool: t, when: "${a.x ＝＝ 1}"}\n', "`＝` (U+FF1D)", "write ="),
    ],
)
def test_a_character_that_looks_like_another_is_named(text: str, character: str, place: str) -> None:
    assert character in findings(text)
    assert place in findings(text)


def test_names_that_look_the_same_are_the_same() -> None:
    decomposed = GRAPH.replace("id: a", "id: cafe\u0301")
    reader = "    - {id: b, type: tool, tool: t, dependencies: [café], inputs: {x: '${café.y}'}}\n"
    compilation = compile_workflow(decomposed + reader)
    assert compilation.findings == []
    assert compilation.plan is not None
    assert compilation.plan.root.nodes[0].id == "café"
    assert len(compilation.plan.root.nodes[1].incoming) == 1


def test_ids_that_look_the_same_are_one_id_twice() -> None:
    text = GRAPH.replace("id: a", "id: café") + "    - {id: cafe\u0301, type: tool, tool: t}\n"
    assert "WF208" in findings(text)


def test_texts_in_any_script_are_left_alone() -> None:
    text = GRAPH.replace("tool: t}", "tool: t, inputs: {x: '你好，世界：“引号”　１２'}}")
    assert findings(text) == ""
