// <button data-copies="#id"> puts the text of that element into the clipboard, and says so.
import { on, text } from "./dom";

on("click", "[data-copies]", async (button) => {
  const source = document.querySelector<HTMLElement>(button.dataset["copies"]!);
  if (!source) return;
  const value = source instanceof HTMLInputElement ? source.value : (source.textContent ?? "");
  try {
    await navigator.clipboard.writeText(value.trim());
  } catch {
    select(source); // no clipboard over plain http: the person presses the keys himself
    return;
  }
  const said = button.querySelector<HTMLElement>("[data-copied]") ?? button;
  const before = said.textContent;
  said.textContent = text("copied");
  setTimeout(() => (said.textContent = before), 2000);
});

function select(source: HTMLElement): void {
  if (source instanceof HTMLInputElement) source.select();
  else getSelection()?.selectAllChildren(source);
}
