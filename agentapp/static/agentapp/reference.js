/* The reference of the API: finds operations, and sends requests with a key that stays in this tab. The page is whole
   without this script; what needs it is hidden until it runs. */

const KEY = "agentapp.api_key";
const LONGEST_SHOWN = 200_000;

const keyField = document.querySelector("[data-key-field]");
const keySays = document.querySelector("[data-key-says]");

for (const element of document.querySelectorAll("[data-key-form], [data-find], [data-try], [data-with-script]")) {
  element.hidden = false;
}

/* The key: in sessionStorage, which ends with the tab, and nowhere else. */
function sayKey() {
  keySays.textContent = sessionStorage.getItem(KEY) ? "Kept in this tab." : "";
}

keyField.value = sessionStorage.getItem(KEY) ?? "";
sayKey();
keyField.addEventListener("input", () => {
  const key = keyField.value.trim();
  if (key) sessionStorage.setItem(KEY, key);
  else sessionStorage.removeItem(KEY);
  sayKey();
});
document.querySelector("[data-key-form]").addEventListener("submit", (event) => event.preventDefault());
document.querySelector("[data-forget]").addEventListener("click", () => {
  keyField.value = "";
  sessionStorage.removeItem(KEY);
  sayKey();
  keyField.focus();
});

/* Finding: every word must stand somewhere in the operation. */
const find = document.getElementById("find");
const found = document.querySelector("[data-found]");
const operations = [...document.querySelectorAll("[data-operation]")];

function filter() {
  const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
  const matching = new Set(
    operations
      .filter((operation) => words.every((word) => operation.dataset.words.toLowerCase().includes(word)))
      .map((operation) => operation.dataset.operation),
  );
  for (const operation of operations) operation.hidden = !matching.has(operation.dataset.operation);
  for (const entry of document.querySelectorAll("[data-of]")) entry.hidden = !matching.has(entry.dataset.of);
  for (const group of document.querySelectorAll("[data-group]")) {
    group.hidden = group.querySelector("[data-of]:not([hidden]), [data-operation]:not([hidden])") === null;
  }
  const noun = matching.size === 1 ? "operation" : "operations";
  found.textContent = words.length ? `${matching.size} ${noun}` : "";
}

find.addEventListener("input", filter);
find.addEventListener("keydown", (event) => {
  if (event.key === "Escape") { find.value = ""; filter(); }
  if (event.key === "Enter") document.querySelector("[data-of]:not([hidden]) a")?.click();
});
document.addEventListener("keydown", (event) => {
  const isWriting = event.target.closest("input, textarea, select") !== null;
  if (event.key === "/" && !isWriting && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    find.focus();
    find.select();
  }
});

/* A link into what is filtered away shows everything again. */
function reveal() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target?.closest("[hidden]")) { find.value = ""; filter(); target.scrollIntoView(); }
}
window.addEventListener("hashchange", reveal);

/* Sending. */
function addressOf(form) {
  let path = form.dataset.path;
  const query = new URLSearchParams();
  const headers = new Headers();
  for (const field of form.querySelectorAll("[data-in]")) {
    const value = field.value.trim();
    if (field.dataset.in === "path") path = path.replace(`{${field.name}}`, encodeURIComponent(value));
    else if (!value) continue;
    else if (field.dataset.in === "header") headers.set(field.name, value);
    else for (const one of "repeats" in field.dataset ? value.split(",") : [value]) query.append(field.name, one.trim());
  }
  const asked = query.toString();
  return { url: document.body.dataset.server + path + (asked ? `?${asked}` : ""), headers };
}

function requestOf(form) {
  const { url, headers } = addressOf(form);
  const key = sessionStorage.getItem(KEY);
  if (key && "keyed" in form.dataset) headers.set("Authorization", `Bearer ${key}`);
  const body = form.querySelector("[data-body]");
  if (body) headers.set("Content-Type", body.dataset.type);
  return [url, { method: form.dataset.method, headers, body: body?.value, credentials: "omit", cache: "no-store" }];
}

const isText = (type) => /json|^text\/|xml/.test(type);

function shown(text, type) {
  if (!type.includes("json")) return text;
  try { return JSON.stringify(JSON.parse(text), null, 2); } catch { return text; }
}

/* Text is shown while it comes: a stream of events has no end. */
async function read(answer, place) {
  const type = answer.headers.get("Content-Type") ?? "";
  if (!answer.body) return;
  if (!isText(type)) {
    const bytes = await answer.blob();
    place.textContent = `${bytes.size} bytes of ${type || "an unknown type"}`;
    return;
  }
  let text = "";
  for (const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader(); ;) {
    const { value, done } = await reader.read();
    if (done) break;
    text = (text + value).slice(-LONGEST_SHOWN);
    place.textContent = text;
  }
  place.textContent = shown(text, type);
}

async function send(form) {
  const part = (name) => form.querySelector(`[data-${name}]`);
  const stop = part("stop");
  const controller = new AbortController();
  const [url, request] = requestOf(form);
  const began = performance.now();
  stop.onclick = () => controller.abort();
  stop.hidden = false;
  form.setAttribute("aria-busy", "true");
  part("result").hidden = false;
  for (const name of ["status", "took", "headers", "answer"]) part(name).textContent = "";
  try {
    const answer = await fetch(url, { ...request, signal: controller.signal });
    part("status").textContent = `${answer.status} ${answer.statusText}`.trim();
    part("status").className = `status ${answer.ok ? "good" : "bad"}`;
    part("took").textContent = `${Math.round(performance.now() - began)} ms, ${request.method} ${url}`;
    part("headers").textContent = [...answer.headers].map(([name, value]) => `${name}: ${value}`).join("\n");
    await read(answer, part("answer"));
  } catch (error) {
    if (error.name === "AbortError") part("took").textContent += " (stopped)";
    else { part("status").textContent = "No answer"; part("answer").textContent = String(error); }
  } finally {
    stop.hidden = true;
    form.removeAttribute("aria-busy");
  }
}

for (const form of document.querySelectorAll("[data-try]")) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if ("keyed" in form.dataset && !sessionStorage.getItem(KEY)) {
      keySays.textContent = "Enter a key first.";
      keyField.focus();
      return;
    }
    send(form);
  });
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); form.requestSubmit(); }
  });
}
