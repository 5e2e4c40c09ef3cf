"""A translation (``README.zh-CN.md`` beside ``README.md``) keeps in step with its original, part by part."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby, pairwise, zip_longest
from pathlib import Path

import pytest
from tests.benchmarks.table import BENCHMARKS, PEERS, block_of, with_figures

ROOT = Path(__file__).parents[2]
SUFFIX = ".zh-CN.md"
TRANSLATIONS = sorted(
    path.relative_to(ROOT).as_posix() for folder in ("", "*/") for path in ROOT.glob(f"{folder}*{SUFFIX}")
)
FENCE, HEADING = re.compile(r"^(```+).*?^\1$", re.DOTALL | re.MULTILINE), re.compile(r"^(#+) (.+)")


@dataclass(frozen=True, slots=True)
class Part:
    """What a translation must have in the same place.

    kind     heading of a level, table of a size, or line of a code block
    code     a line of code, which is not translated; otherwise empty
    line     where it starts, from 1
    title    how it reads, for messages
    """

    kind: str
    code: str
    line: int = field(compare=False)
    title: str = field(compare=False)


def parts(text: str) -> Iterator[Part]:
    """Headings, tables and the lines of fenced code blocks, in order."""
    position = 1
    for index, stretch in enumerate(split_at_fences(text)):
        if index % 2:
            yield from (
                Part("line of code", code, line, code) for line, code in enumerate(stretch.split("\n"), position)
            )
        else:
            yield from parts_of_prose(stretch, position)
        position += stretch.count("\n")


def split_at_fences(text: str) -> list[str]:
    """Prose and fenced code blocks in turn, prose first."""
    ends = [0, *(end for match in FENCE.finditer(text) for end in match.span()), len(text)]
    return [text[start:end] for start, end in pairwise(ends)]


def parts_of_prose(text: str, first_line: int) -> Iterator[Part]:
    numbered = enumerate(text.split("\n"), first_line)
    for is_table, group in groupby(numbered, key=lambda item: item[1].startswith("|")):
        lines = list(group)
        if is_table:
            line, head = lines[0]
            columns = len(re.findall(r"(?<!\\)\|", head)) - 1
            yield Part(f"table of {len(lines)} lines, {columns} columns", "", line, head)
            continue
        for line, content in lines:
            if match := HEADING.match(content):
                yield Part(f"heading of level {len(match[1])}", "", line, match[2])


def first_difference(original: str, translation: str) -> str | None:
    """Where two documents part, in words; `None` if they have the same parts."""
    for theirs, ours in zip_longest(parts(original), parts(translation)):
        if theirs != ours:
            return f"the original has {described(theirs)}; the translation has {described(ours)}"
    return None


def described(part: Part | None) -> str:
    return f"in line {part.line} a {part.kind}, {part.title!r}" if part else "ended"


def read(translation: str) -> tuple[str, str]:
    """A translation's original, and itself."""
    original = translation.replace(SUFFIX, ".md")
    return (ROOT / original).read_text(encoding="utf-8"), (ROOT / translation).read_text(encoding="utf-8")


def test_the_readme_and_the_guide_are_translated() -> None:
    assert {"README.zh-CN.md", "definitions/README.zh-CN.md"} <= set(TRANSLATIONS)


@pytest.mark.parametrize("name", TRANSLATIONS)
def test_a_translation_has_the_headings_tables_and_code_of_its_original(name: str) -> None:
    difference = first_difference(*read(name))
    assert difference is None, f"{name}: {difference}"


@pytest.mark.parametrize("name", TRANSLATIONS)
def test_a_translation_and_its_original_lead_to_each_other(name: str) -> None:
    original, translation = read(name)
    file = Path(name).name
    assert f"English | [简体中文]({file})" in original.splitlines()[:5]
    assert f"[English]({file.replace(SUFFIX, '.md')}) | 简体中文" in translation.splitlines()[:5]


def names(text: str) -> set[str]:
    """What stands in backquotes, outside code blocks."""
    prose = "".join(split_at_fences(text)[::2])
    return {name.replace(SUFFIX, ".md") for name in re.findall(r"`([^`]+)`", prose)}


@pytest.mark.parametrize("name", TRANSLATIONS)
def test_a_translation_names_the_same_commands_options_and_files(name: str) -> None:
    original, translation = map(names, read(name))
    missing, more = sorted(original - translation), sorted(translation - original)
    assert (missing, more) == ([], []), f"{name} lacks {missing} and has {more}, which the original does not"


def anchors(text: str) -> set[str]:
    """The anchors that GitHub gives to headings."""
    titles = (part.title for part in parts(text) if part.kind.startswith("heading"))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("name", [*TRANSLATIONS, *(name.replace(SUFFIX, ".md") for name in TRANSLATIONS)])
def test_links_lead_to_files_and_headings(name: str) -> None:
    document = ROOT / name
    wrong = []
    for path, _, anchor in (
        link.partition("#") for link in re.findall(r"\]\(([^)\s]+)\)", document.read_text("utf-8"))
    ):
        if "://" in path or path.startswith("mailto:"):
            continue
        target = document.parent / path if path else document
        if not target.exists() or (anchor and anchor not in anchors(target.read_text(encoding="utf-8"))):
            wrong.append(f"{path}#{anchor}")
    assert wrong == [], f"{name}: no such file or heading"


@pytest.mark.parametrize("name", [BENCHMARKS, PEERS])
def test_the_translated_readme_shows_the_benchmarks_figures(name: str) -> None:
    original, translation = (block_of(readme, name) for readme in read("README.zh-CN.md"))
    assert with_figures(translation, original) == translation


def test_figures_are_taken_over_line_by_line() -> None:
    assert (
        with_figures("链 0.40，扇出 1,500\n文字\n", "chain 0.5, fan-out 1,200\ntext\n") == "链 0.5，扇出 1,200\n文字\n"
    )


@pytest.mark.parametrize("original", ["chain 0.5\n", "chain 0.5, fan-out 1\nmore\n"])
def test_figures_do_not_go_into_a_translation_of_another_shape(original: str) -> None:
    with pytest.raises(ValueError, match="line"):
        with_figures("链 0.40，扇出 1,500\n", original)


DOCUMENT = "# Title\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```sh\n# no heading\n```\n"


@pytest.mark.parametrize(
    ("translation", "original_has", "translation_has"),
    [
        ("## 标题\n", "in line 1 a heading of level 1, 'Title'", "in line 1 a heading of level 2, '标题'"),
        ("# 标题\n", "in line 3 a table of 3 lines, 2 columns, '| a | b |'", "ended"),
        (
            "# 标题\n\n| 甲 |\n|---|\n| 1 |\n",
            "in line 3 a table of 3 lines, 2 columns, '| a | b |'",
            "in line 3 a table of 3 lines, 1 columns, '| 甲 |'",
        ),
        (
            DOCUMENT.replace("# no heading", "# 注释"),
            "in line 8 a line of code, '# no heading'",
            "in line 8 a line of code, '# 注释'",
        ),
        (f"{DOCUMENT}## 更多\n", "ended", "in line 10 a heading of level 2, '更多'"),
    ],
    ids=["heading", "ended", "table", "code", "more"],
)
def test_a_difference_says_what_differs_and_where(translation: str, original_has: str, translation_has: str) -> None:
    assert first_difference(DOCUMENT, DOCUMENT.replace("Title", "标题").replace("| a", "| 甲")) is None
    difference = f"the original has {original_has}; the translation has {translation_has}"
    assert first_difference(DOCUMENT, translation) == difference
