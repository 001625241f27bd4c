// The reader for cases: search and filter on top, one case at a time below, j and k to move.

const entryText = new WeakMap();

/** All text of a case in lower case, for the search. */
function haystack(entry) {
  if (!entryText.has(entry)) {
    const { before, cue, after } = entry.feedback ?? {};
    const clips = [...entry.context.map((turn) => turn.text), entry.rejected, before, cue, after, entry.satisfying, ...entry.answers.map((answer) => answer.text)];
    entryText.set(entry, [entry.id, entry.rubric, ...clips.map((clip) => clip?.text)].join("\n").toLowerCase());
  }
  return entryText.get(entry);
}

const lastMargin = (entry) => entry.margins.at(-1)?.[1];
const maxOverlap = (entry) => Math.max(...entry.answers.map((answer) => answer.overlap ?? -1), -1);
const hasMode = (mode) => (entry) => entry.answers.some((answer) => answer.mode === mode);

const KINDS = {
  "all cases": (entry) => !entry.seed,
  "held out": (entry) => entry.split === "held_out",
  "for training": (entry) => entry.split === "train" && !entry.seed,
  "with a guided answer": hasMode("guided"),
  "with an unguided answer": hasMode("unguided"),
  "with an unguided answer in place of a guided one": hasMode("fallback"),
  "with an answer cut at the limit": (entry) => entry.answers.some((answer) => answer.finish === "length"),
  "seed pairs": (entry) => entry.seed,
};
const ORDERS = {
  "in the page\u2019s order": null,
  "largest margin first": (a, b) => (lastMargin(b) ?? -Infinity) - (lastMargin(a) ?? -Infinity),
  "smallest margin first": (a, b) => (lastMargin(a) ?? Infinity) - (lastMargin(b) ?? Infinity),
  "largest overlap first": (a, b) => maxOverlap(b) - maxOverlap(a),
};

const text = (...content) => h("div", { class: "text", dir: "auto" }, ...content);
const chip = (label) => label && h("span", { class: "chip" }, label);

function turn({ role, text: clip }) {
  return h("div", { class: "turn" }, h("div", { class: "role" }, role), text(clipped(clip)));
}

function contextOf(entry) {
  const earlier = entry.context.slice(0, -1);
  const hidden = earlier.length + entry.earlier;
  return [
    hidden > 0 &&
      h(
        "details",
        {},
        h("summary", {}, hidden === 1 ? "1 earlier turn" : `${count(hidden)} earlier turns`),
        entry.earlier > 0 && h("p", { class: "more" }, `\u2026 ${count(entry.earlier)} turns more before these`),
        earlier.map(turn),
      ),
    entry.context.slice(-1).map(turn),
  ];
}

function panel(title, color, chips, body) {
  return h("section", { class: `panel ${color}` }, h("h4", {}, title), h("div", { class: "chips" }, chips), body);
}

function answerPanel(answer) {
  return panel(`Fresh answer, ${answer.of}`, "chosen", [
    chip(answer.mode === "fallback" ? "unguided, in place of a guided one" : answer.mode),
    chip(isNumber(answer.tokens) && `${count(answer.tokens)} tokens`),
    chip(answer.finish === "length" && "cut at the length limit"),
    chip(isNumber(answer.overlap) && `overlap ${fixed(answer.overlap, 2)}`),
  ], text(answer.text.text ? clipped(answer.text) : h("i", {}, "(empty)")));
}

function feedbackOf({ before, cue, after }) {
  const marked = cue.text && h("mark", {}, clipped(cue));
  return [h("h4", {}, "What the user said to that"), text(clipped(before, "before"), marked, clipped(after))];
}

function renderCase(entry) {
  const chips = [
    chip(entry.seed ? "seed pair" : entry.split?.replace("_", " ")),
    chip(entry.rubric),
    chip(entry.detector && `found by ${entry.detector}`),
    chip(isNumber(entry.confidence) && `confidence ${fixed(entry.confidence, 2)}`),
    entry.margins.map(([stage, margin]) => chip(`margin after ${stage} ${signed(margin, 3)}`)),
  ];
  return h(
    "article",
    { "aria-label": `Case ${entry.id}` },
    h("div", { class: "chips" }, h("code", {}, entry.id || "no id"), chips),
    h("div", { class: "context" }, h("h4", {}, "What was asked"), contextOf(entry)),
    h(
      "div",
      { class: "panels" },
      panel("Rejected answer, from the log", "rejected", [], [text(clipped(entry.rejected)), entry.feedback && h("div", { class: "feedback" }, feedbackOf(entry.feedback))]),
      entry.satisfying && panel("Later answer that satisfied", "chosen", [], text(clipped(entry.satisfying))),
      entry.answers.map(answerPanel),
      !entry.seed && !entry.answers.length && panel("Fresh answers", "chosen", [], h("p", { class: "absent" }, "None has been sampled for this case yet.")),
    ),
  );
}

function caseReader({ entries, total, seeds }) {
  if (!entries.length) return [h("p", { class: "absent" }, "There are no cases yet.")];
  const options = (choices) => Object.keys(choices).map((name) => h("option", { value: name }, name));
  const search = h("input", { type: "search", placeholder: "Search the text  ( / )", "aria-label": "Search the text of the cases" });
  const kind = h("select", { "aria-label": "Show" }, options(Object.fromEntries(Object.entries(KINDS).filter(([, keep]) => entries.some(keep)))));
  const order = h("select", { "aria-label": "Order" }, options(ORDERS));
  const position = h("output", { "aria-live": "polite" });
  const body = h("div", { id: "case" });
  const previous = h("button", { type: "button", title: "previous case (k)", onclick: () => move(-1) }, "\u2190 previous");
  const next = h("button", { type: "button", title: "next case (j)", onclick: () => move(1) }, "next \u2192");
  let found = [], at = 0;

  function show() {
    const entry = found[at];
    position.value = entry ? `${count(at + 1)} of ${count(found.length)}` : "none found";
    previous.disabled = at === 0;
    next.disabled = at >= found.length - 1;
    body.replaceChildren(entry ? renderCase(entry) : h("p", { class: "absent" }, "No case fits the search and the filter."));
  }
  function move(by) {
    at = Math.min(Math.max(at + by, 0), Math.max(found.length - 1, 0));
    show();
    if (found[at]?.id) history.replaceState(null, "", `#case=${encodeURIComponent(found[at].id)}`);
  }
  function update() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    found = entries.filter(KINDS[kind.value]).filter((entry) => words.every((word) => haystack(entry).includes(word)));
    if (ORDERS[order.value]) found.sort(ORDERS[order.value]);
    at = 0;
    show();
  }
  function follow() {
    const wanted = location.hash.match(/^#case=(.+)$/)?.[1];
    const index = wanted ? found.findIndex((entry) => encodeURIComponent(entry.id) === wanted) : -1;
    if (index < 0) return;
    at = index;
    show();
    section("cases").scrollIntoView();
  }
  search.addEventListener("input", update);
  kind.addEventListener("change", update);
  order.addEventListener("change", update);
  window.addEventListener("hashchange", follow);
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
    if (event.key === "j") move(1);
    else if (event.key === "k") move(-1);
    else if (event.key === "/") {
      event.preventDefault();
      search.focus();
    }
  });
  update();
  queueMicrotask(follow);

  const embedded = entries.filter((entry) => !entry.seed).length;
  const scope = [
    embedded < total ? `${count(embedded)} of ${count(total)} cases are in this page (those with fresh answers first, at most 200 for training and 100 held out).` : `All ${count(total)} cases are in this page.`,
    seeds ? ` Seed pairs: ${count(entries.length - embedded)} of ${count(seeds)}.` : "",
  ];
  return [
    h("p", { class: "lead" }, ...scope, " Overlap is the word overlap (Jaccard) of a fresh answer with the rejected one; a margin is that of the held-out pair against the base model. Keys: ", h("kbd", {}, "j"), " next, ", h("kbd", {}, "k"), " previous, ", h("kbd", {}, "/"), " search."),
    h("div", { class: "toolbar" }, search, kind, order, h("span", { class: "pager" }, previous, position, next)),
    body,
  ];
}
