// Parts of a page that load themselves again: what has not changed is left alone, and what is open stays open.
interface Swap extends Event {
  detail: { target: HTMLElement; serverResponse: string; shouldSwap: boolean; requestConfig?: { triggeringEvent?: Event } };
}

const shown = new Map<string, string>();
let open: string[] = [];

document.addEventListener("htmx:beforeSwap", (event) => {
  const { detail } = event as Swap;
  const { id } = detail.target;
  if (!id || detail.requestConfig?.triggeringEvent) return; // somebody has asked for it: it is shown in any case
  const text = detail.serverResponse.replaceAll(/name="csrf" value="[^"]*"/g, "");
  if (shown.get(id) === text) detail.shouldSwap = false;
  shown.set(id, text);
});

document.addEventListener("htmx:beforeSwap", (event) => {
  const { target } = (event as Swap).detail;
  open = Array.from(target.querySelectorAll<HTMLElement>("details[id][open]"), (one) => one.id);
});

document.addEventListener("htmx:afterSwap", () => {
  for (const id of open) document.getElementById(id)?.setAttribute("open", "");
  open = [];
});
