// On a telephone the rows of a table are cards (portal.css): each cell gets the name of its column. What a table is to a
// screen reader is said in so many words, because browsers forget it where a table is drawn otherwise.

function label(table: HTMLTableElement): void {
  const columns = [...table.querySelectorAll("thead tr > *")].map((one) => one.textContent?.trim() ?? "");
  if (columns.length === 0) return;
  table.classList.add("table-cards");
  table.setAttribute("role", "table");
  for (const part of table.querySelectorAll("thead, tbody")) part.setAttribute("role", "rowgroup");
  for (const head of table.querySelectorAll("thead th")) head.setAttribute("role", "columnheader");
  for (const row of table.rows) {
    row.setAttribute("role", "row");
    [...row.cells].forEach((cell, index) => {
      if (row.parentElement?.tagName !== "TBODY" || cell.colSpan > 1) return;
      cell.classList.toggle("is-empty", cell.childElementCount === 0 && cell.textContent?.trim() === "");
      if (cell.dataset["label"] === undefined) cell.dataset["label"] = columns[index] ?? "";
      cell.setAttribute("role", cell.tagName === "TH" ? "rowheader" : "cell");
    });
  }
}

function labelAll(): void {
  document.querySelectorAll<HTMLTableElement>("table.card-table").forEach(label);
}

labelAll();
document.addEventListener("htmx:load", labelAll);
