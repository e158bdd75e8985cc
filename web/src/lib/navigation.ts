// The button that shows and hides the navigation on a small screen.
import { on } from "./dom";

on("click", "[data-toggles]", (button) => {
  const part = document.getElementById(button.dataset["toggles"]!);
  const shown = part?.classList.toggle("show") ?? false;
  button.setAttribute("aria-expanded", String(shown));
});
