"""Requests as the gateway delivers them, whatever callers put into them."""

from __future__ import annotations

from typing import Any

import pytest

from workflow_runtime.frontends.api.problems import Problem
from workflow_runtime.frontends.api.request import PARAMETERS_MAX, Request


def event(query: str) -> dict[str, Any]:
    return {"rawPath": "/workflows", "rawQueryString": query, "requestContext": {"http": {"method": "GET"}}}


def test_a_query_of_a_hundred_parameters_is_read() -> None:
    assert len(Request.of(event("&".join(["a=1"] * PARAMETERS_MAX))).query) == PARAMETERS_MAX


@pytest.mark.parametrize("query", ["&".join(["a=1"] * (PARAMETERS_MAX + 1)), "&" * 100_000, "%&" * 200])
def test_a_longer_query_is_a_problem_of_the_caller(query: str) -> None:
    with pytest.raises(Problem) as caught:
        Request.of(event(query))
    assert 400 <= caught.value.status < 500
