/* Refreshes the first page while somebody looks at it. Without it the page is the same, and its link "Refresh" works. */
"use strict";

const EVERY_MS = 10_000;
const panel = document.getElementById("overview");
const late = document.getElementById("overview-late");
let timer = 0;

async function refresh() {
  // What somebody is about to send must not change or vanish under the hand.
  if (panel.querySelector(".switch[open]")) return;
  try {
    const answer = await fetch(panel.dataset.refresh + location.search, { headers: { Accept: "text/html" } });
    // A session that has ended is answered with the form to log in.
    if (answer.redirected) throw new Error("You are no longer logged in. Reload the page.");
    if (!answer.ok) throw new Error(`The server answered ${answer.status}.`);
    const text = await answer.text();
    if (!panel.querySelector(".switch[open]")) show(text);
    late.hidden = true;
  } catch (error) {
    late.textContent = `These numbers were not refreshed. ${error instanceof TypeError ? "The server does not answer." : error.message}`;
    late.hidden = false;
  }
}

/* Open tables stay open, and the keyboard stays where it was. */
function show(text) {
  const open = [...panel.querySelectorAll("details[open]")].map((table) => table.id);
  const places = [...panel.querySelectorAll("a, summary, [tabindex]")];
  const at = places.indexOf(document.activeElement);
  panel.innerHTML = text;
  for (const id of open) document.getElementById(id)?.setAttribute("open", "");
  if (at >= 0) panel.querySelectorAll("a, summary, [tabindex]")[at]?.focus({ preventScroll: true });
}

function run() {
  clearTimeout(timer);
  if (document.hidden) return;
  timer = setTimeout(async () => {
    await refresh();
    run();
  }, EVERY_MS);
}

document.addEventListener("visibilitychange", async () => {
  clearTimeout(timer);
  if (!document.hidden) {
    await refresh();
    run();
  }
});
run();
