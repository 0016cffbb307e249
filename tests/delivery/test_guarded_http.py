"""Requests to addresses that strangers name: what is connected to, and what an answer may cost."""

from __future__ import annotations

import ipaddress
import socket
import ssl
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from agentapp.delivery import endpoints
from agentapp.delivery.guarded_http import Answer, Guard, Limits, NoAnswer
from agentapp.policies.addresses import TargetNotAllowed
from tests.delivery import hostile_urls, receiver
from tests.delivery.receiver import Receiver, receiving
from tests.tls import Certificates, TlsGateway

LOOPBACK = (ipaddress.IPv4Network("127.0.0.0/8"),)
PUBLIC = "93.184.215.14"
QUICK = Limits(connect_s=2, read_s=0.3, total_s=1, content_bytes=1_000)
OPEN = Guard(allowed=LOOPBACK)


def post(url: str, guard: Guard = OPEN, limits: Limits = QUICK) -> Answer:
    return guard.post(url, headers={"X-Test": "yes"}, body=b"{}", limits=limits)


class Rebinding:
    """Answers one address the first time, and another one from then on."""

    def __init__(self, first: str, later: str) -> None:
        self.asked = 0
        self._answers = (first, later)

    def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked += 1
        return [self._answers[min(self.asked, 2) - 1]]


@pytest.fixture
def canary() -> Iterator[Receiver]:
    with receiving(receiver.status(200)) as listener:
        yield listener


def test_the_list_of_hostile_urls_is_long() -> None:
    assert len(set(hostile_urls.URLS)) >= 120


def test_no_hostile_url_is_accepted_or_connected_to(canary: Receiver) -> None:
    guard = Guard(resolve=hostile_urls.resolve)
    taken = []
    for url in hostile_urls.at(canary.port):
        for act in (guard.check, lambda url: post(url, guard)):
            try:
                act(url)
                taken.append(url)
            except (TargetNotAllowed, NoAnswer):
                continue

    assert taken == []
    assert canary.connections == 0


def test_the_canary_is_alive(canary: Receiver) -> None:
    assert post(canary.url).status == 200
    assert canary.connections == 1


def test_a_name_that_moves_to_loopback_between_check_and_delivery_is_not_connected_to(canary: Receiver) -> None:
    resolve = Rebinding(PUBLIC, "127.0.0.1")
    guard = Guard(allows_http=True, resolve=resolve)
    url = f"http://moves.test:{canary.port}/"
    guard.check(url)

    with pytest.raises(TargetNotAllowed, match="an address that is not public"):
        post(url, guard)

    assert canary.connections == 0


def test_a_name_is_looked_up_once_for_a_request(canary: Receiver) -> None:
    resolve = Rebinding("127.0.0.1", "10.0.0.1")

    answer = post(f"http://receiver.test:{canary.port}/hooks?a=b", Guard(allowed=LOOPBACK, resolve=resolve))

    assert (answer.status, resolve.asked) == (200, 1)
    request = canary.requests[0]
    assert request.line == "POST /hooks?a=b HTTP/1.1"
    assert request.headers["host"] == f"receiver.test:{canary.port}"
    assert (request.headers["x-test"], request.body) == ("yes", b"{}")


def test_a_redirect_is_an_answer_and_is_not_followed(canary: Receiver) -> None:
    with receiving(receiver.status(302, headers=f"Location: {canary.url}\r\n")) as moved:
        assert post(moved.url).status == 302

    assert canary.connections == 0


def test_a_proxy_of_the_environment_is_not_used(canary: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", canary.url)
    monkeypatch.setenv("http_proxy", canary.url)
    with receiving(receiver.status(204, content=b"")) as target:
        assert post(target.url).status == 204

    assert canary.connections == 0


@pytest.mark.parametrize(
    "bad", [receiver.hang, receiver.drip_head, receiver.flood_head, receiver.close_in_the_middle, receiver.no_http]
)
def test_what_does_not_answer_as_http_within_the_limits_is_no_answer(bad: receiver.Answer) -> None:
    with receiving(bad) as target, pytest.raises(NoAnswer):
        post(target.url)


@pytest.mark.parametrize("bad", [receiver.drip_content, receiver.flood, receiver.cut_content])
def test_an_answer_whose_content_does_not_end_has_a_status_and_a_beginning(bad: receiver.Answer) -> None:
    with receiving(bad) as target:
        answer = post(target.url)

    assert (answer.status, answer.is_whole) == (200, False)
    assert 0 < len(answer.content) <= QUICK.content_bytes


@pytest.mark.parametrize(
    ("content", "headers"), [(b"thanks", ""), (b"", ""), (b"x" * 999, "Content-Type: text/plain\r\n")]
)
def test_a_content_within_the_limit_is_whole(content: bytes, headers: str) -> None:
    with receiving(receiver.status(200, content=content, headers=headers)) as target:
        answer = post(target.url)

    assert (answer.content, answer.is_whole) == (content, True)


def test_a_refused_connection_is_no_answer() -> None:
    with receiving(receiver.status(200)) as target:
        url = target.url

    with pytest.raises(NoAnswer, match="Connection refused"):
        post(url)


def test_the_next_address_is_tried_where_one_refuses(canary: Receiver) -> None:
    guard = Guard(allowed=LOOPBACK, resolve=lambda host, port: ["127.0.0.9", "127.0.0.1"])

    assert post(f"http://two.test:{canary.port}/", guard).status == 200


def test_a_lookup_that_fails_may_work_another_time() -> None:
    def fail(host: str, port: int) -> Sequence[str]:
        raise OSError(-3, "Temporary failure in name resolution")

    with pytest.raises(NoAnswer, match="Temporary failure"):
        Guard(resolve=fail).check("https://example.org/")


def test_tls_is_checked_against_the_name_and_not_the_address(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)
    trusting = ssl.create_default_context(cafile=str(certificates.authority))
    with receiving(receiver.status(200)) as target, TlsGateway(("127.0.0.1", target.port), certificates) as gateway:
        guard = Guard(allowed=LOOPBACK, resolve=lambda host, port: ["127.0.0.1"], tls=trusting)

        assert post(f"https://localhost:{gateway.port}/", guard).status == 200
        with pytest.raises(NoAnswer, match="certificate"):
            post(f"https://other.test:{gateway.port}/", guard)
        with pytest.raises(NoAnswer, match="certificate"):
            post(f"https://localhost:{gateway.port}/", Guard(allowed=LOOPBACK, resolve=guard.resolve))
        assert target.connections == 1


def test_what_comes_before_an_answer_is_no_answer() -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"

    def early(listener: Receiver, link: socket.socket) -> None:
        link.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" + hints + b"HTTP/1.1 102 Processing\r\n\r\n" + hints)
        receiver.status(500, content=b"broken")(listener, link)

    with receiving(early) as listener:
        answer = post(f"http://127.0.0.1:{listener.port}/")

    assert (answer.status, answer.content, answer.is_whole) == (500, b"broken", True)
    assert "link" not in answer.headers


@pytest.mark.parametrize(
    ("charset", "content", "text"),
    [
        ("iso-8859-1", "Grüße".encode("latin-1"), "Grüße"), ("UTF-16", "Grüße".encode("utf-16"), "Grüße"),
        ("utf-8", "Grüße".encode(), "Grüße"), ("nonsense", "Grüße".encode(), "Grüße"), ("hex", b"6162", "6162"),
        ("punycode", b"a-b", "a-b"),
    ],
)  # fmt: skip
def test_a_text_is_read_in_the_charset_of_its_content_type(charset: str, content: bytes, text: str) -> None:
    answer = Answer(200, {"content-type": f"text/plain; charset={charset}"}, content, is_whole=True)

    assert endpoints.told(answer)["content"] == text
