// <button data-theme-value="light|dark|auto">
import { on } from "./dom";

function mark(): void {
  const chosen = document.documentElement.dataset["theme"] ?? "auto";
  for (const button of document.querySelectorAll<HTMLElement>("[data-theme-value]")) {
    button.setAttribute("aria-pressed", String(button.dataset["themeValue"] === chosen));
  }
}

on("click", "[data-theme-value]", (button) => {
  try {
    localStorage.setItem("theme", button.dataset["themeValue"]!);
  } catch {
    return; // storage is forbidden: the system decides
  }
  dispatchEvent(new Event("theme"));
  mark();
});

mark();
addEventListener("storage", mark);
