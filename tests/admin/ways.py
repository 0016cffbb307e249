"""Ways through the admin that the tasks of a walk share, by any hand."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, Page

from agentapp.models import Job
from agentapp.services import letter_groups
from tests.admin.hands import Hand

APPROVAL, LETTER = re.compile(r"/approval/[0-9a-f-]+/change/"), re.compile(r"/deadletter/[0-9a-f-]+/change/")


def open_first(hand: Hand, page: Page, address: re.Pattern[str]) -> None:
    hand.open(page.locator("#result_list tbody th a").first)
    page.wait_for_url(address, wait_until="load")


def go(hand: Hand, page: Page, link: Locator, address: str, *, key: str = "", near: str = "") -> None:
    """Follow a link, and return when its page is there."""
    hand.use(link, key=key, near=near)
    page.wait_for_url(re.compile(address), wait_until="load")


def choose_filter(hand: Hand, page: Page, words: str, address: str) -> None:
    link = page.locator("#changelist-filter").get_by_role("link", name=re.compile(f"^{words}$", re.IGNORECASE))
    go(hand, page, link, address, near="f")


def home(hand: Hand, page: Page, name: str, address: str) -> None:
    go(hand, page, page.get_by_role("navigation", name="Pages").get_by_role("link", name=name, exact=True), address)


def letter_of(page: Page) -> str:
    return page.url.split("/change/")[0].split("/")[-1]


def of_class(error: str) -> str:
    """The group of dead letters with this error, as lists ask for it."""
    job = Job.objects.filter(state="dead_lettered", error__class=error).first()
    assert job is not None
    return f"fingerprint={letter_groups.fingerprint_of(job)}"


def group_row(page: Page, error: str) -> Locator:
    return page.locator(".groups tbody tr").filter(has_text=error)
