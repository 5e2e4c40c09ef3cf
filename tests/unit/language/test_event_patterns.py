"""Event patterns, case by case as AWS documents them (*Comparison operators*, and Event Ruler's README)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workflow_runtime.language.patterns import PatternError, compile_pattern, pattern_problem
from workflow_runtime.language.patterns.operators import COMPARISONS, OPERATORS

INSTANCE = "arn:aws:ec2:us-east-1:123456789012:instance/i-000000aaaaaa00000"
EVENT: dict[str, Any] = {
    "version": "0",
    "id": "ddddd4-aaaa-7777-4444-345dd43cc333",
    "detail-type": "EC2 Instance State-change Notification",
    "source": "aws.ec2",
    "account": "012345679012",
    "time": "2017-10-02T16:24:49Z",
    "region": "us-east-1",
    "resources": [INSTANCE],
    "detail": {
        "c-count": 5,
        "d-count": 3,
        "x-limit": 301.8,
        "source-ip": "10.0.0.33",
        "instance-id": "i-000000aaaaaa00000",
        "state": "running",
    },
}
EMPLOYEES = {
    "employees": [
        {"firstName": "John", "lastName": "Doe"},
        {"firstName": "Anna", "lastName": "Smith"},
        {"firstName": "Peter", "lastName": "Jones"},
    ]
}
METRIC = {"source": "aws.cloudwatch", "metricName": "CPUUtilization", "namespace": "AWS/EC2", "metricId": 1234}

README_MATCHES: list[dict[str, Any]] = [
    {
        "detail-type": ["EC2 Instance State-change Notification"],
        "resources": [INSTANCE],
        "detail": {"state": ["initializing", "running"]},
    },
    {"time": [{"prefix": "2017-10-02"}]},
    {"source": [{"prefix": {"equals-ignore-case": "AWS"}}]},
    {"source": [{"suffix": "ec2"}]},
    {"source": [{"suffix": {"equals-ignore-case": "EC2"}}]},
    {"source": [{"equals-ignore-case": "AWS.EC2"}]},
    {"source": [{"wildcard": "a*ec2"}]},
    {"detail": {"state": [{"anything-but": "initializing"}]}},
    {"detail": {"x-limit": [{"anything-but": 123}]}},
    {"detail": {"state": [{"anything-but": ["stopped", "overloaded"]}]}},
    {"detail": {"x-limit": [{"anything-but": [100, 200, 300]}]}},
    {"detail": {"state": [{"anything-but": {"prefix": "init"}}]}},
    {"detail": {"state": [{"anything-but": {"prefix": ["init", "error"]}}]}},
    {"detail": {"instance-id": [{"anything-but": {"suffix": "1234"}}]}},
    {"detail": {"instance-id": [{"anything-but": {"suffix": ["1234", "6789"]}}]}},
    {"detail": {"state": [{"anything-but": {"equals-ignore-case": "Stopped"}}]}},
    {"detail": {"state": [{"anything-but": {"equals-ignore-case": ["Stopped", "OverLoaded"]}}]}},
    {"detail": {"state": [{"anything-but": {"wildcard": "*/bin/*.jar"}}]}},
    {"detail": {"state": [{"anything-but": {"wildcard": ["*/bin/*.jar", "*/bin/*.class"]}}]}},
    {
        "detail": {
            "c-count": [{"numeric": [">", 0, "<=", 5]}],
            "d-count": [{"numeric": ["<", 10]}],
            "x-limit": [{"numeric": ["=", 3.018e2]}],
        }
    },
    {"detail": {"source-ip": [{"cidr": "10.0.0.0/24"}]}},
    {"detail": {"c-count": [{"exists": True}]}},
    {"detail": {"e-count": [{"exists": False}]}},
    {
        "time": [{"prefix": "2017-10-02"}],
        "detail": {
            "state": [{"anything-but": "initializing"}],
            "c-count": [{"numeric": [">", 0, "<=", 5]}],
            "d-count": [{"numeric": ["<", 10]}],
            "x-limit": [{"anything-but": [100, 200, 300]}],
            "source-ip": [{"cidr": "10.0.0.0/8"}],
        },
    },
]


@pytest.mark.parametrize("pattern", README_MATCHES, ids=str)
def test_the_patterns_of_event_rulers_readme_match_its_event(pattern: dict[str, Any]) -> None:
    assert compile_pattern(pattern).matches(EVENT)


@pytest.mark.parametrize(
    ("wanted", "value", "matches"),
    [
        # exact: any of, by JSON value
        (["a", "b"], "b", True),
        (["a", "b"], "B", False),
        ([""], "", True),
        ([""], " ", False),
        ([None], None, True),
        ([None], "null", False),
        ([None], 0, False),
        ([True], True, True),
        ([True], 1, False),
        ([1], True, False),
        ([300], 300.0, True),
        ([300], "300", False),
        (["300"], 300, False),
        ([{"exactly": "a"}], "a", True),
        (["订单"], "订单", True),
        # arrays match by intersection
        (["a", "b"], ["x", "b"], True),
        (["a", "b"], ["x", "y"], False),
        (["a"], [["x"], ["a"]], True),
        (["a"], [], False),
        (["a"], [{"a": "a"}], False),
        # prefix and suffix
        ([{"prefix": "us-"}], "us-east-1", True),
        ([{"prefix": "us-"}], "eu-west-1", False),
        ([{"prefix": ""}], "", True),
        ([{"prefix": "1"}], 12, False),
        ([{"prefix": {"equals-ignore-case": "EventB"}}], "eventbridge", True),
        ([{"prefix": {"equals-ignore-case": "EventB"}}], "bridge", False),
        ([{"suffix": ".png"}], "a.png", True),
        ([{"suffix": ".png"}], "a.PNG", False),
        ([{"suffix": {"equals-ignore-case": ".png"}}], "a.PNG", True),
        ([{"suffix": {"equals-ignore-case": ""}}], "a", True),
        ([{"suffix": {"equals-ignore-case": "long"}}], "g", False),
        ([{"equals-ignore-case": "alice"}], "ALICE", True),
        ([{"equals-ignore-case": "ÄRGER"}], "ärger", True),
        ([{"equals-ignore-case": "alice"}], "alic", False),
        # anything-but: any other value that is there
        ([{"anything-but": "initializing"}], "running", True),
        ([{"anything-but": "initializing"}], "initializing", False),
        ([{"anything-but": "initializing"}], 5, True),
        ([{"anything-but": "initializing"}], None, True),
        ([{"anything-but": "initializing"}], ["initializing"], False),
        ([{"anything-but": "initializing"}], ["initializing", "running"], True),
        ([{"anything-but": 5}], 5.0, False),
        ([{"anything-but": 5}], "5", True),
        ([{"anything-but": 1}], True, True),
        ([{"anything-but": {"prefix": "us-"}}], "us-east-1", False),
        ([{"anything-but": {"prefix": "us-"}}], 7, True),
        ([{"anything-but": {"suffix": [".txt", ".rtf"]}}], "a.rtf", False),
        ([{"anything-but": {"equals-ignore-case": ["initializing", "stopped"]}}], "STOPPED", False),
        ([{"anything-but": {"wildcard": "*/lib/*"}}], "/usr/lib/x", False),
        ([{"anything-but": {"wildcard": ["*/lib/*", "*/bin/*"]}}], "/usr/share/x", True),
        # numeric
        ([{"numeric": ["=", 100]}], 100.0, True),
        ([{"numeric": [">", 0]}], 0, False),
        ([{"numeric": [">=", 0]}], 0, True),
        ([{"numeric": ["<", 10]}], 10, False),
        ([{"numeric": ["<=", 10]}], 10, True),
        ([{"numeric": [">", 10, "<=", 20]}], 20, True),
        ([{"numeric": [">", 10, "<=", 20]}], 10, False),
        ([{"numeric": [">=", 10, "<", 20]}], 10, True),
        ([{"numeric": [">", 10]}], "20", False),
        ([{"numeric": [">", 0]}], True, False),
        ([{"numeric": [">", 0]}], 10**400, True),
        ([{"numeric": ["<", 100]}, "many"], "many", True),
        # exists: of leaves
        ([{"exists": True}], None, True),
        ([{"exists": True}], {"c1": 100}, False),
        ([{"exists": True}], [], False),
        ([{"exists": False}], {"c1": 100}, True),
        ([{"exists": False}], 0, False),
        # cidr and addresses
        ([{"cidr": "10.0.0.0/24"}], "10.0.0.255", True),
        ([{"cidr": "10.0.0.0/24"}], "10.0.1.0", False),
        ([{"cidr": "10.0.0.77/24"}], "10.0.0.1", True),
        ([{"cidr": "10.0.0.0/24"}], "example.com", False),
        ([{"cidr": "10.0.0.0/24"}], 10, False),
        ([{"cidr": "2001:db8::/32"}], "2001:0db8::17", True),
        ([{"cidr": "2001:db8::/32"}], "10.0.0.1", False),
        (["2001:db8::1"], "2001:0db8:0:0:0:0:0:1", True),
        # wildcard
        ([{"wildcard": "Simple*Service"}], "SimpleQueueService", True),
        ([{"wildcard": "Simple*Service"}], "SimpleService", True),
        ([{"wildcard": "Simple*Service"}], "SimpleServic", False),
        ([{"wildcard": "*"}], "", True),
        ([{"wildcard": "a*a"}], "a", False),
        ([{"wildcard": "*ab*ab*"}], "ababx", True),
        ([{"wildcard": "dir/*.png"}], "dir/sub/x.png", True),
        ([{"wildcard": r"a\*b"}], "a*b", True),
        ([{"wildcard": r"a\*b"}], "axb", False),
        ([{"wildcard": r"a\\*"}], "a\\x", True),
        ([{"wildcard": "a*c"}], "a\n\nc", True),
        ([{"wildcard": "1*"}], 12, False),
        ([{"wildcard": "订*号"}], "订单编号", True),
    ],
    ids=str,
)
def test_each_operator_takes_the_values_that_it_is_documented_to_take(wanted: Any, value: Any, matches: bool) -> None:
    assert compile_pattern({"field": wanted}).matches({"field": value}) is matches


def test_a_missing_field_matches_only_where_absence_is_wanted() -> None:
    for wanted in ([""], [None], [{"anything-but": "x"}], [{"prefix": ""}], [{"exists": True}]):
        assert not compile_pattern({"a": wanted}).matches({"b": 1})
    assert compile_pattern({"a": [{"exists": False}, "x"]}).matches({"b": 1})
    assert compile_pattern({"a": [{"exists": False}, "x"]}).matches({"a": "x"})
    assert compile_pattern({"a": {"b": {"c": [{"exists": False}]}}}).matches({})
    assert compile_pattern({"a": [{"exists": False}], "b": [1]}).matches({"b": 1})


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ({"employees": {"firstName": ["Anna"]}}, True),
        ({"employees": {"firstName": ["Anna"], "lastName": ["Smith"]}}, True),
        ({"employees": {"firstName": ["Anna"], "lastName": ["Jones"]}}, False),
        ({"employees": {"firstName": ["Anna"], "age": [{"exists": False}]}}, True),
    ],
    ids=str,
)
@pytest.mark.parametrize("nested", [False, True])
def test_fields_below_one_array_match_within_one_of_its_elements(
    pattern: dict[str, Any], matches: bool, nested: bool
) -> None:
    people: list[Any] = EMPLOYEES["employees"]
    event = {"employees": [people[:2], people[2:]]} if nested else EMPLOYEES
    assert compile_pattern(pattern).matches(event) is matches


def test_absence_is_of_the_whole_event_and_not_of_one_element() -> None:
    pattern = compile_pattern({"people": {"name": ["Anna"], "age": [{"exists": False}]}})
    assert not pattern.matches({"people": [{"name": "Anna"}, {"name": "Peter", "age": 40}]})


@pytest.mark.parametrize(
    ("pattern", "event", "matches"),
    [
        ({"$or": [{"metricName": ["CPUUtilization"]}, {"namespace": ["AWS/ES"]}]}, METRIC, True),
        ({"$or": [{"metricName": ["Reads"]}, {"namespace": ["AWS/EC2"]}]}, METRIC, True),
        ({"$or": [{"metricName": ["Reads"]}, {"namespace": ["AWS/ES"]}]}, METRIC, False),
        ({"source": ["x"], "$or": [{"metricName": ["CPUUtilization"]}, {"namespace": ["AWS/EC2"]}]}, METRIC, False),
        ({"$or": [{"metricName": ["Reads"], "namespace": ["AWS/EC2"]}, {"metricId": [1]}]}, METRIC, False),
        (
            {"$or": [{"a": ["x"]}, {"namespace": ["AWS/EC2"], "$or": [{"metricId": [1234]}, {"spaceId": [1000]}]}]},
            METRIC,
            True,
        ),
        ({"detail": {"$or": [{"c-count": [{"numeric": [">", 9]}]}, {"d-count": [3]}]}}, EVENT, True),
        ({"$or": {"a": ["x"]}}, {"$or": {"a": "x"}}, True),  # a field of that name
        ({"$or": [{"prefix": "ab"}, {"numeric": ["=", 1]}]}, {"$or": "abc"}, True),
    ],
    ids=str,
)
def test_or_takes_one_of_its_alternatives(pattern: dict[str, Any], event: dict[str, Any], matches: bool) -> None:
    assert compile_pattern(pattern).matches(event) is matches


@pytest.mark.parametrize(
    ("pattern", "event", "matches"),
    [
        ({"state": "running"}, {"state": "running"}, True),
        ({"vip": True, "note": None}, {"vip": True, "note": None}, True),
        ({"amount": {"numeric": [">", 100]}}, {"amount": 150}, True),
        ({"amount": {"numeric": [">", 100]}}, {"amount": 50}, False),
        ({"name": {"prefix": "a"}}, {"name": "abc"}, True),
        ({"name": {"anything-but": ["a", "b"]}}, {"name": "a"}, False),
        ({"name": {"exists": False}}, {}, True),
        ({"name": {"prefix": ["x"]}}, {"name": {"prefix": "x"}}, True),  # a field of that name
        ({"订单": {"金额": 5}}, {"订单": {"金额": 5}}, True),
    ],
    ids=str,
)
def test_a_single_value_or_operator_needs_no_list(pattern: Any, event: Any, matches: bool) -> None:
    assert compile_pattern(pattern).matches(event) is matches


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ([], "a pattern is an object of fields, not a list"),
        ({}, "an empty object matches nothing; name a field"),
        ({"a": {"b": {}}}, "a.b: an empty object"),
        ({"a": []}, "a: an empty list"),
        ({"a": [["x"]]}, "a[0]: a value is"),
        ({"a": ["x", {"like": "y"}]}, "a[1]: `like` is not an operator"),
        ({"a": [{"prefix": "x", "suffix": "y"}]}, "a[0]: an operator is an object with one key"),
        ({"a": [{}]}, "a[0]: an operator is an object with one key"),
        ({"a": [{"prefix": 5}]}, "a[0].prefix: takes a string, not a number"),
        ({"a": [{"prefix": {"wildcard": "x"}}]}, "a[0].prefix: takes a string, or an object"),
        ({"a": [{"exists": "yes"}]}, "a[0].exists: takes true or false"),
        ({"a": [{"cidr": "10.0.0.0"}]}, "a[0].cidr: `10.0.0.0` is not a range"),
        ({"a": [{"cidr": "10.0.0.0/33"}]}, "a[0].cidr"),
        ({"a": [{"numeric": 5}]}, "a[0].numeric: takes a comparison and a number"),
        ({"a": [{"numeric": [">", "5"]}]}, "a[0].numeric: compares with a number, not a string"),
        ({"a": [{"numeric": ["!=", 5]}]}, "a[0].numeric: a comparison is one of"),
        ({"a": [{"numeric": ["<", 5, ">", 0]}]}, "a[0].numeric: a range has first its lower bound"),
        ({"a": [{"numeric": [">", 5, "<", 0]}]}, "a[0].numeric: the range's lower bound"),
        ({"a": [{"anything-but": None}]}, "a[0].anything-but: takes a string or a number"),
        ({"a": [{"anything-but": [1, "x"]}]}, "a[0].anything-but: takes a string or a number"),
        ({"a": [{"anything-but": []}]}, "a[0].anything-but: takes"),
        ({"a": [{"anything-but": {"numeric": ["=", 1]}}]}, "a[0].anything-but: takes values, or an object"),
        ({"a": [{"anything-but": {"prefix": ""}}]}, "a[0].anything-but.prefix: is empty"),
        ({"a": [{"anything-but": {"wildcard": ["a", 1]}}]}, "a[0].anything-but.wildcard[1]: takes a string"),
        ({"a": [{"wildcard": "a**b"}]}, "a[0].wildcard: wildcards may not follow each other"),
        ({"a": [{"wildcard": "a\\b"}]}, "a[0].wildcard: a backslash"),
        ({"$or": [{"a": ["x"]}]}, "$or: `$or` takes at least two"),
        ({"订单": {"金额": [{"numeric": []}]}}, "订单.金额[0].numeric"),
    ],
    ids=str,
)
def test_a_malformed_pattern_is_refused_with_its_place(pattern: Any, text: str) -> None:
    problem = pattern_problem(pattern)
    assert problem is not None
    assert text in str(problem)
    with pytest.raises(PatternError):
        compile_pattern(pattern)


@pytest.mark.parametrize(
    ("pattern", "event", "matches"),
    [
        ({"order.status": ["paid"]}, {"order": {"status": "paid"}}, True),
        ({"order": {"status": ["paid"]}}, {"order.status": "paid"}, True),
        ({"order.status": ["paid"]}, {"order.status": "paid"}, True),
        ({"order.status": [{"exists": False}]}, {"order": {"status": "paid"}}, False),
        ({"order.status": [{"exists": False}]}, {"order": {"state": "paid"}}, True),
        ({"a": {"b.c": [1]}}, {"a.b": {"c": 1}}, True),
        ({"a.b": [2]}, {"a.b": 1, "a": {"b": 2}}, True),
        ({"orders.a": [1], "orders.b": [2]}, {"orders": [{"a": 1, "b": 3}, {"a": 4, "b": 2}]}, False),
        ({"id": [12345678901234567]}, {"id": 12345678901234567}, True),
        ({"id": [12345678901234567]}, {"id": 12345678901234568}, False),
        ({"id": [{"anything-but": 12345678901234567}]}, {"id": 12345678901234568}, True),
        ({"id": [{"numeric": [">", 12345678901234567]}]}, {"id": 12345678901234568}, True),
        ({"id": [3]}, {"id": 3.0}, True),
        ({"id": [1]}, {"id": True}, False),
        ({"id": [{"anything-but": 1}]}, {"id": True}, True),
    ],
    ids=str,
)
def test_names_with_dots_are_paths_and_numbers_compare_exactly(pattern: Any, event: Any, matches: bool) -> None:
    assert compile_pattern(pattern).matches(event) is matches


@pytest.mark.parametrize(
    "name", ["prefx", "Prefix", "sufix", "exsts", "anything_but", "equals-ignorecase", "wildcards"]
)
def test_a_misspelt_operator_is_refused_with_or_without_its_list(name: str) -> None:
    assert "not an operator" in str(pattern_problem({"x": {name: "a"}}))
    assert "not an operator" in str(pattern_problem({"x": [{name: "a"}]}))
    assert pattern_problem({"x": {name: ["a"]}}) is None


def test_patterns_and_events_of_any_depth_are_bounded() -> None:
    deep: Any = ["x"]
    for _ in range(100):
        deep = {"a": deep}
    assert "levels" in str(pattern_problem(deep))
    nested: Any = "x"
    for _ in range(100_000):
        nested = [nested]
    assert compile_pattern({"a": ["x"]}).matches({"a": nested})


def test_many_wildcards_cost_no_more_than_reading_the_text() -> None:
    assert not compile_pattern({"a": [{"wildcard": "*a" * 50 + "*b"}]}).matches({"a": "a" * 100_000})


WORDS = st.sampled_from([*OPERATORS, *COMPARISONS, "$or", "a", "b", "10.0.0.0/8", "a*b", "\\", "", "订"])
CHARACTERS = st.characters(exclude_categories=["Cs"])  # as by default, where a second goes into finding UTF-8's
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | WORDS | st.text(CHARACTERS, max_size=3)
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS | st.just("a"), inner, max_size=3),
    max_leaves=12,
)


@given(pattern=st.dictionaries(WORDS, VALUES, max_size=3), event=VALUES)
@settings(max_examples=100, deadline=None)
def test_any_json_is_a_pattern_or_a_pattern_error_and_any_json_can_be_matched(pattern: Any, event: Any) -> None:
    problem = pattern_problem(pattern)
    if problem is None:
        assert compile_pattern(pattern).matches(event) in (True, False)
    else:
        assert problem.message
