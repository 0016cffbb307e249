/* The page of an approval: a mark such as [1], the sentence around it and its source light up together. Without this
   script a mark is a link to its source. */
"use strict";

const citing = [...document.querySelectorAll("[data-cites]")];
const cited = (element) => element.dataset.cites.split(" ");

function light(element, on) {
  const numbers = cited(element);
  for (const other of citing) {
    other.classList.toggle("lit", on && cited(other).some((number) => numbers.includes(number)));
  }
}

for (const element of citing) {
  for (const [event, on] of [["mouseenter", true], ["mouseleave", false], ["focusin", true], ["focusout", false]]) {
    element.addEventListener(event, () => light(element, on));
  }
}
