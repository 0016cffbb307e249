/* Keeps the pages of the console as they are on the server. A page names its parts with data-part; when something has
   happened they are fetched again, and those that differ are replaced. A part in which somebody writes is left alone
   until they are done. */

const TOGETHER_MS = 150;
const LOOK_MS = 3_000;

const list = document.querySelector("[data-live-list]");
const task = document.querySelector("[data-live-task]");
const root = task ?? list;

let due = 0;
let fetching = false;
let again = false;

function say(words, state) {
  const place = root.querySelector("[data-says]");
  if (place.textContent !== words) place.textContent = words;
  place.dataset.state = state;
}

/* Open details, or a field that was changed: what the person does here is not to be lost. */
function isInUse(part) {
  const fields = [...part.querySelectorAll("input:not([type=hidden]), textarea, select")];
  return part.querySelector("details[open]") !== null
    || (part.contains(document.activeElement) && document.activeElement.matches("input, textarea, select, button"))
    || fields.some((field) => field.value !== (field.defaultValue ?? field.value));
}

function show(html) {
  const fresh = new DOMParser().parseFromString(html, "text/html");
  for (const part of fresh.querySelectorAll("[data-part]")) {
    const old = root.querySelector(`[data-part="${part.dataset.part}"]`);
    // Tokens against forgery differ each time.
    const text = (element) => element.outerHTML.replace(/name="csrfmiddlewaretoken" value="[^"]*"/g, "");
    if (!old || text(old) === text(part) || isInUse(old)) continue;
    const inside = old.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    old.replaceWith(document.adoptNode(part));
    if (inside) part.querySelector(`[href="${CSS.escape(inside)}"]`)?.focus();
  }
}

async function look() {
  if (fetching) { again = true; return; }
  fetching = true;
  try {
    const answer = await fetch(root.dataset.parts, { headers: { Accept: "text/html" }, redirect: "error" });
    if (answer.ok) show(await answer.text());
    return answer.ok;
  } catch {
    return false;
  } finally {
    fetching = false;
    if (again) { again = false; soon(); }
  }
}

function soon() {
  if (due) return;
  due = setTimeout(() => { due = 0; look(); }, TOGETHER_MS);
}

const isOver = () => task !== null && root.querySelector("[data-part=facts][data-over]") !== null;

/* Without a stream: look now and then. */
async function lookAgain() {
  if (isOver()) return say("", "over");
  if (document.visibilityState === "visible") {
    if (await look()) say("Live", "live");
    else say("The connection is lost. This page goes on by itself.", "away");
  }
  setTimeout(lookAgain, LOOK_MS);
}

if (root && (task || root.dataset.whole)) lookAgain();
