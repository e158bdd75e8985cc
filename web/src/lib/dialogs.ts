// <a href="#ID" data-opens="ID"> shows <dialog id="ID"> as a modal one: focus stays inside, Escape closes it. Without
// this script the address alone shows the dialog (`:target` in portal.css).
import { each, on } from "./dom";

on("click", "[data-opens]", (opener, event) => {
  const dialog = document.getElementById(opener.dataset["opens"]!);
  if (!(dialog instanceof HTMLDialogElement)) return;
  event.preventDefault();
  dialog.showModal();
});

// A link that acts as a button answers to the space bar, too.
on("keydown", "a[role=button]", (link, event) => {
  if (event.key !== " ") return;
  event.preventDefault();
  link.click();
});

on("click", "[data-closes-dialog]", (closer, event) => {
  event.preventDefault();
  closer.closest("dialog")?.close();
});

// A click beside the dialog's box hits the dialog element itself.
on("click", "dialog", (dialog, event) => {
  if (event.target === dialog) (dialog as HTMLDialogElement).close();
});

each("dialog[data-open]", (dialog) => (dialog as HTMLDialogElement).showModal());
