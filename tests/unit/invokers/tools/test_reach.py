"""What opens the built-in tools, where."""

from __future__ import annotations

import pytest

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.errors import NodeError, RequestError
from workflow_runtime.invokers.tools.reach import LOCAL_REACH, Reach, local_reach
from workflow_runtime.runtime.in_process import LocalRuntime


def test_a_local_run_reaches_what_its_settings_say_and_the_web_where_they_say_nothing() -> None:
    assert local_reach({}) == LOCAL_REACH
    reach = local_reach({"TOOLS_HTTP_ALLOW": "127.0.0.1, api.example.com", "TOOLS_EMAIL_ALLOW": "*"})
    assert reach.http == ("127.0.0.1", "api.example.com")
    assert reach.email == ("*",)
    assert reach.functions is None


def test_hosts_of_the_command_line_are_allowed_besides() -> None:
    assert local_reach({}, ["localhost"]).http == ("*", "localhost")
    assert local_reach({"TOOLS_HTTP_ALLOW": "a.test"}, ["localhost"]).http == ("a.test", "localhost")


@pytest.mark.parametrize(
    ("reach", "says", "not_says"),
    [
        (Reach(), "the setting TOOLS_HTTP_ALLOW of the deployment", "--allow-http"),
        (local_reach({}), "the environment variable TOOLS_HTTP_ALLOW", "--allow-http"),
        (local_reach({}, ()), "so does --allow-http HOST", "deployment"),
        (Reach(advice="mock it"), "mock it", "TOOLS_HTTP_ALLOW"),
    ],
)
def test_a_refusal_names_what_would_open_the_tool_here(reach: Reach, says: str, not_says: str) -> None:
    message = reach.refusal("http", "the host localhost is not on the allow-list").message
    assert says in message
    assert not_says not in message


def test_a_tool_that_is_off_says_what_turns_it_on() -> None:
    with pytest.raises(NodeError, match="TOOLS_EMAIL_ALLOW") as caught:
        local_reach({}, ()).require("email", "send_email")
    assert caught.value.type == "not_allowed"
    assert "--allow-http" not in caught.value.message


def test_a_setting_that_is_no_list_of_hosts_is_told_before_anything_runs() -> None:
    with open_backend() as backend, pytest.raises(RequestError, match="TOOLS_HTTP_ALLOW: 'http://a'") as caught:
        LocalRuntime(backend, environ={"TOOLS_HTTP_ALLOW": "http://a"})
    assert caught.value.code == "settings_invalid"
