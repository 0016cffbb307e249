/* Counts down the seconds for which an approved mail is held, and takes the button away when they are over. */
"use strict";

for (const notice of document.querySelectorAll("[data-undo]")) {
  const endsAt = performance.now() + 1000 * Number(notice.dataset.undo);
  const timer = setInterval(() => {
    const left = Math.max(0, Math.ceil((endsAt - performance.now()) / 1000));
    notice.querySelector("[data-undo-left]").textContent = left;
    if (left > 0) return;
    clearInterval(timer);
    notice.querySelector("[data-undo-text]").textContent = "It is being sent.";
    notice.querySelector("button").remove();
  }, 250);
}
