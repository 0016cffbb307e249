"""The two ways in which people use a page in a browser: a mouse, and a keyboard alone. [G4]"""

from __future__ import annotations

from datetime import date
from typing import Protocol

from playwright.sync_api import Locator, Page, expect

from tests.browser import press

# Rows of a list, and turns on the way to a control: of buttons of which one is chosen, Tab stops at one alone, and in a
# field of a date at each of its parts.
MOST_ROWS, MOST_TURNS = 60, 16
# True, or what is wrong with where the keyboard is: nothing says so, or something else covers it.
_IS_SEEN = """(element) => {
  if (!element.matches(":focus-visible")) return "no focus that shows";
  // A box that stands for a form, or a row, shows it too.
  const style = getComputedStyle(element);
  if (style.outlineStyle === "none" || parseFloat(style.outlineWidth) < 1) return "no outline";
  const box = element.getBoundingClientRect();
  const places = [[0.5, 0.5], [0.05, 0.1], [0.95, 0.1], [0.05, 0.9], [0.95, 0.9]];
  const hits = places.map(([x, y]) => document.elementFromPoint(box.left + x * box.width, box.top + y * box.height));
  return hits.some((hit) => hit && (element.contains(hit) || hit.contains(element) && hit !== document.body
    && !hit.matches(".decide"))) || "covered, or out of sight";
}"""
_STOPS = (
    "a[href], button:enabled, input:enabled:not([type=hidden]), select:enabled, textarea:enabled, summary, [tabindex]"
)
# How many stops an element is ahead of the keyboard, less than none if it is behind; and whether the keyboard has moved
# since it was asked last.
_WAY = f"""(element) => {{
  const stop = document.activeElement;
  const moved = stop !== window.lastStop || ["date", "datetime-local"].includes(stop.type);
  window.lastStop = stop;
  const stops = [...document.querySelectorAll({_STOPS!r})]
    .filter((each) => each === element || each.tabIndex >= 0 && each.checkVisibility({{ visibilityProperty: true }}));
  const isBehind = (each) => stop.compareDocumentPosition(each) & Node.DOCUMENT_POSITION_PRECEDING;
  const at = stops.includes(stop) ? stops.indexOf(stop)
    : stop === document.body ? -1 : stops.filter(isBehind).length - 1;
  return [stop === element ? 0 : stops.indexOf(element) - at, moved];
}}"""
_HERE = "(element) => document.activeElement === element"
_NAME = "(document.activeElement ?? document.body).outerHTML.slice(0, 200)"


class Hand(Protocol):
    """What a person does with a control. `key` is the page's own shortcut, where it has one; `near` leads near it."""

    def use(self, control: Locator, *, key: str = "", near: str = "") -> None:
        """Follow a link, press a button, tick a box, open what is folded."""

    def write(self, field: Locator, text: str, *, key: str = "") -> None:
        """Replace the text of a field."""

    def choose(self, select: Locator, words: str) -> None:
        """Choose one of a list by what it says."""

    def choose_day(self, field: Locator, day: date) -> None:
        """Enter a date."""

    def open(self, row: Locator) -> None:
        """Follow the link of a row in a list."""


class Mouse:
    """Points at what is seen. A hidden or covered control cannot be used."""

    def use(self, control: Locator, *, key: str = "", near: str = "") -> None:
        control.click()

    def write(self, field: Locator, text: str, *, key: str = "") -> None:
        if key:
            # The shortcut opens what a pointer opens by its summary.
            field.locator(f"xpath=ancestor::details[@data-key='{key}']/summary").click()
        field.fill(text)

    def choose(self, select: Locator, words: str) -> None:
        select.select_option(label=words)

    def choose_day(self, field: Locator, day: date) -> None:
        field.fill(day.isoformat())

    def open(self, row: Locator) -> None:
        row.click()


class Keyboard:
    """Reaches a control by its shortcut, or by Tab, and sees where it is."""

    def use(self, control: Locator, *, key: str = "", near: str = "") -> None:
        page = control.page
        if near:
            press(page, near)
        if key:
            is_link = control.evaluate("(element) => element instanceof HTMLAnchorElement")
            press(page, key)
            if is_link:
                return
            _see(control)
        else:
            reach(control)
        is_box = control.evaluate("(element) => element.type === 'checkbox'")
        press(page, "Space" if is_box else "Enter")

    def write(self, field: Locator, text: str, *, key: str = "") -> None:
        if key:
            press(field.page, key)
        if not field.evaluate(_HERE):
            reach(field)
        _see(field)
        press(field.page, "Control+a")
        field.page.keyboard.insert_text(text)

    def choose(self, select: Locator, words: str) -> None:
        reach(select)
        select.page.keyboard.type(words)
        said = select.evaluate("(element) => element.selectedOptions[0].textContent.trim()")
        assert said == words, said

    def choose_day(self, field: Locator, day: date) -> None:
        reach(field)
        # In the order of the browser's language, which is that of the United States.
        field.page.keyboard.type(f"{day:%m%d%Y}")
        expect(field).to_have_value(day.isoformat())

    def open(self, row: Locator) -> None:
        for _ in range(MOST_ROWS):
            press(row.page, "j")
            if row.evaluate(_HERE):
                break
        _see(row)
        press(row.page, "Enter")


def reach(control: Locator) -> None:
    """Go to a control by Tab, or back by Shift+Tab where it is nearer."""
    page = control.page
    page.wait_for_load_state("load")
    control.wait_for()
    # Found once: to look for it by its name at every stop costs more than all else.
    target = control.element_handle()
    page.evaluate("delete window.lastStop")
    for _ in range(MOST_TURNS):
        ahead, has_moved = target.evaluate(_WAY)
        if ahead == 0:
            return _see(control)
        assert has_moved, f"a trap: {page.evaluate(_NAME)}"
        for _ in range(abs(ahead)):
            press(page, "Tab" if ahead > 0 else "Shift+Tab")
    raise AssertionError(f"{control} is not reached by Tab: the keyboard is at {page.evaluate(_NAME)}")


def unseen_stops(page: Page) -> list[str]:
    """Put the keyboard on each stop of a page, and return what is wrong with those on which it is not seen."""
    page.wait_for_load_state("load")
    # From a stop that the keyboard has reached, the focus shows on the next one too.
    press(page, "Tab")
    found: list[str] = page.evaluate(f"""() => [...document.querySelectorAll({_STOPS!r})]
      .filter((element) => element.tabIndex >= 0 && element.checkVisibility({{ visibilityProperty: true }}))
      .flatMap((element) => {{
        element.focus();
        const seen = element === document.activeElement ? ({_IS_SEEN})(element) : "cannot be reached";
        return seen === true ? [] : [`${{seen}}: ${{element.outerHTML.slice(0, 160)}}`];
      }})""")
    return found


def _see(control: Locator) -> None:
    seen = control.evaluate(_IS_SEEN)
    assert seen is True, f"{control}: {seen}"


HANDS: dict[str, Hand] = {"keyboard": Keyboard(), "mouse": Mouse()}
