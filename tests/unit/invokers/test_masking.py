"""What is secret is hidden, however it was derived in a formula and however another system writes it."""

import base64
import json
import re
import sys
from itertools import groupby
from random import Random
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from workflow_runtime.errors import storable_text
from workflow_runtime.invokers.masking import (
    CUT_CHARACTERS_MIN,
    TEXT_CHARACTERS_MAX,
    VALUES_MAX,
    Mask,
    blended,
)
from workflow_runtime.invokers.searching import CASED_MAX, CLOSE_PLACES, PLACES_MAX
from workflow_runtime.invokers.searching import WINDOW_BYTES as WINDOW
from workflow_runtime.language.expressions import EvaluationError, Scope, compile_template
from workflow_runtime.language.expressions.functions import FUNCTIONS, ITEM_FUNCTIONS
from workflow_runtime.language.json_values import Json

SHAPES = {
    "token": "ghp_Zq3vXw91LmT8",
    "spaces": "correct horse battery",
    "marks": 'p@ss/w:rd!&"quoted"\\n=+',
    "unicode": "пароль-密码-Straße",
    "lines": "-----BEGIN KEY-----\nMIIEow\n-----END KEY-----\n",
    "number": "918273645546",
    "json": '{"user": "svc-account", "password": "hunter2-hunter2", "port": 54321, "hosts": ["db-7f3a.internal"]}',
    "url": "postgres://svc:s3cr3t-pa55@db-7f3a.internal:5432/app",
    "time": "2031-07-08T09:10:11.123Z",
    "base64": base64.b64encode(b"inner-secret-value").decode(),
}
OTHERS: tuple[Json, ...] = ("zz", 2, ["zz"], {"zz": 1}, None)


def derived_from(source: str, secret: str, others: Json = None) -> tuple[Json, Mask]:
    """The value of a template over ``secrets.K``, and what hides it."""
    scope = Scope({"secrets": {"K": secret}, "x": others})
    value = compile_template(source).evaluate(scope)
    return value, Mask([secret], scope.derived)


def shown_of(call: str, secret: str, others: Json) -> tuple[str, Json]:
    """What is told of a call: its error, its value."""
    try:
        value, mask = derived_from(f"${{{call}}}", secret, others)
    except EvaluationError as error:
        return str(error), None
    return "", mask.value(value)


def leaks(value: Json) -> bool:
    """Whether a text or a number that is no small one is left."""
    if isinstance(value, dict):
        return any(map(leaks, value.values()))
    if isinstance(value, list):
        return any(map(leaks, value))
    if isinstance(value, str):
        return value.replace("***", "") not in ("", "zz")
    return value is not None and not isinstance(value, bool) and abs(value) >= 1000


def calls_of(name: str) -> list[str]:
    """Calls of a function with the secret in each of its places."""
    if name in ITEM_FUNCTIONS:
        return [f"{name}([secrets.K], item)", f"{name}(split(secrets.K, 'e'), {{a: item}})"]
    function = FUNCTIONS[name]
    most = function.most if function.most >= 0 else 3
    return [
        f"{name}({', '.join('secrets.K' if place == at else 'x' for place in range(count))})"
        for count in range(max(function.least, 1), most + 1)
        for at in range(count)
    ]


@pytest.mark.parametrize("shape", SHAPES)
def test_no_function_of_the_language_makes_of_a_secret_what_is_not_hidden(shape: str) -> None:
    secret = SHAPES[shape]
    for call in (call for name in sorted(set(FUNCTIONS) - {"uuid", "in_state"}) for call in calls_of(name)):
        for other in OTHERS:
            said, shown = shown_of(call, secret, other)
            assert all(secret[at : at + 6] not in said for at in range(len(secret) - 5)), call
            assert not leaks(shown), call


@pytest.mark.parametrize(
    "source",
    [
        "number(secrets.K)",
        "parse_time(secrets.K)",
        "parse_time(secrets.K, '%Y')",
        "add_time(secrets.K, '1d')",
        "add_time(now, secrets.K)",
        "format_time(1800000000000, '%' + secrets.K)",
        "matches('x', '(' + secrets.K)",
        "jmespath(secrets, '!' + secrets.K)",
        "parse_json(secrets.K)",
    ],
)
def test_an_error_of_a_formula_that_reads_secrets_quotes_nothing(source: str) -> None:
    with pytest.raises(EvaluationError) as caught:
        compile_template(f"${{{source}}}").evaluate(Scope({"secrets": {"K": "!Zq3vXw91-not-it"}, "now": 10**12}))
    assert "Zq3" not in str(caught.value)
    assert "Zq3" not in repr(caught.value)
    assert caught.value.__cause__ is None


def test_an_error_of_another_formula_still_quotes_the_value() -> None:
    with pytest.raises(EvaluationError, match="not a number: 'abc'"):
        compile_template("${number(x)}").evaluate(Scope({"x": "abc"}))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "write",
    [
        str,
        str.upper,
        str.lower,
        quote,
        quote_plus,
        lambda text: quote(text, safe="/:@!&=+"),
        lambda text: quote(text, safe="").lower(),
        json.dumps,
        lambda text: json.dumps(text, ensure_ascii=False),
        repr,
        lambda text: text.encode().hex(),
        lambda text: base64.b64encode(b"user:" + text.encode()).decode(),
        lambda text: base64.urlsafe_b64encode(b"ab" + text.encode() + b"cd").decode(),
    ],
)
def test_a_secret_is_found_as_other_systems_write_it(shape: str, write: Any) -> None:
    secret = SHAPES[shape]
    written = write(secret)
    hidden = Mask([secret]).value({"url": f"https://example.com/?key={written}&x=1"})["url"]
    assert hidden.startswith("https://example.com/?key=")
    assert hidden.endswith("&x=1")
    left = hidden.removeprefix("https://example.com/?key=").removesuffix("&x=1")
    assert "***" in left
    assert len(left.replace("***", "")) <= 10, "at most what stands around a secret in base64"


def test_of_two_secrets_that_begin_alike_nothing_is_left() -> None:
    assert Mask(["abcd", "abcdREST"]).value("x abcdREST y abcd") == "x *** y ***"


def test_secrets_that_overlap_are_both_hidden() -> None:
    assert Mask(["abcdef", "defghi"]).value("<abcdefghi>") == "<***>"


def test_lines_of_a_key_are_hidden_wherever_they_stand() -> None:
    key = "-----BEGIN KEY-----\nMIIEowIBAAKCAQEA\nZq3vXw91LmT8ghp/\n-----END KEY-----\n"
    quoted = json.dumps({"error": json.dumps({"said": json.dumps({"key": key})})})
    for text in (quoted, base64.b64encode(quoted.encode()).decode(), quoted.encode().hex(), quoted.upper()):
        shown = Mask([key]).value(text)
        assert "***" in shown
        left = "".join(found for found in re.split(r"\*\*\*", shown))
        assert not re.search("MIIEow|Zq3vXw", left, re.IGNORECASE)


def test_the_leaves_of_a_parsed_secret_are_hidden() -> None:
    mask = Mask([SHAPES["json"]])
    shown = mask.value({"login": "hunter2-hunter2 at DB-7F3A.internal:54321", "port": 54321, "password": "ok"})
    assert shown == {"login": "*** at ***:***", "port": "***", "password": "ok"}


def test_the_password_of_a_url_is_hidden() -> None:
    assert Mask([SHAPES["url"]]).value("login s3cr3t-pa55") == "login ***"


def test_short_parts_are_hidden_only_where_they_stand_alone() -> None:
    value, mask = derived_from("${slice(secrets.K, 0, 2)}", "ghp_Zq3vXw91LmT8")
    assert mask.value({"a": value, "b": "a graph"}) == {"a": "***", "b": "a graph"}


def test_what_the_formula_itself_says_is_no_secret() -> None:
    value, mask = derived_from("${if(secrets.K == 'x', 'production', 'development')}" if "if" in FUNCTIONS
                               else "${secrets.K == 'x' ? 'production' : 'development'}", "y" * 9)  # fmt: skip
    assert mask.value(value) == "development"


def test_lengths_and_comparisons_are_no_secrets() -> None:
    value, mask = derived_from("${[len(secrets.K), secrets.K == 'x']}", "ghp_Zq3vXw91LmT8")
    assert mask.value(value) == [16, False]


@pytest.mark.parametrize("length", [CUT_CHARACTERS_MIN, 40, 200])
def test_a_secret_that_was_cut_off_is_hidden_in_messages(length: int) -> None:
    secret = "".join(f"{number:03}" for number in range(300))
    assert Mask([secret]).text(f"bad value {secret[:length]}…") == "bad value ***…"


def test_more_values_than_can_be_looked_for_hide_everything() -> None:
    mask = Mask([json.dumps([f"value {number}" for number in range(VALUES_MAX + 1)])])
    assert mask.overflows
    assert mask.value({"a": ["anything"]}) == {"***": ["***"]}


@pytest.mark.parametrize("write", [lambda text: quote(text, safe=""), lambda text: json.dumps(text)[1:-1]])
@pytest.mark.parametrize("before", [0, 1, WINDOW - 5, WINDOW, 3 * WINDOW - 1])
def test_an_encoded_secret_is_found_anywhere_in_a_large_text(write: Any, before: int) -> None:
    secret = SHAPES["unicode"] + SHAPES["marks"]
    text = "." * before + write(secret) + "." * 100_000 + "%41\\n"
    assert Mask([secret]).value(text) == "." * before + "***" + "." * 100_000 + "%41\\n"


def test_of_a_text_for_people_that_is_too_long_nothing_is_left_of_a_secret_at_its_end() -> None:
    secret = SHAPES["url"]
    for before in range(TEXT_CHARACTERS_MAX - 2 * len(secret), TEXT_CHARACTERS_MAX):
        shown = Mask([secret]).text("." * before + secret * 3)
        assert set(shown) <= set(".*")


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("change", [str, str.upper, str.lower, quote_plus, json.dumps])
def test_the_quick_look_misses_nothing_that_the_long_one_finds(shape: str, change: Any) -> None:
    text = f"<{change(SHAPES[shape])}>"
    quick, slow = Mask([SHAPES[shape]]), Mask([SHAPES[shape], "é" * 9])  # which no quick look can find
    assert quick.value(text) == slow.value(text)
    assert "***" in quick.value(text)


def piecewise(text: str, size: int) -> str:
    return "".join(f"\\u{ord(text[at]):04x}" if at % size == 0 else text[at] for at in range(len(text)))


@pytest.mark.parametrize(
    "written",
    [
        json.dumps("钥匙-😀-🔑-geheim"),
        repr("钥匙-😀-🔑-geheim".encode()),
        ascii("钥匙-😀-🔑-geheim"),
        quote("钥匙-😀-🔑-geheim"),
        quote(base64.b64encode("钥匙-😀-🔑-geheim".encode()).decode(), safe=""),
        piecewise("geheim-geheim-gehei", 3),
        "".join(f"%{byte:02x}" if place % 2 else chr(byte) for place, byte in enumerate(b"geheim-geheim-gehei")),
    ],
)
def test_characters_beyond_two_bytes_and_partly_encoded_ones_are_found(written: str) -> None:
    shown = Mask(["钥匙-😀-🔑-geheim", "geheim-geheim-gehei"]).value(f"<{written}>")
    assert shown.count("***") == 1
    assert len(shown) <= len("<b'***'>") + 4, "at most what stands around a secret in base64"


def test_a_text_full_of_secrets_is_hidden_whole() -> None:
    assert Mask(["geheim"]).value("geheim-" * PLACES_MAX) == "***-" * PLACES_MAX
    assert Mask(["geheim"]).value("geheim-" * (PLACES_MAX + 1)) == "***"
    assert Mask(["a" * 1000]).value("a" * (PLACES_MAX + 1000)) == "***"


def test_texts_beside_one_that_is_full_of_secrets_are_hidden_as_far_as_they_are_secret() -> None:
    assert Mask(["geheim"]).value(["geheim-" * (PLACES_MAX + 1), "x", "<geheim>"]) == ["***", "x", "<***>"]


def test_a_text_full_of_encoded_secrets_is_hidden_whole() -> None:
    assert Mask(["geheim"]).value("%67eheim-" * (PLACES_MAX // 4)) == "***-" * (PLACES_MAX // 4)
    assert Mask(["geheim"]).value("%67eheim-" * (PLACES_MAX + 1)) == "***"


def hidden_one_by_one(text: str, secrets: list[str]) -> str:
    """What is left of a text when each secret is looked for at each place by itself."""
    secret_at = [False] * len(text)
    for at in range(len(text)):
        for secret in secrets:
            if text.startswith(secret, at):
                secret_at[at : at + len(secret)] = [True] * len(secret)
    runs = groupby(zip(text, secret_at, strict=True), key=lambda each: each[1])
    return "".join("***" if hidden else "".join(character for character, _ in run) for hidden, run in runs)


def test_where_secrets_are_close_together_none_is_missed() -> None:
    for seed in range(10):
        print("seed", seed)
        random = Random(seed)
        secrets = ["".join(random.choices("ab", k=random.randint(3, 20))) for _ in range(random.randint(1, 6))]
        text = "".join(random.choices("ab", k=3 * CLOSE_PLACES)) + secrets[0] * CLOSE_PLACES
        text += "".join(random.choices("abc", k=3 * CLOSE_PLACES))
        assert Mask(secrets).value(text) == hidden_one_by_one(text, secrets)


def test_no_letter_beside_a_secret_keeps_it_from_being_found_in_other_case() -> None:
    for beside in "İẞKΩȺﬀ":
        assert Mask(["пароль-straße"]).value([f"{beside} ПАРОЛЬ-STRAßE", "x"]) == [f"{beside} ***", "x"]
    beyond = "".join(map(chr, range(CASED_MAX + 1, sys.maxunicode + 1)))
    assert beyond.lower() == beyond


def test_of_many_texts_only_those_with_a_secret_change() -> None:
    value: Json = {"geheim": ["ge", "heim", "x geheim", "%67eheim"], "ge": {"heim": "GEHEIM"}, "c": [1, None, True]}
    assert Mask(["geheim"]).value(value) == {
        "***": ["ge", "heim", "x ***", "***"],
        "ge": {"heim": "***"},
        "c": [1, None, True],
    }


def test_a_secret_that_overlaps_itself_is_hidden_to_its_last_end() -> None:
    assert Mask(["abcabcab"]).value("<abcabcabcab abcab>") == "<*** abcab>"


def test_secrets_that_begin_alike_for_long_are_told_apart() -> None:
    common = "x" * 40
    assert (
        Mask([common + "1", common + "2" * 9, common[:20]]).value(f"{common}1 {common}222 {common}222222222 {'x' * 19}")
        == "*** ***222 *** " + "x" * 19
    )


def test_without_secrets_a_value_is_given_as_it_is() -> None:
    value = {"a": ["x", 1]}
    assert Mask().value(value) is value


def test_texts_that_are_no_characters_can_be_searched() -> None:
    assert Mask(["geheim"]).text(storable_text("\ud800 geheim %FF%zz \\u12")) == "? *** %FF%zz \\u12"


@pytest.mark.parametrize(
    ("value", "told", "shown"),
    [
        ("same", "same", "same"),
        ("Bearer K", "Bearer ***", "Bearer ***"),
        ({"a": "K", "b": 1, "c": True, "d": None}, None, {"a": "***", "b": 1, "c": True, "d": None}),
        ({"a": "K"}, {"a": "***", "b": 1}, {"a": "***"}),
        (["K", "x"], ["***", "x"], ["***", "x"]),
        (["K", "x"], ["x"], ["***", "***"]),
        (1234, 5678, "***"),
        (1234, 1234, 1234),
    ],
)
def test_what_outputs_make_of_secrets_is_told_as_far_as_it_does_not_depend_on_them(
    value: Json, told: Json, shown: Json
) -> None:
    assert blended(value, told) == shown
