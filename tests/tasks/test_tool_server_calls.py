"""Calls of MCP servers: within limits of time and size, and to allowed addresses alone. [C11]"""

from __future__ import annotations

import pytest
from django.test import override_settings

from agentapp.delivery.guarded_http import NoAnswer
from agentapp.errors import CannotBeSent, NotSentYet
from agentapp.tools.servers import opening
from agentapp.tools.servers.session import Address, UnreadableAnswer
from tests.tasks.mcp_servers import OddServer
from tests.tasks.mcp_servers import odd as odd
from tests.tasks.mcp_servers import running as running

HELLO = {"text": "hello"}


def test_a_call_that_hangs_ends_with_its_time_and_may_have_been_run(odd: OddServer) -> None:
    left = [60.0]
    with opening.opened(Address(odd.url), left_s=lambda: left[0]) as server:
        left[0] = 1.0
        with pytest.raises(NoAnswer) as caught:
            server.call("hang", HELLO)
        left[0] = 60.0
        with pytest.raises(UnreadableAnswer, match="more than"):
            server.call("huge", HELLO)

    assert not isinstance(caught.value, NotSentYet) and odd.called[-1] == "huge"


def test_answers_that_are_no_streams_are_read_too(odd: OddServer) -> None:
    with (
        OddServer(json_response=True).serving() as plain,
        opening.opened(Address(plain.url), left_s=lambda: 60.0) as server,
    ):
        assert next(iter(server.listing()))["name"] == "echo"
        assert server.call("echo", HELLO).text == "You said: hello"


def test_arguments_or_output_that_do_not_fit_are_no_proof_that_nothing_was_done(odd: OddServer) -> None:
    with (
        opening.opened(Address(odd.url), left_s=lambda: 60.0) as server,
        pytest.raises(UnreadableAnswer, match="Output validation error"),
    ):
        server.call("unfit", HELLO)

    assert odd.called == ["unfit"]


def test_a_private_address_is_not_called_unless_a_setting_allows_it(odd: OddServer) -> None:
    with (
        override_settings(AGENTAPP_TOOL_ALLOWED_NETWORKS=[]),
        pytest.raises(CannotBeSent, match="not public"),
        opening.opened(Address(odd.url), left_s=lambda: 60.0),
    ):
        raise AssertionError
