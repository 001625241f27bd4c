// What the pages that put methods side by side have in common: tables, and prompts to read one at a time.

const put = (id, ...content) => section(id).append(...content.flat(Infinity).filter(Boolean));
const headRow = (names) => h("thead", {}, h("tr", {}, h("td", {}), names.map((name) => h("th", { scope: "col" }, name))));
const scroll = (label, table) => h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": label }, table);
const factsTable = (rows) =>
  h("table", { class: "facts" }, h("tbody", {}, rows.map(([key, value]) => h("tr", {}, h("th", { scope: "row" }, key), h("td", {}, h("code", {}, String(value)))))));

/** A share as a cell of a heat map; nothing where nothing was asked. */
function heatCell(met, asked, title) {
  if (!asked) return h("td", { title }, "\u2014");
  return h("td", { class: "cell", style: `--share:${(met / asked).toFixed(3)}`, title }, percent(met / asked));
}

/**
 * Prompts one at a time, j and k to move. `filters` are lists of [name, keep], a choice of each holds; `draw` makes the
 * elements of a prompt.
 */
function browser(cases, filters, draw) {
  let shown = 0, list = cases;
  const place = h("output", { "aria-live": "polite" }), body = h("div", {});
  const selects = filters.map(({ label, choices }) =>
    h("select", { "aria-label": label, onchange: () => choose() }, choices.map(([name], index) => h("option", { value: index }, name))));
  const step = (by) => () => go(shown + by);
  const previous = h("button", { type: "button", title: "previous (k)", onclick: step(-1) }, "\u2190 previous");
  const next = h("button", { type: "button", title: "next (j)", onclick: step(1) }, "next \u2192");
  function choose() {
    const keeps = filters.map(({ choices }, index) => choices[+selects[index].value][1]);
    list = cases.filter((one) => keeps.every((keep) => keep(one)));
    go(0);
  }
  function go(to) {
    shown = Math.min(Math.max(to, 0), Math.max(list.length - 1, 0));
    const one = list[shown];
    place.textContent = one ? `${count(shown + 1)} of ${count(list.length)}` : "none";
    previous.disabled = shown === 0;
    next.disabled = shown >= list.length - 1;
    body.replaceChildren(...(one ? draw(one) : [h("p", { class: "absent" }, "No prompt is so.")]).flat(Infinity).filter(Boolean));
  }
  document.addEventListener("keydown", (event) => {
    if (event.target.closest("input, select, summary") || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "j" || event.key === "n") go(shown + 1);
    if (event.key === "k" || event.key === "p") go(shown - 1);
  });
  choose();
  return [
    h("div", { class: "toolbar" }, selects, h("div", { class: "pager" }, previous, place, next)),
    h("p", { class: "lead" }, h("kbd", {}, "j"), " next, ", h("kbd", {}, "k"), " previous"),
    body,
  ];
}
