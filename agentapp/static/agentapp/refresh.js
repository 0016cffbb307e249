/* Keeps the parts of a page as they are on the server: the page is fetched again while [data-refresh] stands in it, which
   names the seconds between, and what differs in a [data-part] is replaced. Nothing is asked while the page is hidden.
   Without this script the link "Reload" does the same. A part in which somebody writes is left alone. */
"use strict";

const pause = () => Number(document.querySelector("[data-refresh]")?.dataset.refresh ?? 0) * 1000;
const withoutTokens = (html) => html.replace(/name="csrfmiddlewaretoken" value="[^"]*"/g, "");
let timer = 0;

function isInUse(part) {
  return part.querySelector("details[open] textarea") !== null || part.contains(document.activeElement);
}

function show(html) {
  const fresh = new DOMParser().parseFromString(html, "text/html");
  for (const old of document.querySelectorAll("[data-part]")) {
    const part = fresh.querySelector(`[data-part="${old.dataset.part}"]`);
    if (part && withoutTokens(part.outerHTML) !== withoutTokens(old.outerHTML) && !isInUse(old)) {
      old.replaceWith(document.adoptNode(part));
    }
  }
}

async function look() {
  timer = 0;
  try {
    // Who is not logged in any more would be sent to another page.
    const answer = await fetch(location.pathname, { headers: { Accept: "text/html" }, redirect: "error", cache: "no-store" });
    if (answer.ok) show(await answer.text());
  } catch {
    // The next look shows what this one did not.
  }
  plan();
}

function plan() {
  if (!timer && pause() && document.visibilityState === "visible") timer = setTimeout(look, pause());
}

document.addEventListener("visibilitychange", () => {
  clearTimeout(timer);
  timer = 0;
  if (pause() && document.visibilityState === "visible") look();
});
plan();
