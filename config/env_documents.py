"""The settings of files that are taken into the knowledge base. See config/env.py."""

from __future__ import annotations

from config.setting import Setting, whole

UPLOAD_MAX_BYTES = Setting(
    "AGENTAPP_UPLOAD_MAX_BYTES", 20_000_000, whole, "20000000", "Largest file that may be uploaded.", unit="bytes"
)
PARSE_MEMORY_MB = Setting(
    "AGENTAPP_PARSE_MEMORY_MB",
    512,
    whole,
    "512",
    "Address space of the process that reads one uploaded file; a file that needs more is refused.",
    unit="megabytes",
)
PARSE_CPU_S = Setting(
    "AGENTAPP_PARSE_CPU_S",
    60,
    whole,
    "60",
    "Time of a processor that reading one uploaded file may take; a file that needs more is refused.",
    unit="seconds",
)
PARSE_MAX_PAGES = Setting(
    "AGENTAPP_PARSE_MAX_PAGES", 2_000, whole, "2000", "Most pages of a PDF that is uploaded.", unit="pages"
)
