"""Django's entry point for agentapp."""

from django.apps import AppConfig


class AgentappConfig(AppConfig):
    name = "agentapp"
    verbose_name = "Agent work"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from agentapp import checks

        checks.register_all()
