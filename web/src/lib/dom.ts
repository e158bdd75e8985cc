// Small things that the modules share. Behaviour is bound to the document, so that parts that htmx brings have it too.

/** Calls `act` with the element matching `selector` in which a click (say) happened. */
export function on<K extends keyof DocumentEventMap>(
  kind: K,
  selector: string,
  act: (element: HTMLElement, event: DocumentEventMap[K]) => void,
): void {
  document.addEventListener(kind, (event) => {
    const found = event.target instanceof Element ? event.target.closest<HTMLElement>(selector) : null;
    if (found) act(found, event);
  });
}

/** The text that the page gives its scripts in the reader's language: data-say-NAME of the body. */
export function text(name: string): string {
  return document.body.dataset[`say${name[0]!.toUpperCase()}${name.slice(1)}`] ?? "";
}

/** Calls `begin` for every element that matches, now and whenever htmx brings one. */
export function each(selector: string, begin: (element: HTMLElement) => void): void {
  const look = (root: ParentNode): void => {
    if (root instanceof HTMLElement && root.matches(selector)) begin(root);
    root.querySelectorAll<HTMLElement>(selector).forEach(begin);
  };
  look(document);
  document.addEventListener("htmx:load", (event) => {
    if (event.target instanceof HTMLElement && event.target !== document.body) look(event.target);
  });
}
