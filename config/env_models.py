"""The settings of models: which provider answers, and which one turns texts into vectors. See config/env.py."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network

from config import addresses
from config.setting import Setting, api_key, networks, some_time, text

MODEL_API_KEY = Setting(
    "OPENAI_API_KEY",
    "",
    api_key,
    "sk-...",
    "Key of the model provider. Unset: the offline model server that comes with the project.",
    secret=True,
)
MODEL_BASE_URL = Setting(
    "OPENAI_BASE_URL",
    "",
    addresses.base_url,
    "https://api.openai.com/v1",
    "Address of an OpenAI-compatible provider. Unset: OpenAI's own with a key, the offline model server without.",
)
MODEL = Setting(
    "AGENTAPP_MODEL",
    "",
    text,
    "gpt-5-mini",
    "Model that job types use unless they name another. Unset: gpt-5-mini with a key, offline without.",
)
MODEL_TIMEOUT_S = Setting(
    "AGENTAPP_MODEL_TIMEOUT_S", 60.0, some_time, "60", "How long one model call may take.", unit="seconds"
)
MODEL_ALLOWED_NETWORKS: Setting[list[IPv4Network | IPv6Network]] = Setting(
    "AGENTAPP_MODEL_ALLOWED_NETWORKS",
    [],
    networks,
    "10.30.0.0/16, fd00:30::/64",
    "Networks that are not public and in which providers may be that a model choice names, over http too and at every "
    "port.",
)
EMBEDDING_URL = Setting(
    "AGENTAPP_EMBEDDING_URL",
    "",
    addresses.base_url,
    "https://api.openai.com/v1",
    "Address of the embedding model. Unset: the offline model server when it runs, else search is full text alone.",
)
EMBEDDING_KEY = Setting(
    "AGENTAPP_EMBEDDING_KEY", "", api_key, "sk-...", "Key for the address of the embedding model.", secret=True
)
EMBEDDING_OLD_URL = Setting(
    "AGENTAPP_EMBEDDING_OLD_URL",
    "",
    addresses.base_url,
    "https://api.openai.com/v1",
    "Address of the embedding model before this one, which searches use until `manage.py reembed` is done. Unset: the "
    "same address.",
)
EMBEDDING_OLD_KEY = Setting(
    "AGENTAPP_EMBEDDING_OLD_KEY", "", api_key, "sk-...", "Key for the address of the model before.", secret=True
)
EMBEDDING_MODEL = Setting(
    "AGENTAPP_EMBEDDING_MODEL",
    "",
    text,
    "text-embedding-3-small",
    "Name of the embedding model. Unset: the offline one when its server runs.",
)
