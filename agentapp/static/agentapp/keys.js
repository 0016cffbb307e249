/* Keys on pages with decisions. An element says its key in data-key: a link is followed, a <details> is opened and
   its first field focused, a form's first field is chosen, a button is focused (data-then names the key that presses it, so that one stray key sends
   nothing), and a button with data-opens opens that dialog. On touch screens there are no keys. Without this script all of it works by pointer and Tab. */
"use strict";

const targets = () => [...document.querySelectorAll("[data-key]")];
const isTouched = () => matchMedia("(pointer: coarse)").matches;
const isWriting = (element) => element.closest("input, textarea, select, [contenteditable]") !== null;

function act(element) {
  if (element instanceof HTMLDetailsElement) {
    document.querySelectorAll(".choices > details[open]").forEach((other) => { other.open = other === element; });
    element.open = true;
    (element.querySelector("[data-first]") ?? element.querySelector("textarea, input:not([type=hidden])")).focus();
    element.scrollIntoView({ block: "nearest" });
  } else if (element instanceof HTMLFormElement) {
    element.querySelector("[data-first]").select();
  } else if (element.dataset.opens) {
    document.getElementById(element.dataset.opens).showModal();
  } else if (element instanceof HTMLAnchorElement) {
    element.click();
  } else {
    element.focus();
  }
}

function leave(element) {
  const details = element.closest("details");
  element.blur();
  // Where a text in it would be hidden and forgotten, it stays open.
  if (details && !details.closest("form[data-dirty=yes]")) {
    details.open = false;
    details.querySelector("summary").focus();
  }
}

document.addEventListener("keydown", (event) => {
  const element = event.target;
  if (!(element instanceof Element) || document.querySelector("dialog[open]")) return;
  if (event.key === "Escape" && isWriting(element)) return leave(element);
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && element.form) {
    event.preventDefault();
    // Its first button says what is decided, wherever it stands.
    return element.form.requestSubmit([...element.form.elements].find((button) => button.type === "submit"));
  }
  if (isWriting(element) || event.ctrlKey || event.metaKey || event.altKey || event.repeat || isTouched()) return;
  const target = targets().find((candidate) => candidate.dataset.key === event.key);
  if (target) {
    event.preventDefault();
    act(target);
  }
});

document.querySelectorAll("[data-opens]").forEach((button) => {
  button.addEventListener("click", () => act(button));
});

/* A form is sent once: a second press while the first is under way would only read "already decided". */
document.addEventListener("submit", (event) => {
  if (event.target.dataset.sent) return event.preventDefault();
  if (event.target.method === "post") event.target.dataset.sent = "yes";
});
window.addEventListener("pageshow", () => {
  document.querySelectorAll("form[data-sent]").forEach((form) => { delete form.dataset.sent; });
});

if (isTouched()) {
  document.querySelectorAll("[aria-keyshortcuts]").forEach((element) => element.removeAttribute("aria-keyshortcuts"));
}

const list = document.getElementById("keys-list");
for (const target of list ? targets() : []) {
  const name = (target.querySelector("summary") ?? target).cloneNode(true);
  if (target instanceof HTMLFormElement) name.textContent = target.getAttribute("aria-label");
  name.querySelectorAll("kbd, form").forEach((part) => part.remove());
  const row = list.appendChild(document.createElement("div"));
  const key = row.appendChild(document.createElement("dt")).appendChild(document.createElement("kbd"));
  key.textContent = target.dataset.then ? `${target.dataset.key} ${target.dataset.then}` : target.dataset.key;
  row.appendChild(document.createElement("dd")).textContent = name.textContent.replace(/[←→]/g, "").trim();
}
