// The page of `drift explore`: figures, planes, requirements and answers, methods beside each other.

const { report: found, rewards, cases } = report;
const { methods, prompts, samples, settings, places, coverage, kinds } = found;
const good = (reward) => reward >= settings.good;

function estimate(value, show) {
  if (!value) return "\u2014";
  const [low, high] = value.interval ?? [];
  return [show(value.value), value.interval && h("small", {}, interval({ low, high }, show))];
}

function figures() {
  const two = (value) => fixed(value, 2);
  const points = (value) => `${signed(100 * value, 1)} points`;
  const best = methods[0].best_of.filter(({ at }) => at === 1 || at === samples);
  const rows = [
    ["reward", "mean over the answers", (method) => estimate(method.reward, percent)],
    ...best.map((_, index) => [`a good one among ${best[index].at}`, `reward of at least ${settings.good}`, (method) => estimate(method.best_of.find(({ at }) => at === best[index].at), percent)]),
    ["coverage", "share of the rewarded region that its own answers reach", (method) => estimate(method.coverage, percent)],
    [`coverage less ${methods[0].name}\u2019s`, "the same resamples of the prompts", (method) => estimate(method.coverage_gain, points)],
    ["Vendi score", `different answers among the ${samples} to a prompt`, (method) => estimate(method.vendi, two)],
    ["Vendi score of all", "over all prompts together", (method) => two(method.vendi_of_all)],
    ...methods[0].distinct_good.map(({ at }, index) => [`distinct good answers at ${at}`, "a prompt; two are one from this cosine on", (method) => estimate(method.distinct_good[index], two)]),
  ];
  return [
    h("p", { class: "lead" }, `${count(prompts)} prompts, ${count(samples)} answers of each method to each. Small: 95\u00a0% intervals, prompts drawn anew.`),
    scroll("Figures of the methods", h("table", { class: "stages", style: `--n:${methods.length}` }, headRow(methods.map(({ name }) => name)),
      h("tbody", {}, rows.map(([name, meaning, show]) => h("tr", {}, h("th", { scope: "row" }, name, h("small", {}, meaning)), methods.map((method) => h("td", {}, show(method)))))))),
  ];
}

/** One plane for all methods; in each figure one method's answers stand out. */
function landscape() {
  const each = prompts * samples;
  const ends = [0, 1].map((axis) => places.reduce(([low, high], place) => [Math.min(low, place[axis]), Math.max(high, place[axis])], [Infinity, -Infinity]));
  const size = 260, edge = 8;
  const at = (place, axis) => edge + ((size - 2 * edge) * (place[axis] - ends[axis][0])) / (ends[axis][1] - ends[axis][0] || 1);
  const dot = (index, name) => s("circle", { cx: at(places[index], 0).toFixed(1), cy: at(places[index], 1).toFixed(1), r: 2.2, class: name });
  const figureOf = (method, m) => {
    const own = Array.from({ length: each }, (_, index) => m * each + index);
    const others = places.map((_, index) => index).filter((index) => index < m * each || index >= (m + 1) * each);
    const goods = own.filter((index) => good(rewards[index]));
    return h("figure", { class: "chart" },
      h("figcaption", {}, h("b", {}, method.name), h("span", {}, `${count(goods.length)} of ${count(each)} answers are good (blue)`)),
      s("svg", { viewBox: `0 0 ${size} ${size}`, role: "img", "aria-label": `Answers of ${method.name} on the plane` },
        others.map((index) => dot(index, "other")), own.filter((index) => !good(rewards[index])).map((index) => dot(index, "")), goods.map((index) => dot(index, "good"))));
  };
  const table = h("table", {}, headRow(methods.map(({ name }) => name)),
    h("tbody", {}, coverage.map((row) => h("tr", {}, h("th", { scope: "row" }, `plane ${row.plane + 1}, bandwidth ${row.bandwidth}, region of ${percent(row.quantile)}`), row.coverage.map((share) => h("td", {}, percent(share)))))));
  return [
    h("p", { class: "lead" }, "All answers on one plane (UMAP of their embeddings): near answers say similar things. A method\u2019s own answers stand out against the others\u2019 (pale). Distances between far groups mean little."),
    h("div", { class: "planes" }, methods.map(figureOf)),
    h("details", {}, h("summary", {}, "Coverage at every setting"), scroll("Coverage at every setting", table)),
  ];
}

function requirements() {
  if (!kinds.length) return [h("p", { class: "absent" }, "The answers name no kinds of requirement.")];
  return [
    h("p", { class: "lead" }, "Share of answers that meet a kind of requirement, of those to prompts that have it. Few answers: mind the count."),
    scroll("Requirements met, by kind and method", h("table", { class: "heat" }, headRow(["answers", ...methods.map(({ name }) => name)]),
      h("tbody", {}, kinds.map(({ kind, asked, met }) => h("tr", {}, h("th", { scope: "row" }, kind), h("td", {}, count(asked)), met.map((met) => heatCell(met, asked))))))),
  ];
}

function reader() {
  const isGood = (answers) => answers.some(({ reward }) => good(reward));
  const choices = [
    ["all prompts", () => true],
    ["some method alone is good", (one) => methods.length > 1 && one.answers.filter(isGood).length === 1],
    ...kinds.map(({ kind }) => [kind, (one) => one.kinds.includes(kind)]),
  ];
  const panel = ({ answer, reward, missed }) => h("div", { class: `panel ${good(reward) ? "good" : "bad"}` },
    h("h4", {}, good(reward) ? "good" : missed.length ? `misses ${missed.join(", ")}` : `reward ${figure(reward)}`), h("div", { class: "text", dir: "auto" }, answer));
  const draw = (one) => [
    h("div", { class: "context" }, h("div", { class: "role" }, `prompt ${one.id}`), h("div", { class: "text", dir: "auto" }, one.prompt || "(not in the file)")),
    ...methods.flatMap((method, m) => [h("h3", { class: "method" }, method.name), h("div", { class: "panels" }, one.answers[m].map(panel))]),
  ];
  return [
    prompts > cases.length && h("p", { class: "lead" }, `The first ${count(cases.length)} of ${count(prompts)} prompts; all answers are in the folder.`),
    browser(cases, [{ label: "Which prompts", choices }], draw),
  ];
}

function settingsTable() {
  const all = Object.entries(settings).map(([key, value]) => [key.replaceAll("_", " "), [value].flat().join(", ")]);
  return factsTable([["encoder", found.encoder], ["answers embedded in part", count(found.embedded_in_part)], ...all]);
}

put("figures", figures());
put("landscape", landscape());
put("kinds", requirements());
put("answers", reader());
put("settings", settingsTable());
