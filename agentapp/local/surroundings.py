"""The environment that the processes of a local stack live in."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from agentapp.dispatch.brokers import choice
from agentapp.local import ports
from agentapp.local.child import MARK

_OPENAI_URL = "https://api.openai.com/v1"


@dataclass(frozen=True, kw_only=True)
class Ports:
    """Where the processes listen, all on loopback."""

    web: int
    flower: int
    model: int
    valkey: int

    @classmethod
    def choose(cls, *, web: int) -> Ports:
        """Take the wanted port for the web (0 = a free one) and free ones for the others.

        Raises:
            StackProblem: the wanted one is taken.
        """
        flower, model, valkey = ports.free(3)
        return cls(web=ports.wanted(web), flower=flower, model=model, valkey=valkey)


def is_offline(environ: Mapping[str, str]) -> bool:
    """Return whether no model provider is named, so that the offline model server has to answer."""
    return not environ.get("OPENAI_API_KEY") and not environ.get("OPENAI_BASE_URL")


def model_url(environ: Mapping[str, str], chosen: Ports) -> str:
    if is_offline(environ):
        return f"http://{ports.HOST}:{chosen.model}/v1"
    return environ.get("OPENAI_BASE_URL") or _OPENAI_URL


def common(
    environ: Mapping[str, str], *, home: Path, chosen: Ports, database_url: str, redis_url: str
) -> dict[str, str]:
    """Return what all processes get: ours over the caller's, whose wishes win where nothing depends on us."""
    wishes = {"AGENTAPP_LOG_FORMAT": "json", "DJANGO_SETTINGS_MODULE": "config.settings", **environ}
    if is_offline(environ):
        url = model_url(environ, chosen)
        # Named in words, because most processes are not given the key that would tell.
        wishes = {
            "AGENTAPP_MODEL": "offline",
            "AGENTAPP_EMBEDDING_URL": url,
            "AGENTAPP_EMBEDDING_MODEL": "offline",
        } | wishes
        wishes["OPENAI_BASE_URL"] = url
    else:
        wishes.setdefault("OPENAI_BASE_URL", _OPENAI_URL)
    return {
        **wishes,
        MARK: str(home),
        "AGENTAPP_HOME": str(home),
        "AGENTAPP_FLOWER_URL": flower_url(environ, chosen),
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        # The Procfile says `python`: it must be this one.
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{environ.get('PATH', os.defpath)}",
        "PYTHONUNBUFFERED": "1",
    }


def of_one(name: str, chosen: Ports, *, user: str, password: str) -> dict[str, str]:
    """Return what one process gets beside the common: its port, and for Flower the credentials that it asks for."""
    return {
        "web": {"PORT": str(chosen.web)},
        "flower": {"FLOWER_PORT": str(chosen.flower), "FLOWER_BASIC_AUTH": f"{user}:{password}"},
        "model": {"MODEL_PORT": str(chosen.model)},
    }.get(name, {})


def web_url(chosen: Ports) -> str:
    return f"http://{ports.HOST}:{chosen.web}"


def runs_flower(environ: Mapping[str, str]) -> bool:
    """Whether the broker lets anybody ask the workers: without that Flower ends at once."""
    url = environ.get("BROKER_URL", "")
    return not url or choice.of(url).capabilities.remote_control


def flower_url(environ: Mapping[str, str], chosen: Ports) -> str:
    """Where Flower is; empty where it does not run."""
    return f"http://{ports.HOST}:{chosen.flower}" if runs_flower(environ) else ""
