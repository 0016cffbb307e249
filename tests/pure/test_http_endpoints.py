"""Whatever the path of a request says, it stays below the base URL of its endpoint."""

from __future__ import annotations

import pytest

from agentapp.policies.http_endpoints import HttpEndpoint

ENDPOINT = HttpEndpoint(base_url="https://h/v1", tenants=("a",))


@pytest.mark.parametrize(
    "path",
    [
        "..;/admin", ".;/x", "a/..;x=1/b", "..;", ".. /x", "..%20/x", "..%09/x", "..%00/x", "..\t/x", "..\x00/x",
        "%2e%2e/x", "..%2fx", "%2e%2e%3bx/y", "..\u200b/x", "%252e%252e/x", "a/.%2e;v=1", "..%5cx", "x%2f..%2fy",
    ],
)  # fmt: skip
def test_no_part_of_a_path_leads_out_for_any_server(path: str) -> None:
    with pytest.raises(ValueError, match="no parts"):
        ENDPOINT.url(path, {})


@pytest.mark.parametrize(
    ("path", "below"),
    [
        ("orders;v=2/7", "/orders;v=2/7"), ("a..b/...", "/a..b/..."), (";x", "/;x"),
        (".well-known/a", "/.well-known/a"),
        ("50%", "/50%25"), ("@x", "/@x"), ("", ""), ("a/", "/a/"),
    ],
)  # fmt: skip
def test_other_paths_go_on_below_the_base_url(path: str, below: str) -> None:
    assert ENDPOINT.url(path, {}) == "https://h/v1" + below
