from __future__ import annotations

import pytest

from agentapp.services import metrics


@pytest.fixture(autouse=True)
def postgres_has_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that is busy may be slower than a scrape may be."""
    monkeypatch.setattr(metrics, "STATEMENT_TIMEOUT_S", 60.0)
    monkeypatch.setattr(metrics, "WAIT_S", 60.0)
