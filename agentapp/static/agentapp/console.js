import { follow } from "./stream.js";

/* Keeps the pages of the console as they are on the server. A page names its parts with data-part; when something has
   happened they are fetched again, and those that differ are replaced. A part in which somebody writes is left alone
   until they are done. */

const TOGETHER_MS = 150;
// Bars of what runs grow, and so do ages.
const GROW_MS = 3_000;

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
  } catch {
    // The stream says whether the service can be reached, and the next look shows what this one did not.
  } finally {
    fetching = false;
    if (again) { again = false; soon(); }
  }
}

function soon() {
  if (due) return;
  due = setTimeout(() => { due = 0; look(); }, TOGETHER_MS);
}

/* The text of the jobs that write, as it arrives. */
const texts = new Map();

function write() {
  const place = document.getElementById("writing");
  const text = [...texts.values()].at(-1) ?? "";
  place.hidden = text === "";
  place.querySelector(".written").textContent = text;
}

async function token() {
  const answer = await fetch(root.dataset.token, { method: "POST", body: new FormData(root.querySelector(".token")) });
  // Who is not logged in any more is sent to a page.
  if (answer.redirected || answer.status === 403) return "";
  if (!answer.ok) throw new Error(`no token: ${answer.status}`);
  return (await answer.json()).token;
}

const WORDS = {
  connecting: ["Connecting", "connecting"],
  open: ["Live", "live"],
  offline: ["The connection is lost. This page goes on by itself when it is back.", "away"],
};
const ENDS = {
  done: ["", "over"],
  access: ["You may not follow this any longer. Load the page again to log in.", "away"],
  missing: ["This task is not there any more.", "away"],
};

const isOver = () => task !== null && root.querySelector("[data-part=facts][data-over]") !== null;

function live() {
  follow({
    url: root.dataset.stream,
    token,
    onEvent({ type, data }) {
      if (type === "job" && data.state !== "running" && texts.delete(data.job.id)) write();
      soon();
    },
    onText({ job, text }) {
      texts.set(job, text);
      if (task) write();
    },
    onState(state, reason) {
      say(...(state === "ended" ? ENDS[reason] : WORDS[state]));
      // What happened while nothing was heard.
      if (state === "open") soon();
    },
  });
}

function grow() {
  if (isOver()) return;
  if (document.visibilityState === "visible") soon();
  setTimeout(grow, GROW_MS);
}

if (task && !isOver()) setTimeout(grow, GROW_MS);
if (root && (task ? !isOver() : root.dataset.whole)) live();
