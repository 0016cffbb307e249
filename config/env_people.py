"""The settings of how people sign in. See config/env.py."""

from __future__ import annotations

from functools import partial

from config.setting import Setting, flag, number, whole

LOGIN_FAILURES = Setting(
    "AGENTAPP_LOGIN_FAILURES",
    5,
    partial(whole, least=1),
    "5",
    "After so many wrong passwords for a name from one address, sign-in with that name pauses for that address.",
)
LOGIN_PAUSE_MINUTES = Setting(
    "AGENTAPP_LOGIN_PAUSE_MINUTES",
    15.0,
    partial(number, least=0.01),
    "15",
    "How long sign-in pauses after that.",
    unit="minutes",
)
PROXIES = Setting(
    "AGENTAPP_PROXIES",
    0,
    whole,
    "1",
    "How many proxies of yours stand before the web process and add to X-Forwarded-For: the address of a person who "
    "signs in is the one before theirs. 0: the address that connects.",
)
SECOND_FACTOR_REQUIRED = Setting(
    "AGENTAPP_SECOND_FACTOR_REQUIRED",
    False,
    flag,
    "1",
    "People must set up a second factor before they see anything else.",
)
SESSION_HOURS = Setting(
    "AGENTAPP_SESSION_HOURS",
    12.0,
    partial(number, least=0.01),
    "12",
    "After so long a person must sign in again, whatever they do.",
    unit="hours",
)
SESSION_IDLE_HOURS = Setting(
    "AGENTAPP_SESSION_IDLE_HOURS",
    2.0,
    number,
    "2",
    "After so long without a page that they open or send, a person must sign in again. 0: not before "
    "AGENTAPP_SESSION_HOURS.",
    unit="hours",
)
