// Runs before the page is drawn, so that a dark page never flashes white. No imports: it is no module for the browser.
(() => {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const chosen = (): string => {
    try {
      return localStorage.getItem("theme") ?? "auto";
    } catch {
      return "auto"; // storage is forbidden: the system decides
    }
  };
  const show = (): void => {
    root.dataset["bsTheme"] = chosen() === "dark" || (chosen() === "auto" && dark.matches) ? "dark" : "light";
    root.dataset["theme"] = chosen();
  };
  root.dataset["js"] = "";
  show();
  dark.addEventListener("change", show);
  addEventListener("storage", show);
  addEventListener("theme", show);
})();
