// One case at a time. What a person says is sent to the server at once, or kept until the file is saved.

const { cards, said, alone } = report;
const RIGHT = ["DSAT", "BOTH"];
let at = Math.max(0, cards.findIndex((card) => !(card.key in said)));
const memory = "drift-review " + report.name + " " + cards.map((card) => card.key).join(" ").length;

// A page without a server keeps what was said in the browser, keys and labels alone, so that closing it loses nothing.
function remember() {
  try { localStorage.setItem(memory, JSON.stringify(said)); } catch { /* not every browser lets a file keep things */ }
}
if (alone) {
  try {
    const before = JSON.parse(localStorage.getItem(memory) ?? "{}");
    for (const card of cards) if (typeof before[card.key] === "string") said[card.key] = before[card.key];
    at = Math.max(0, cards.findIndex((card) => !(card.key in said)));
  } catch { /* nothing kept */ }
}

/** Wilson's 95 % score interval of a share. */
function wilson(k, n) {
  const z = 1.959963984540054, p = k / n, scale = 1 + z * z / n;
  const half = z * Math.sqrt(p * (1 - p) / n + z * z / (4 * n * n));
  const centre = p + z * z / (2 * n);
  return { low: Math.max(0, (centre - half) / scale), high: Math.min(1, (centre + half) / scale) };
}

function drawProgress() {
  const marks = cards.map((card) => said[card.key]).filter(Boolean);
  const right = marks.filter((mark) => RIGHT.includes(mark)).length;
  const unsure = marks.filter((mark) => mark === "UNSURE").length;
  const judged = marks.length - unsure;
  const share = report.mode === "random" && judged > 0
    ? h("span", {}, "precision ", h("b", {}, percent(right / judged)), ` (95\u00a0%: ${interval(wilson(right, judged), percent)})`)
    : null;
  const how = report.mode === "random" ? `a random sample of ${count(report.of)} cases` : `the most uncertain of ${count(report.of)} cases`;
  section("progress").replaceChildren(
    h("progress", { max: cards.length, value: marks.length, "aria-label": "Reviewed" }),
    h("span", {}, h("b", {}, `${marks.length} of ${cards.length}`), ` reviewed, ${how}`),
    h("span", {}, `${right} right, ${judged - right} wrong, ${unsure} unsure`),
    share?.cloneNode(true) ?? "",
  );
  // the same in short, in sight while a long case is read
  section("short").textContent = `${marks.length} of ${cards.length}` + (share ? `, ${share.textContent}` : "");
}

const turn = (kind, title, ...text) =>
  h("section", { class: `turn ${kind}` }, h("h2", {}, title), h("div", { class: "text", tabindex: "0" }, ...text));

function drawCase() {
  const card = cards[at], mark = said[card.key];
  const { before, cue, after } = card.feedback;
  const note = card.earlier ? h("p", { class: "more" }, `${count(card.earlier)} earlier turns are not shown`) : null;
  section("case").replaceChildren(
    h("div", { class: "facts" },
      h("span", {}, `case ${at + 1} of ${cards.length}`),
      h("span", { class: "chip label" }, "DSAT"),
      h("span", { class: "chip" }, card.rubric.replaceAll("_", " ")),
      h("span", {}, `${card.detector}, confidence ${fixed(card.confidence, 2)}`),
      mark ? h("span", { class: "said" }, mark === "UNSURE" ? "you: unsure" : `you: ${mark}`) : null,
    ),
    note ?? "",
    ...card.context.map((message) => turn(message.role, message.role, ...clipped(message.text).filter(Boolean))),
    turn("answer", "answer that is judged", ...clipped(card.answer).filter(Boolean)),
    turn("feedback", "the user's next turn", ...clipped(before, "before").filter(Boolean),
      cue.text ? h("mark", {}, ...clipped(cue).filter(Boolean)) : "", ...clipped(after).filter(Boolean)),
  );
  for (const button of section("keys").querySelectorAll("[data-mark]")) {
    const is = button.dataset.mark;
    button.setAttribute("aria-pressed", String(is === mark));
  }
}

function show(next) {
  at = Math.min(cards.length - 1, Math.max(0, next));
  drawCase();
  drawProgress();
  section("case").querySelector(".feedback").scrollIntoView({ block: "nearest" });
}

let timer = 0;
function tell(text) {
  section("status").textContent = text;
  clearTimeout(timer);
  timer = setTimeout(() => { section("status").textContent = ""; }, 4000);
}

async function say(mark) {
  const card = cards[at], key = card.key, earlier = said[key];
  said[key] = mark;
  const here = at;
  if (at === cards.length - 1) tell("That was the last case.");
  show(at + 1);
  if (alone) { remember(); return; }
  try {
    const answer = await fetch("corrections", {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ key, label: mark }),
    });
    if (!answer.ok) throw new Error(String(answer.status));
  } catch {
    if (earlier === undefined) delete said[key]; else said[key] = earlier;
    tell("Not saved: drift review no longer answers.");
    show(here);
  }
}

function save() {
  const rows = cards.filter((card) => said[card.key]).map((card) => JSON.stringify({
    key: card.key, label: said[card.key], by: "review", at: Math.floor(Date.now() / 1000), mode: report.mode,
  }) + "\n");
  const link = h("a", { href: URL.createObjectURL(new Blob(rows, { type: "application/jsonl" })), download: "corrections.jsonl" });
  link.click();
  URL.revokeObjectURL(link.href);
  tell(`${rows.length} corrections saved.`);
}

// key, what it shows, what it does, the mark that it sets
const MARKS = [
  ["y", "confirm", "DSAT"], ["n", "wrong", "NONE"], ["u", "unsure", "UNSURE"],
];
const LABELS = [["1", "DSAT", "DSAT"], ["2", "SAT", "SAT"], ["3", "both", "BOTH"], ["4", "none", "NONE"]];
const actions = { j: () => show(at + 1), k: () => show(at - 1), ArrowRight: () => show(at + 1), ArrowLeft: () => show(at - 1) };
for (const [key, , mark] of [...MARKS, ...LABELS]) actions[key] = () => say(mark);
if (alone) actions.s = save;

const button = (key, text, extra = {}) =>
  h("button", { type: "button", onclick: () => { actions[key](); section("case").focus({ preventScroll: true }); }, ...extra }, h("kbd", {}, key), text);
section("keys").append(
  h("div", { class: "row", role: "group", "aria-label": "Is it right that the user was dissatisfied?" },
    ...MARKS.map(([key, text, mark]) => button(key, text, { "data-mark": mark })),
    h("span", { class: "push" }),
    button("k", "back"), button("j", "next"),
    alone ? button("s", "save file") : null,
  ),
  h("div", { class: "row", role: "group", "aria-label": "Label" }, h("span", { class: "lead-in" }, "or the label itself:"),
    ...LABELS.map(([key, text]) => button(key, text)), h("span", { id: "short", "aria-hidden": "true" })),
);
document.addEventListener("keydown", (event) => {
  const action = actions[event.key];
  if (!action || event.ctrlKey || event.metaKey || event.altKey || event.repeat && "ynu1234".includes(event.key)) return;
  event.preventDefault();
  action();
});
show(at);
