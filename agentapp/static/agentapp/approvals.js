/* Keys of the list of approvals beside those of all lists: a, e, r, x open a row at that decision. On the page of an approval
   the address then says which. Nothing is decided from the list. On touch screens there are no keys. */
"use strict";

document.addEventListener("keydown", (event) => {
  const link = document.activeElement;
  if (!link.matches("#result_list tbody th a") || document.querySelector("dialog[open]")) return;
  if (event.ctrlKey || event.metaKey || event.altKey || matchMedia("(pointer: coarse)").matches) return;
  if (event.key.length === 1 && "aerx".includes(event.key)) {
    event.preventDefault();
    location.assign(`${link.href}#key=${event.key}`);
  }
});

const asked = /^#key=([aerx])$/.exec(location.hash);
if (asked) {
  history.replaceState(null, "", location.pathname + location.search);
  document.body.dispatchEvent(new KeyboardEvent("keydown", { key: asked[1], bubbles: true }));
}
