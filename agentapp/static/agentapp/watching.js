/* Says who else looks at an approval, and when somebody has decided on it or edited it meanwhile. It asks every few seconds, and
   not while the tab is hidden. Without it the decision itself tells. */
"use strict";

const EVERY_MS = 5000;

for (const place of document.querySelectorAll("[data-watch]")) {
  let timer = 0;

  const sentence = (now) => {
    if (now.state !== "pending") {
      const state = now.state.replace("_", " ");
      return now.decided_by ? `${now.decided_by} decided meanwhile: ${state}. Reload the page.` : `It is ${state} by now. Reload the page.`;
    }
    if (now.content_sha256 !== place.dataset.sha256) return "Somebody has edited it meanwhile. Your text stays here; reload to read the new one.";
    if (!now.looking.length) return "";
    return `${now.looking.join(", ")} ${now.looking.length > 1 ? "are" : "is"} looking at this too.`;
  };

  const ask = async () => {
    try {
      const answer = await fetch(place.dataset.watch, { headers: { Accept: "application/json" }, redirect: "error" });
      if (!answer.ok) return;
      const now = await answer.json();
      place.textContent = sentence(now);
      place.classList.toggle("notice", now.state !== "pending" || now.content_sha256 !== place.dataset.sha256);
      if (now.state !== "pending") return;
    } catch {
      /* The service does not answer: the next look will tell. */
    }
    if (!document.hidden) timer = setTimeout(ask, EVERY_MS);
  };

  document.addEventListener("visibilitychange", () => {
    clearTimeout(timer);
    if (!document.hidden) ask();
  });
  if (!document.hidden) ask();
}
