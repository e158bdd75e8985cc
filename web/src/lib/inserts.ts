// <button data-inserts="TEXT"> puts the text into the last field marked data-takes-insert in which somebody typed.
import { on } from "./dom";

let last: HTMLInputElement | null = null;

on("focusin", "[data-takes-insert]", (field) => {
  if (field instanceof HTMLInputElement) last = field;
});

on("click", "[data-inserts]", (button) => {
  const fields = document.querySelectorAll<HTMLInputElement>("input[data-takes-insert]");
  // htmx may have put another element in its place meanwhile.
  const field = [...fields].find((one) => one.id === last?.id) ?? fields[fields.length - 1];
  if (!field) return;
  const at = field.selectionEnd ?? field.value.length;
  field.setRangeText(button.dataset["inserts"]!, at, at, "end");
  field.focus();
  field.dispatchEvent(new Event("input", { bubbles: true }));
});
