// htmx, set up for a strict policy: what it may do stands in the page's <meta name="htmx-config">.
import htmx from "htmx.org";
import "htmx-ext-sse";
import { text } from "./dom";
import { toast } from "./toasts";

Object.assign(window, { htmx }); // under the name that htmx's own documentation gives it

interface Asked extends Event {
  detail: { verb: string; headers: Record<string, string> };
}

interface Failed extends Event {
  detail: { xhr: XMLHttpRequest };
}

document.addEventListener("htmx:configRequest", (event) => {
  const { verb, headers } = (event as Asked).detail;
  const token = document.querySelector<HTMLMetaElement>("meta[name=csrf]")?.content;
  if (verb !== "get" && token) headers["X-CSRF-Token"] = token;
});

// The frame tells a script what went wrong as plain text, in the reader's language.
document.addEventListener("htmx:responseError", (event) => {
  const { xhr } = (event as Failed).detail;
  const plain = xhr.getResponseHeader("Content-Type")?.startsWith("text/plain");
  toast(plain ? xhr.responseText : text("failed"), "danger");
});

document.addEventListener("htmx:sendError", () => toast(text("offline"), "danger"));
document.addEventListener("htmx:timeout", () => toast(text("offline"), "danger"));
