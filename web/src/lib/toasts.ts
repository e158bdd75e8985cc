// Short messages in the corner. They stay until they are closed, or until the next page.
import { on, text } from "./dom";

export function toast(message: string, kind: "success" | "danger"): void {
  const place = document.getElementById("toasts");
  if (!place) return;
  for (const same of place.querySelectorAll(".toast")) if (same.textContent?.trim() === message.trim()) same.remove();
  const box = document.createElement("div");
  box.className = kind === "danger" ? "toast show alert alert-danger" : "toast show alert alert-success";
  const words = document.createElement("div");
  words.className = "flex-fill";
  words.textContent = message;
  const close = document.createElement("button");
  close.type = "button";
  close.className = "btn-close";
  close.setAttribute("aria-label", text("close"));
  close.dataset["closes"] = ".toast";
  box.append(words, close);
  place.append(box);
}

on("click", "[data-closes]", (button) => button.closest(button.dataset["closes"]!)?.remove());
