"""One offline model server for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.offline_model.process import OfflineModel


@pytest.fixture(scope="session")
def model_process() -> Iterator[OfflineModel]:
    with OfflineModel() as process:
        yield process


@pytest.fixture
def model(model_process: OfflineModel) -> OfflineModel:
    """The running server, without the faults of other tests."""
    model_process.reset()
    return model_process
