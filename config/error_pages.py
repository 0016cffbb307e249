"""Django's page about an error, which DJANGO_DEBUG=1 shows: with settings and local variables, without secrets."""

from __future__ import annotations

from django.utils.safestring import SafeString
from django.views.debug import ExceptionReporter

from agentapp import redaction


class RedactingReporter(ExceptionReporter):
    """What Django takes for a secret is judged by the name of a setting; the value of another one may hold one too."""

    def get_traceback_html(self) -> SafeString:
        return SafeString(redaction.redacted(super().get_traceback_html()))

    def get_traceback_text(self) -> SafeString:
        return SafeString(redaction.redacted(super().get_traceback_text()))
