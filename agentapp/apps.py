"""Django's entry point for agentapp."""

from pathlib import Path

from django.apps import AppConfig


class AgentappConfig(AppConfig):
    name = "agentapp"
    verbose_name = "Agent work"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from agentapp import checks, conf, failpoints
        from agentapp.dispatch import teller
        from agentapp.lifecycle import changes

        checks.register_all()
        changes.listen(teller.teller.tell)
        if conf.failpoints():
            failpoints.arm(Path(conf.failpoints()))
