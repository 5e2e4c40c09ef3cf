"""The catalogue of all findings, as the table in ``definitions/README.md``.

``python -m workflow_runtime.frontends.findings_table`` rewrites the table; ``--check`` says whether it is current
(else: exit code 1).
"""

from __future__ import annotations

import sys
from pathlib import Path

from workflow_runtime import compiler, definition
from workflow_runtime.findings import RULES
from workflow_runtime.language.yaml import small_files as documents

RULES_COME_FROM = (definition, compiler, documents)  # importing them declares their rules

TARGET = Path(__file__).parents[3] / "definitions" / "README.md"
BEGIN = "<!-- findings:begin -->"
END = "<!-- findings:end -->"


def catalogue_markdown() -> str:
    """A Markdown table of every rule, by id."""
    rows = ["| id | severity | what is wrong | how to fix it |", "|---|---|---|---|"]
    for _, rule in sorted(RULES.items()):
        cells = (rule.id, str(rule.severity), rule.title, rule.hint)
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows)


def with_catalogue(text: str) -> str:
    """``text`` with the current table between its two marks. Raises `ValueError` when a mark is missing."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the marks {BEGIN} and {END} are missing")
    return f"{before}{BEGIN}\n{catalogue_markdown()}\n{END}{after}"


def main(arguments: list[str] | None = None) -> int:
    """Rewrite the table, or with ``--check`` compare it."""
    text = TARGET.read_text("utf-8")
    current = with_catalogue(text)
    if "--check" in (sys.argv[1:] if arguments is None else arguments):
        return 0 if text == current else 1
    TARGET.write_text(current, "utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
