// Draws the diagrams that the pages hold as text, in the colours that the reader's system asks for.
const dark = matchMedia("(prefers-color-scheme: dark)").matches;
mermaid.initialize({ startOnLoad: false, theme: dark ? "dark" : "neutral" });
for (const block of document.querySelectorAll(".highlight-mermaid")) {
  const drawn = document.createElement("pre");
  drawn.className = "mermaid";
  drawn.textContent = block.innerText;
  block.replaceWith(drawn);
}
mermaid.run();
