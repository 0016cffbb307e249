"""Django's entry point for agentapp."""

from pathlib import Path

from django.apps import AppConfig


class AgentappConfig(AppConfig):
    name = "agentapp"
    verbose_name = "Agent work"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from agentapp import checks, conf, failpoints

        checks.register_all()
        if conf.failpoints():
            failpoints.arm(Path(conf.failpoints()))
