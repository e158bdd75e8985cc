// <details data-menu>: works without this; with it, Escape and a click elsewhere close it, and the arrow keys walk.
import { on } from "./dom";

const ITEMS = "a[href], button:not([disabled])";

document.addEventListener("click", (event) => closeAll(event.target instanceof Node ? event.target : null));
document.addEventListener("focusin", (event) => closeAll(event.target instanceof Node ? event.target : null));

on("keydown", "details[data-menu]", (element, event) => {
  const menu = element as HTMLDetailsElement;
  if (event.key === "Escape" && menu.open) {
    menu.open = false;
    menu.querySelector("summary")?.focus();
  } else if (event.key === "ArrowDown" || event.key === "ArrowUp" || event.key === "Home" || event.key === "End") {
    event.preventDefault();
    menu.open = true;
    walk(menu, event.key);
  }
});

function walk(menu: HTMLDetailsElement, key: string): void {
  const items = [...menu.querySelectorAll<HTMLElement>(`:scope > :not(summary) :is(${ITEMS})`)];
  const at = items.indexOf(document.activeElement as HTMLElement);
  const last = items.length - 1;
  const next = { ArrowDown: at === last ? 0 : at + 1, ArrowUp: at <= 0 ? last : at - 1, Home: 0, End: last }[key];
  items[next ?? 0]?.focus();
}

function closeAll(but: Node | null): void {
  for (const menu of document.querySelectorAll<HTMLDetailsElement>("details[data-menu][open]")) {
    if (!but || !menu.contains(but)) menu.open = false;
  }
}
