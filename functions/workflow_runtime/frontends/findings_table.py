"""The catalogue of all findings, as the table in ``definitions/README.md`` and in its translation.

``python -m workflow_runtime.frontends.findings_table`` rewrites the tables; ``--check`` says whether both are current
(else: exit code 1).
"""

from __future__ import annotations

import sys
from pathlib import Path

from workflow_runtime import compiler, definition
from workflow_runtime.findings import RULES
from workflow_runtime.language.yaml import small_files as documents

RULES_COME_FROM = (definition, compiler, documents)  # importing them declares their rules

DEFINITIONS = Path(__file__).parents[3] / "definitions"
GUIDES = (DEFINITIONS / "README.md", DEFINITIONS / "README.zh-CN.md")
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
    """Rewrite the tables, or with ``--check`` compare them."""
    texts = {guide: guide.read_text("utf-8") for guide in GUIDES}
    outdated = {guide: current for guide, text in texts.items() if (current := with_catalogue(text)) != text}
    if "--check" in (sys.argv[1:] if arguments is None else arguments):
        return 1 if outdated else 0
    for guide, current in outdated.items():
        guide.write_text(current, "utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
