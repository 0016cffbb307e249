/* Texts that a person writes on the page of an approval are kept in this browser until it is decided: a conflict, an
   expired session, another page or a crash loses nothing. They are kept for one person and one approval, offered again
   to this person alone, and forgotten after the decision, or after 30 days. */
"use strict";

(() => {
  const PREFIX = "agentapp.draft:";
  const DAYS_MS = 30 * 24 * 60 * 60 * 1000;
  const COOKIE = "agentapp_decided";

  function read(key) {
    try {
      const entry = JSON.parse(localStorage.getItem(key));
      return entry && typeof entry.at === "number" && typeof entry.texts === "object" ? entry : null;
    } catch {
      return null;
    }
  }

  /* Whether it could be kept: a browser may be full, or keep nothing. */
  function write(key, entry) {
    try {
      if (entry) localStorage.setItem(key, JSON.stringify(entry));
      else localStorage.removeItem(key);
      return true;
    } catch {
      return false;
    }
  }

  function keys() {
    try {
      return Object.keys(localStorage).filter((key) => key.startsWith(PREFIX));
    } catch {
      return [];
    }
  }

  function forget() {
    const decided = document.cookie.split("; ").find((part) => part.startsWith(`${COOKIE}=`));
    const mine = decided ? PREFIX + decodeURIComponent(decided.slice(COOKIE.length + 1)).replaceAll('"', "") : "";
    for (const key of keys()) {
      const entry = read(key);
      if (key === mine || !entry || Date.now() - entry.at > DAYS_MS) write(key, null);
    }
    if (decided) document.cookie = `${COOKIE}=; Max-Age=0; Path=/; SameSite=Lax`;
  }

  const lines = (text) => text.replace(/\r\n?/g, "\n");
  const original = (field) => lines(field.dataset.original ?? field.defaultValue);
  const isChanged = (field) => lines(field.value) !== original(field);

  /* Beside a recipient that was edited: to whom it goes now. */
  function tellRecipient(field, place) {
    const name = (text) => Object.assign(document.createElement("b"), { dir: "auto", textContent: text });
    const notice = Object.assign(document.createElement("p"), { className: "notice failed goes-to" });
    notice.append("It goes to ", name(field.value.trim() || "nobody"), " instead of ", name(original(field)), ".");
    const shown = isChanged(field) ? [notice] : [];
    // What is said already is not said again.
    if (place.textContent !== shown.map((each) => each.textContent).join("")) place.replaceChildren(...shown);
  }

  function start() {
    forget();
    const page = document.querySelector("[data-approval]");
    if (!page) return;
    const key = `${PREFIX}${page.dataset.person}:${page.dataset.approval}`;
    const fields = [...document.querySelectorAll("[data-draft]")];
    const form = document.getElementById("edit-form");
    const offer = document.getElementById("kept");
    let offered = null;

    const place = document.querySelector("[data-goes-to]");
    const recipient = document.getElementById("edit-to");
    let resting = 0;

    function update() {
      // Told to who listens when they rest, not at each letter.
      clearTimeout(resting);
      if (place && recipient) resting = setTimeout(() => tellRecipient(recipient, place), 400);
      const isDirty = fields.some((field) => field.form === form && isChanged(field));
      if (form) form.dataset.dirty = isDirty ? "yes" : "";
      const approves = document.querySelector("[data-approves]");
      if (approves) {
        // It can still be reached, so that its reason is read.
        approves.setAttribute("aria-disabled", String(isDirty));
        approves.setAttribute("aria-describedby", isDirty ? "why-not" : "next-approve");
        approves.classList.toggle("go", !isDirty);
      }
      for (const element of document.querySelectorAll("[data-saves], [data-drops], [data-why-not]")) element.hidden = !isDirty;
      for (const element of document.querySelectorAll("[data-next]")) element.hidden = isDirty;
      const score = document.querySelector("[data-evaluation-of]");
      if (score) score.textContent = isDirty ? "of the draft, not of your edit" : "of this text";
      if (score) score.classList.toggle("of-draft", isDirty);
    }

    function keep() {
      const texts = {};
      for (const field of fields) if (isChanged(field)) texts[field.id] = field.value;
      const isEmpty = Object.keys(texts).length === 0;
      const entry = isEmpty ? offered : { at: Date.now(), texts, before: offered ?? undefined };
      const isKept = write(key, entry);
      const note = document.querySelector("[data-kept-note]");
      if (note) {
        note.hidden = isEmpty;
        if (!isKept) note.textContent = "Your text cannot be kept in this browser: save it before you leave the page.";
      }
    }

    function propose(entry) {
      offered = entry;
      offer.hidden = !entry;
      if (!entry) return;
      const moment = new Date(entry.at);
      const time = moment.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
      const isToday = moment.toDateString() === new Date().toDateString();
      const says = `Your text of ${isToday ? time : `${moment.toLocaleDateString()} ${time}`} is kept.`;
      offer.querySelector("[data-kept-says]").textContent = says;
      const shown = offer.querySelector("[data-kept-text]");
      shown.hidden = true;
      shown.textContent = Object.values(entry.texts).join("\n\n");
    }

    function use() {
      const { texts, before } = offered;
      const mine = fields.filter((field) => field.id in texts);
      if (mine.length === 0) {
        offer.querySelector("[data-kept-text]").hidden = false;
        return;
      }
      for (const field of mine) {
        field.value = texts[field.id];
        const details = field.closest("details");
        if (details) details.open = true;
      }
      propose(before ?? null);
      keep();
      update();
      mine[mine.length - 1].focus();
    }

    const found = read(key);
    const isHere = found && Object.entries(found.texts).every(([id, text]) => {
      const field = document.getElementById(id);
      return field && lines(field.value) === lines(text);
    });
    const tooLate = document.getElementById("too-late");
    if (found && !isHere && !tooLate) propose(found);
    offer.querySelector("[data-kept-use]").addEventListener("click", use);
    offer.querySelector("[data-kept-drop]").addEventListener("click", () => {
      propose(offered.before ?? null);
      keep();
    });

    for (const field of fields) field.addEventListener("input", () => { keep(); update(); });
    // The browser shows the caret alone, behind the decisions that stick to the end of the window. A pointer stays where it presses.
    for (const field of fields) for (const type of ["focus", "click"]) {
      field.addEventListener(type, () => { if (!field.matches(":active")) field.scrollIntoView({ block: "nearest" }); });
    }
    if (form) {
      form.addEventListener("reset", (event) => {
        event.preventDefault();
        for (const field of fields) if (field.form === form) field.value = original(field);
        keep();
        update();
        const details = document.getElementById("edit");
        details.open = false;
        details.querySelector("summary").focus();
      });
      // One key in a line sends nothing; Ctrl+Enter does.
      form.addEventListener("keydown", (event) => {
        if (event.key === "Enter" && event.target.matches("input") && !event.ctrlKey && !event.metaKey) event.preventDefault();
      });
      form.addEventListener("submit", (event) => {
        const button = event.submitter;
        const isOff = button?.getAttribute("aria-disabled") === "true" || button?.hidden === true;
        if (isOff) event.preventDefault();
        if (isOff) event.stopImmediatePropagation();
      });
    }
    update();
    window.addEventListener("pageshow", update);
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
