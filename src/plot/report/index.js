"use strict";
// Sorts the table by a column: numbers by size, words by the alphabet, empty cells last.
const body = document.querySelector(".pairs tbody");
const heads = [...document.querySelectorAll(".pairs thead th")];

function compare(a, b) {
  if (a === "" || b === "") return (a === "") - (b === "");
  const [x, y] = [Number(a), Number(b)];
  return Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b, undefined, { numeric: true }) : x - y;
}

function sort(column) {
  const head = heads[column];
  const down = head.getAttribute("aria-sort") === "ascending";
  heads.forEach(other => other.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const text = row => row.cells[column].textContent.trim();
  const rows = [...body.rows].sort((a, b) => {
    const order = compare(text(a), text(b));
    const empty = text(a) === "" || text(b) === "";
    return down && !empty ? -order : order;
  });
  body.append(...rows);
}

heads.forEach((head, column) => {
  head.querySelector("button")?.addEventListener("click", () => sort(column));
});
