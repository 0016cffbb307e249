/* Keys of lists: j and k go from row to row, Enter opens one, f goes to the filters, which Tab reaches behind the last row.
   On touch screens there are no keys. Without this script all of it works by pointer and Tab. */
"use strict";

const LINKS = ".groups tbody th a, #result_list tbody th a, table.tasks tbody th a";
const listed = () => [...document.querySelectorAll(LINKS)];
const isTyping = (element) => element.closest("input:not([type=checkbox]), textarea, select, [contenteditable]") !== null;

document.addEventListener("keydown", (event) => {
  const element = event.target;
  if (!(element instanceof Element) || isTyping(element) || document.querySelector("dialog[open]")) return;
  if (event.ctrlKey || event.metaKey || event.altKey || matchMedia("(pointer: coarse)").matches) return;
  const links = listed();
  const filter = document.querySelector("#changelist-filter summary");
  if (event.key === "f" && filter) {
    event.preventDefault();
    filter.focus();
  }
  if (!links.length || (event.key !== "j" && event.key !== "k")) return;
  event.preventDefault();
  // From a box that is ticked, its row is where one is.
  const row = element.closest("tr");
  const at = links.findIndex((link) => link === document.activeElement || (row !== null && row.contains(link)));
  links[event.key === "j" ? Math.min(at + 1, links.length - 1) : Math.max(at - 1, 0)].focus();
});
