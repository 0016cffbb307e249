"""What jobs have stored, as clients get it: whole, in ranges, and never as a page of ours."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, storages
from pytest_django import Settings

from agentapp import clock
from agentapp.models import Artifact, Tenant, Workflow
from tests.api.conftest import Api, problem_of

pytestmark = pytest.mark.django_db

PRIVATE = "s3.private.example.test"
TEXT = "Grüße aus dem Lager. " * 10_000
Make = Callable[..., Artifact]


@pytest.fixture(autouse=True)
def store(tmp_path: Path, settings: Settings) -> Path:
    """A store of the test's own."""
    folder = tmp_path / "artifacts"
    settings.STORAGES = settings.STORAGES | {
        "artifacts": {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": folder}}
    }
    folder.mkdir()
    return folder


@pytest.fixture
def make(store: Path, tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> Make:
    """make(api, b"content", name=..., media_type=...): an artifact of a task of that client."""
    monkeypatch.setattr(Artifact._meta.get_field("file"), "storage", storages["artifacts"])

    def made(api: Api, content: bytes = TEXT.encode(), **values: Any) -> Artifact:
        task = Workflow.objects.get(pk=api.post("/tasks", {"kind": "probe_loop", "input": {}}).json()["id"])
        artifact = Artifact(
            tenant_id=task.tenant_id, workflow=task, size=len(content), created_at=clock.now(),
            sha256=hashlib.sha256(content).hexdigest(), **{"name": "text.txt"} | values,
        )  # fmt: skip
        artifact.file.save(f"{task.pk}/{artifact.pk}", ContentFile(content), save=False)
        artifact.save()
        return artifact

    return made


def body(response: Any) -> bytes:
    return b"".join(response)


def test_a_task_lists_its_artifacts_in_the_order_of_writing(api: Api, make: Make) -> None:
    first = make(api, b"one", name="draft.txt")
    second = Artifact.objects.create(
        tenant=first.tenant, workflow=first.workflow, name="b", size=0, sha256="0" * 64, created_at=clock.now()
    )
    make(api, b"another task's")
    found = api.get(f"/tasks/{first.workflow_id}/artifacts", limit="1").json()
    assert found["results"] == [
        {
            "id": str(first.pk), "task": str(first.workflow_id), "job": None, "name": "draft.txt",
            "media_type": "text/plain; charset=utf-8", "size": 3, "sha256": hashlib.sha256(b"one").hexdigest(),
            "created_at": found["results"][0]["created_at"],
        }
    ]  # fmt: skip
    assert [item["id"] for item in api.get(found["next"]).json()["results"]] == [str(second.pk)]


def test_the_content_is_what_was_written_and_no_page_of_ours(api: Api, make: Make) -> None:
    artifact = make(api, b"<script>alert(1)</script>", name="a.html", media_type="text/html")
    response = api.get(f"/artifacts/{artifact.pk}")
    assert (response.status_code, body(response)) == (200, b"<script>alert(1)</script>")
    headers = response.headers
    assert (headers["Content-Type"], headers["Content-Length"]) == ("text/html", "25")
    assert headers["Content-Disposition"] == 'attachment; filename="a.html"'
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in headers["Content-Security-Policy"] and "'self'" not in headers["Content-Security-Policy"]
    assert headers["ETag"] == f'"{artifact.sha256}"'
    assert headers["Cache-Control"] == "private, no-cache"


@pytest.mark.parametrize("accept", ["text/plain", "image/png", "*/*"])
def test_the_content_has_the_type_that_it_has_whatever_is_accepted(api: Api, make: Make, accept: str) -> None:
    artifact = make(api)
    api.headers["Accept"] = accept
    assert body(api.get(f"/artifacts/{artifact.pk}")) == TEXT.encode()
    problem_of(api.get(f"/artifacts/{uuid4()}"), 404)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ('a";\r\nX-Evil: 1', "a_;__X-Evil_ 1"),
        ("../../etc/passwd", "_.._etc_passwd"),
        ("gnp.\u202etxt.exe", "gnp._txt.exe"),
        (" ", None),
    ],
)
def test_a_name_cannot_change_the_answer(api: Api, make: Make, name: str, shown: str | None) -> None:
    artifact = make(api, b"x", name=name, media_type="text/html\r\nX-Evil: 1")
    response = api.get(f"/artifacts/{artifact.pk}")
    assert response.headers["Content-Disposition"] == f'attachment; filename="{shown or artifact.pk}"'
    assert response.headers["Content-Type"] == "application/octet-stream"
    assert "X-Evil" not in response.headers


@pytest.mark.parametrize(
    ("header", "part"),
    [("bytes=0-0", b"0"), ("bytes=2-4", b"234"), ("bytes=7-", b"789"), ("bytes=-3", b"789"),
     ("bytes=-99", b"0123456789"), ("bytes=8-99999999999999999999999", b"89"), ("Bytes = 1-2", b"12")],
)  # fmt: skip
def test_a_range_is_answered(api: Api, make: Make, header: str, part: bytes) -> None:
    address = f"/artifacts/{make(api, b'0123456789').pk}"
    api.headers["Range"] = header
    response = api.get(address)
    assert (response.status_code, body(response)) == (206, part)
    start = b"0123456789".index(part)
    assert response.headers["Content-Range"] == f"bytes {start}-{start + len(part) - 1}/10"
    assert response.headers["Content-Length"] == str(len(part))


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=10-12", "bytes=-0", "bytes=" + "9" * 5_000 + "-"])
def test_a_range_that_is_not_there_is_a_416_that_says_the_size(api: Api, make: Make, header: str) -> None:
    api.headers["Range"] = header
    response = api.get(f"/artifacts/{make(api, b'0123456789').pk}")
    assert problem_of(response, 416)["type"] == "/problems/range-not-satisfiable"
    assert response.headers["Content-Range"] == "bytes */10"


@pytest.mark.parametrize("header", ["bytes=1-2,4-5", "bytes=-", "bytes=5-2", "lines=1-2", "bytes=a-b", "bytes"])
def test_a_range_that_is_not_understood_is_answered_with_the_whole(api: Api, make: Make, header: str) -> None:
    api.headers["Range"] = header
    response = api.get(f"/artifacts/{make(api, b'0123456789').pk}")
    assert (response.status_code, body(response)) == (200, b"0123456789")


def test_what_a_client_has_is_not_sent_again(api: Api, make: Make) -> None:
    artifact = make(api, b"0123456789")
    address, tag = f"/artifacts/{artifact.pk}", f'"{artifact.sha256}"'

    def status(**headers: str) -> int:
        code: int = api.client.get(address, headers=api.headers | headers).status_code
        return code

    assert status(**{"If-None-Match": f'"x", W/{tag}'}) == status(**{"If-None-Match": "*"}) == 304
    assert status(**{"If-None-Match": '"x"'}) == 200
    assert status(**{"Range": "bytes=1-2", "If-Range": tag}) == 206
    for other in ('"x"', f"W/{tag}", "Wed, 01 Jan 2025 00:00:00 GMT"):
        assert status(**{"Range": "bytes=1-2", "If-Range": other}) == 200


def test_head_says_the_same_without_the_content(api: Api, make: Make) -> None:
    address = f"/artifacts/{make(api, b'0123456789').pk}"
    response = api.client.head(address, headers=api.headers)
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["Content-Length"] == "10"


def test_a_file_that_is_gone_or_another_is_a_problem_of_its_own(api: Api, make: Make, store: Path) -> None:
    artifact = make(api, b"0123456789")
    path = store / str(artifact.file.name)
    for damage in (lambda: path.write_bytes(b"012345"), path.unlink):
        damage()
        problem = problem_of(api.get(f"/artifacts/{artifact.pk}"), 410)
        assert problem["type"] == "/problems/content-missing"
        assert str(store) not in str(problem)


def test_a_store_that_is_away_is_a_503(api: Api, make: Make, store: Path) -> None:
    artifact = make(api)
    store.rename(store.with_name("unmounted"))
    answers = [api.get(f"/artifacts/{artifact.pk}")]
    store.with_name("unmounted").rename(store)
    path = store / str(artifact.file.name)
    path.unlink()
    # A link to itself cannot be opened, and that is no missing file.
    path.symlink_to(path)
    answers.append(api.get(f"/artifacts/{artifact.pk}"))
    for answer in answers:
        assert str(store) not in str(problem_of(answer, 503))
        assert int(answer.headers["Retry-After"]) >= 1


class NoEndpoint(Exception):
    """As botocore says that nothing answers."""


class ClientError(Exception):
    """As botocore says that an answer was no success."""

    def __init__(self, status: int) -> None:
        super().__init__(f"An error occurred ({status}) when calling the HeadObject operation at {PRIVATE}")
        self.response = {"Error": {"Code": str(status)}, "ResponseMetadata": {"HTTPStatusCode": status}}


NoEndpoint.__module__, NoEndpoint.__qualname__ = "botocore.exceptions", "BotoCoreError"


class ObjectStorage(FileSystemStorage):
    """A store of objects in front of which `error` stands."""

    error: Exception | None = None

    def _open(self, name: str, mode: str = "rb") -> Any:
        if self.error is not None:
            raise self.error
        return super()._open(name, mode)  # type: ignore[misc]


@pytest.mark.parametrize("error", [NoEndpoint(PRIVATE), ClientError(503), ClientError(403)], ids=str)
def test_a_store_of_objects_that_is_away_is_a_503_too(
    api: Api, make: Make, store: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    artifact = make(api)
    storage = ObjectStorage(location=store)
    storage.error = error
    monkeypatch.setattr(Artifact._meta.get_field("file"), "storage", storage)

    answer = api.get(f"/artifacts/{artifact.pk}")

    assert PRIVATE not in str(problem_of(answer, 503))
    assert int(answer.headers["Retry-After"]) >= 1
    storage.error = None
    assert body(api.get(f"/artifacts/{artifact.pk}")) == TEXT.encode()


def test_an_artifact_of_another_tenant_is_as_unknown_as_one_that_nobody_has(
    api: Api, other_api: Api, make: Make
) -> None:
    artifact, nobodys = make(other_api), uuid4()
    for address in ("/artifacts/{}", "/tasks/{}/artifacts"):
        foreign = artifact.pk if address.startswith("/artifacts") else artifact.workflow_id
        answers = [problem_of(api.get(address.format(pk)), 404)["detail"] for pk in (foreign, nobodys)]
        assert answers[0].replace(str(foreign), str(nobodys)) == answers[1]
