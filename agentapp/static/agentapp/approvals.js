/* Keys of the list of approvals: j and k go from row to row, Enter opens one, and a, e, r, x open it at that decision. On the
   page of an approval the address then says which. Nothing is decided from the list. On touch screens there are no keys. */
"use strict";

const rows = () => [...document.querySelectorAll("#result_list tbody th a")];
const isTyping = (element) => element.closest("input, textarea, select, [contenteditable]") !== null;

document.addEventListener("keydown", (event) => {
  const links = rows();
  const element = event.target;
  if (!links.length || !(element instanceof Element) || isTyping(element) || document.querySelector("dialog[open]")) return;
  if (event.ctrlKey || event.metaKey || event.altKey || matchMedia("(pointer: coarse)").matches) return;
  const at = links.indexOf(document.activeElement);
  if (event.key === "j" || event.key === "k") {
    event.preventDefault();
    const next = event.key === "j" ? Math.min(at + 1, links.length - 1) : Math.max(at - 1, 0);
    links[next].focus();
  } else if ("aerx".includes(event.key) && at >= 0) {
    event.preventDefault();
    location.assign(`${links[at].href}#key=${event.key}`);
  }
});

const asked = /^#key=([aerx])$/.exec(location.hash);
if (asked) {
  history.replaceState(null, "", location.pathname + location.search);
  document.body.dispatchEvent(new KeyboardEvent("keydown", { key: asked[1], bubbles: true }));
}
