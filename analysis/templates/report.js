"use strict";
const { cells, runs } = JSON.parse(document.getElementById("data").textContent);
const dialog = document.getElementById("cell");
const filters = document.getElementById("filters");

function element(name, text, ...children) {
  const made = document.createElement(name);
  made.append(text, ...children);
  return made;
}

function command(text) {
  const code = element("code", text);
  code.className = "command";
  return code;
}

// A run of a cell: its score and state, and behind a click the command that does it again.
function described([uid, title, score]) {
  const [state, text] = runs[uid];
  const summary = element("summary", `${title}: ${score ? `${score} points, ` : ""}${state} `, element("small", uid.slice(0, 6)));
  return element("details", summary, text ? command(text) : "It is trained with its students.");
}

function open(cell) {
  document.getElementById("cell-name").textContent = cell.name;
  document.getElementById("cell-text").textContent = cell.text;
  document.getElementById("cell-why").replaceChildren(...cell.why.map(command));
  document.getElementById("cell-runs").replaceChildren(...cell.runs.map(described));
  dialog.showModal();
}

document.addEventListener("click", ({ target }) => {
  const button = target.closest("[data-cell]");
  if (button) open(cells[button.dataset.cell]);
  else if (target === dialog) dialog.close();  // beside its content
});

// Whether a cell or a line has the values that are chosen; what a facet does not apply to has all.
const matches = (node, chosen) => chosen.every(
  ([facet, value]) => !(facet in node.dataset) || node.dataset[facet].split(" ").includes(value));

const hasFacets = (node) => ["task", "size", "knowledge"].some((facet) => facet in node.dataset);

// Of a table rows and columns go of which no cell matches; of those that stay, a cell that does not is blank.
function filterTable(table, chosen) {
  const faceted = [...table.querySelectorAll("td")].filter(hasFacets);
  const columns = {};
  for (const cell of faceted) {
    cell.classList.toggle("other", !matches(cell, chosen));
    columns[cell.dataset.column] ||= matches(cell, chosen);
  }
  for (const row of table.querySelectorAll("tbody tr")) {
    const own = faceted.filter((cell) => cell.parentNode === row);
    row.hidden = own.length > 0 && !own.some((cell) => matches(cell, chosen));
  }
  for (const cell of table.querySelectorAll("[data-column]"))
    cell.hidden = columns[cell.dataset.column] === false;
}

// Of a panel the lines that match stay, with the control that they are compared with.
function filterPanel(panel, chosen) {
  for (const body of panel.querySelectorAll("tbody")) {
    const lines = [...body.rows];
    for (const line of lines) line.hidden = !matches(line, chosen);
    const control = lines.find((line) => line.classList.contains("control"));
    if (control) control.hidden = lines.every((line) => line.hidden);
    body.hidden = lines.every((line) => line.hidden);
  }
  panel.hidden = [...panel.querySelectorAll("tbody")].every((body) => body.hidden);
}

function filter() {
  const chosen = [...new FormData(filters)].filter(([, value]) => value !== "");
  document.querySelectorAll("figure.table:has([data-cell]) table").forEach((table) => filterTable(table, chosen));
  document.querySelectorAll("figure.panel").forEach((panel) => filterPanel(panel, chosen));
  const all = [...document.querySelectorAll("td [data-cell]")];
  const shown = all.filter((button) => matches(button.closest("td"), chosen)).length;
  filters.querySelector("output").textContent = chosen.length ? `${shown} of ${all.length} cells` : `${all.length} cells`;
}

if (filters) {
  filters.hidden = false;
  filters.addEventListener("change", filter);
  filters.addEventListener("reset", () => setTimeout(filter));  // after the fields are back
  filter();
}
