// Filters above each table of the model zoo: by words, task, width and dataset. Without scripts the table is whole.
const FILTERED = ["task", "width", "dataset"];

function setUp(zoo) {
  const table = zoo.querySelector("table");
  if (!table || zoo.querySelector(".zoo-filters")) return;
  const heads = [...table.querySelectorAll("thead th")].map((cell) => cell.textContent.trim());
  const rows = [...table.querySelectorAll("tbody tr")];
  const bar = document.createElement("form");
  bar.className = "zoo-filters";
  bar.addEventListener("submit", (event) => event.preventDefault());
  const words = document.createElement("input");
  words.type = "search";
  words.placeholder = "words, such as fcos syncbn";
  words.setAttribute("aria-label", "Words that a row must have");
  bar.append(words);
  const choices = FILTERED.map((name) => {
    const column = heads.indexOf(name);
    const select = document.createElement("select");
    select.setAttribute("aria-label", name);
    const values = [...new Set(rows.map((row) => row.cells[column].textContent.trim()))].sort();
    select.append(new Option(`any ${name}`, ""), ...values.map((value) => new Option(value, value)));
    bar.append(select);
    return { column, select };
  });
  const count = document.createElement("output");
  bar.append(count);
  const show = () => {
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      const fits =
        wanted.every((word) => text.includes(word)) &&
        choices.every(({ column, select }) => !select.value || row.cells[column].textContent.trim() === select.value);
      row.hidden = !fits;
      shown += fits;
    }
    count.textContent = `${shown} of ${rows.length}`;
  };
  bar.addEventListener("input", show);
  zoo.prepend(bar);
  show();
}

document.querySelectorAll(".zoo").forEach(setUp);

// What scrolls sideways can be reached by keys, and the search field has a name.
const scrolling = () => document.querySelectorAll(".md-typeset__scrollwrap, pre > code").forEach((box) => (box.tabIndex = 0));
scrolling();
window.addEventListener("load", () => setTimeout(scrolling, 100)); // the theme wraps tables later than this runs
document.querySelectorAll(".md-code__nav").forEach((bar, i) => bar.setAttribute("aria-label", `Code block ${i + 1}`));
document.querySelector(".md-search")?.setAttribute("aria-label", "Search");

