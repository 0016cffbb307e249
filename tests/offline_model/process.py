"""The offline model server as a process of its own, for any test that needs a provider."""

from agentapp.testing.offline_model import OfflineModel as OfflineModel
