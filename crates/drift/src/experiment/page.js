// The page of `drift experiment`: figures, curves, requirements, theory and answers, methods beside each other.

const { methods, seeds, rows, contrasts, runs, choices, unseen, reader } = report;
const absent = (what) => h("p", { class: "absent" }, what);
const plural = (n, one) => `${count(n)} ${n === 1 ? one : `${one}s`}`;
const points = (value) => signed(100 * value, 1);
const hundred = (value) => `${fixed(value, 1)}\u00a0%`;
const beside = (main, small) => [main, small && h("small", {}, small)];
const runsOf = (method) => runs.filter((run) => run.method === method);
const finished = methods.filter((method) => runsOf(method).length);
const [base] = rows;
const rank = (model) => ({ base: -2, warm: -1 })[model] ?? Number(model.replace(/\D/g, ""));
const models = [...new Set(rows.map(({ model }) => model))].sort((a, b) => rank(a) - rank(b));

function figures() {
  const several = runs.length > finished.length;
  const done = finished.map((method) => `${method} ${count(runsOf(method).length)}`).join(", ");
  const figure3 = (value) => fixed(value, 3);
  const cells = ({ model, satisfied, change, words, repetition, refusal, distinct_2 }) => [
    h("td", {}, model),
    h("td", {}, beside(percent(satisfied.mean), interval(satisfied, percent))),
    h("td", {}, change ? beside(points(change.mean), interval(change, points)) : ""),
    [fixed(words, 0), figure3(repetition), percent(refusal), figure3(distinct_2)].map((text) => h("td", {}, text)),
  ];
  const group = (name) => {
    const own = rows.filter(({ method }) => method === name);
    return h("tbody", {}, own.map((row, index) => h("tr", {}, index === 0 && h("th", { scope: "rowgroup", rowspan: own.length }, name), cells(row))));
  };
  const names = ["method", "after", "satisfied", "change, points", "words", "repetition", "refusals", "distinct 2-grams"];
  const table = h("table", { class: "numbers" }, h("thead", {}, h("tr", {}, names.map((name) => h("th", { scope: "col" }, name)))), ["base", ...finished].map(group));
  const verdict = ({ low, high }) => (low > 0 ? "above 0" : high < 0 ? "below 0" : "0 is within");
  const contrast = ({ method, other, difference }) => h("tr", {}, h("th", { scope: "row" }, `${method} less ${other}`),
    [points(difference.mean), interval(difference, points), verdict(difference), plural(difference.runs, "run")].map((text) => h("td", {}, text)));
  return [
    h("p", { class: "lead" }, `${count(runs.length)} of ${plural(methods.length * seeds.length, "run")} finished (${done}). ${base ? plural(base.satisfied.prompts, "prompt") : "Prompts"} of simulated users from the ${report.split} split, which no training saw. `,
      several ? "95\u00a0% intervals over prompts, and over seeds where a method has several runs." : "One run of each method: 95\u00a0% intervals over prompts, which say nothing of other seeds.",
      " Changes are against the base model on the same prompts."),
    scroll("Figures of the methods", table),
    contrasts.length > 0 && [
      h("h3", { class: "method" }, "Last models, on the same prompts"),
      scroll("Differences between methods", h("table", { class: "numbers" },
        h("thead", {}, h("tr", {}, ["", "points", "95\u00a0% interval", "", "of"].map((name) => h("th", { scope: "col" }, name)))), h("tbody", {}, contrasts.map(contrast)))),
    ],
  ];
}

/** A figure of one run with its interval over prompts; of several their mean, and the smallest and the largest. */
function ofRuns(method, model, key) {
  const all = runsOf(method).map((run) => run.models.find(({ name }) => name === model)?.[key]).filter((of) => isNumber(of?.mean));
  if (all.length === 1) return { value: all[0].mean, low: all[0].low, high: all[0].high };
  const means = all.map(({ mean }) => mean);
  return all.length ? { value: means.reduce((sum, mean) => sum + mean, 0) / all.length, low: Math.min(...means), high: Math.max(...means) } : null;
}

function curves() {
  if (!base) return [absent("Too few prompts for intervals.")];
  const axes = (y) => ({ x: "after", y });
  const at = (model, estimate) => estimate && { x: models.indexOf(model), ...estimate };
  const rowsOf = (name) => rows.filter(({ method }) => method === name);
  const scaled = ({ mean, low, high }) => ({ value: 100 * mean, low: 100 * low, high: 100 * high });
  const lines = (of) => finished.map((method) => ({ method, points: [base, ...rowsOf(method)].map((row) => at(row.model, of(row, method))) }));
  const spread = "one run: 95\u00a0% interval over prompts; several: from the smallest to the largest run";
  const measured = (key) => lines(({ model }, method) => ofRuns(method, model, key));
  return [
    h("p", { class: "lead" }, "Hover or arrow keys read the values. The legend shows and hides methods in all charts."),
    legend(finished),
    charts(() => [
      lineChart({ title: "Satisfied", note: "share of prompts, 95\u00a0% intervals", axes: axes("%"), columns: models, lines: lines(({ satisfied }) => scaled(satisfied)),
        rule: { at: 100 * base.satisfied.mean, label: "base model" }, show: hundred }),
      lineChart({ title: "Change against the base model", note: "paired by prompt, 95\u00a0% intervals", axes: axes("points"), columns: models,
        lines: lines(({ change }) => (change ? scaled(change) : { value: 0, low: 0, high: 0 })), rule: { at: 0, label: "no change" }, show: (value) => signed(value, 1) }),
      lineChart({ title: "Words an answer", note: spread, axes: axes("words"), columns: models, lines: measured("words"), range: [0], show: (value) => fixed(value, 0) }),
      lineChart({ title: "Repetition", note: spread, axes: axes("share repeated"), columns: models, lines: measured("repetition"), range: [0], show: (value) => fixed(value, 3) }),
    ]),
  ];
}

function requirements() {
  const bases = runs.filter((run, index) => runs.findIndex(({ seed }) => seed === run.seed) === index).map((run) => run.models[0]);
  const columns = [["base", bases], ...finished.map((method) => [method, runsOf(method).map((run) => run.models.at(-1))])];
  const pooled = (all, of) => all.map(of).filter(Boolean).reduce((sum, { met, n }) => ({ met: sum.met + met, n: sum.n + n }), { met: 0, n: 0 });
  const row = (label, of) => {
    const cells = columns.map(([, all]) => ({ ...pooled(all, of), one: all.length === 1 ? of(all[0]) : null }));
    const title = ({ met, n, one }) => `${count(met)} of ${count(n)}${one ? `, 95\u00a0%: ${interval(one, percent)}` : ""}`;
    return h("tr", {}, h("th", { scope: "row" }, label), h("td", {}, count(cells[0].n)), cells.map((cell) => heatCell(cell.met, cell.n, title(cell))));
  };
  const group = (title, entries) => entries.length > 0 && h("tbody", {}, h("tr", {}, h("th", { class: "group", scope: "rowgroup", colspan: columns.length + 2 }, title)), entries);
  const kinds = [...new Set(columns.flatMap(([, all]) => all.flatMap((model) => Object.keys(model.kinds ?? {}))))].sort();
  const kindRows = (keep) => kinds.filter(keep).map((kind) => row(kind, (model) => model.kinds?.[kind]));
  return [
    h("p", { class: "lead" }, "Share met by the base model and by each method\u2019s last models, the runs of a method together; how many of how many is in a cell\u2019s title. Few answers: mind the count."),
    scroll("Requirements met, by kind and method", h("table", { class: "heat" }, headRow(["answers", ...columns.map(([name]) => name)]),
      group("Whole prompts", [row("all", (model) => model.satisfied), row("kinds that training saw", (model) => model.seen), row("with an unseen kind", (model) => model.unseen)]),
      group("Kinds that training saw", kindRows((kind) => !unseen.includes(kind))),
      group("Unseen: kinds that training never asked for", kindRows((kind) => unseen.includes(kind))))),
  ];
}

/** Whether the chosen answers are the better ones, by the checks that no training sees. */
function worth() {
  const { qualities } = report;
  if (!qualities.length) return [];
  const share = (n, { pairs }) => percent(n / pairs);
  const row = ({ of, right }) => [of.model, count(of.pairs), share(of.chosen_met, of), share(of.rejected_met, of), count(of.right), count(of.wrong),
    right ? `${percent(right[0])} (${percent(right[1])} to ${percent(right[2])})` : "\u2014", fixed(of.chosen_words / of.pairs, 0), fixed(of.rejected_words / of.pairs, 0)];
  const names = ["method", "trained into", "pairs", "chosen meets all", "rejected meets all", "right", "wrong", "right of those that differ", "words, chosen", "words, rejected"];
  const methods = [...new Set(qualities.map(({ of }) => of.method))];
  const body = (method) => {
    const all = qualities.filter(({ of }) => of.method === method).map(row);
    return h("tbody", {}, all.map((cells, index) => h("tr", {}, index === 0 && h("th", { scope: "rowgroup", rowspan: all.length }, method), cells.map((cell) => h("td", {}, cell)))));
  };
  return [
    h("p", { class: "lead" }, "Does the chosen answer meet the requirements that the rejected one misses? Right: it does; wrong: the other way round; where both sides meet all, or neither does, a pair says nothing of them. No training sees this. Half of those that differ would be chance. Where chosen answers are the shorter ones, DPO may learn that alone."),
    scroll("Pairs by the requirements", h("table", { class: "numbers" }, h("thead", {}, h("tr", {}, names.map((name) => h("th", { scope: "col" }, name)))), methods.map(body))),
  ];
}

function theory() {
  const found = report.theory;
  if (!found.length) return [absent("Not measured: train.theory_pairs is 0, or no training on pairs is complete.")];
  const steps = [...new Set(found.flatMap(({ trainings }) => trainings.map(({ model }) => model)))].sort((a, b) => rank(a) - rank(b));
  const nats = (value) => fixed(value, 1);
  const axes = (y) => ({ x: "training", y });
  const titleOf = (x) => `${steps[Math.round(x)]}, ${x < Math.round(x) ? "start" : "end"}`;
  const lines = (of) => found.map(({ method, trainings }) => ({
    method,
    points: trainings.flatMap((one) => {
      const step = steps.indexOf(one.model);
      return [{ x: step - 0.3, value: of(one.before, one) }, { x: step + 0.3, value: of(one.after, one) }, null];
    }),
  }));
  const overTraining = (title, note, y, of, show, range) => lineChart({ title, note, axes: axes(y), columns: steps, titleOf, lines: lines(of), show, range });
  const taus = found[0].trainings[0].after.lemma.map(({ tau }) => figure(tau));
  const overTau = (title, note, y, of, show, most = []) => lineChart({
    title, note, axes: { x: "\u03c4", y }, columns: taus, titleOf: (x) => `\u03c4 = ${taus[x]}`, show, range: [0, ...most],
    lines: found.map(({ method, trainings }) => ({ method, points: trainings.at(-1).after.lemma.map((lemma, x) => ({ x, value: of(lemma) })) })),
  });
  const best = ({ lemma }) => Math.max(...lemma.map(({ bound }) => bound));
  const moved = (of, show) => ({ before, after, beta }) => `${show(of(before, beta))} \u2192 ${show(of(after, beta))}`;
  const quantities = [
    ["pairs", ({ pairs, of, runs }) => [`${count(pairs)} of ${count(of)}`, h("small", {}, plural(runs, "run"))]],
    ["\u03c3(\u2212s)", moved(({ sigma }) => sigma, (value) => fixed(value, 3))],
    ["\u2016d\u2016", moved(({ contrast }) => contrast, figure)],
    ["\u03b2 \u00b7 \u03c3(\u2212s) \u00b7 \u2016d\u2016", moved(({ sigma, contrast }, beta) => beta * sigma * contrast, figure)],
    ["E\u2016gradient\u2016", moved(({ gradient }) => gradient, figure)],
    ["Lemma 1, best \u03c4", moved(best, figure)],
    ["\u2016E gradient\u2016", moved((side) => side.mean_gradient, figure)],
    ["log \u03c0(y\u207a)", moved((side) => side.chosen_logp, nats)],
    ["log \u03c0(y\u207b)", moved((side) => side.rejected_logp, nats)],
  ];
  const head = (names) => h("thead", {}, h("tr", {}, names.map((name) => h("th", { scope: "col" }, name))));
  const body = (cells) => ({ method, trainings }) => {
    const all = trainings.flatMap(cells);
    return h("tbody", {}, all.map((row, index) => h("tr", {}, index === 0 && h("th", { scope: "rowgroup", rowspan: all.length }, method), row.map((cell) => h("td", {}, cell)))));
  };
  const table = h("table", { class: "numbers" }, head(["method", "training", ...quantities.map(([name]) => name)]),
    found.map(body((one) => [[one.model, ...quantities.map(([, show]) => show(one))]])));
  const lemmas = (one) => [["start", one.before], ["end", one.after]].flatMap(([when, side]) =>
    side.lemma.map(({ tau, p0, delta, bound }) => [`${one.model}, ${when}`, figure(tau), percent(p0), figure(delta), figure(bound), figure(side.gradient)]));
  const lemma = h("table", { class: "numbers" }, head(["method", "training", "\u03c4", "p\u2080", "\u0394", "bound \u03b2 \u03c4 p\u2080 \u0394", "E\u2016gradient\u2016"]), found.map(body(lemmas)));
  const last = "at the end of the last training";
  return [
    h("p", { class: "lead" }, "The gradient of a pair\u2019s DPO loss is \u2212\u03b2 \u03c3(\u2212s) d with d = \u2207 log \u03c0(y\u207a) \u2212 \u2207 log \u03c0(y\u207b). At the start of a training the policy is its own reference, so \u03c3(\u2212s) is 0.5 and fresh pairs differ in \u2016d\u2016 alone. A sample of the pairs is measured before and after each training; the samples of a method\u2019s runs are taken together, but for \u2016E gradient\u2016, which is the mean of theirs."),
    h("ul", { class: "said" }, report.words.map((sentence) => h("li", {}, sentence))),
    !report.words.length && absent("No two runs agree in which way anything went: nothing is claimed."),
    legend(found.map(({ method }) => method)),
    charts(() => [
      overTraining("Weight of the gradient, \u03c3(\u2212s)", "start and end of each training", "0 to 1", ({ sigma }) => sigma, (value) => fixed(value, 3), [0]),
      overTraining("Contrast of a pair, \u2016d\u2016", "start and end of each training", "\u2016d\u2016", ({ contrast }) => contrast, figure, [0]),
      overTraining("Gradient, E\u2016gradient\u2016", "mean of the pairs\u2019 norms, start and end of each training", "L2 norm", ({ gradient }) => gradient, figure, [0]),
      overTraining("How far gradients agree", "\u2016E gradient\u2016 as a share of E\u2016gradient\u2016", "share", (side) => side.mean_gradient / side.gradient, percent, [0]),
      overTraining("Chosen answers, log \u03c0(y\u207a)", "start and end of each training", "nats an answer", (side) => side.chosen_logp, nats),
      overTraining("Rejected answers, log \u03c0(y\u207b)", "start and end of each training", "nats an answer", (side) => side.rejected_logp, nats),
      overTau("Pairs that still teach, p\u2080", `share with \u03c3(\u2212s) \u2265 \u03c4 ${last}`, "%", ({ p0 }) => 100 * p0, hundred, [100]),
      overTau("Lemma 1\u2019s bound, \u03b2 \u03c4 p\u2080 \u0394", `of E\u2016gradient\u2016 from below, ${last}`, "L2 norm", ({ bound }) => bound, figure),
    ]),
    h("h3", { class: "method" }, "Start \u2192 end of each training"),
    scroll("The theory\u2019s quantities", table),
    h("details", {}, h("summary", {}, "Lemma 1 with its ingredients, at every \u03c4"), scroll("Lemma 1", lemma)),
  ];
}

function answers() {
  const { columns, cases, prompts, seed } = reader;
  const satisfies = (answer) => answer && !answer.missed.length;
  const verdicts = (one) => one.answers.filter(Boolean).map((answer) => !answer.missed.length);
  const number = (one) => verdicts(one).filter(Boolean).length;
  const alone = columns.map(({ method }, column) => [`${method} alone satisfies`, (one) => satisfies(one.answers[column]) && number(one) === 1]);
  const which = [
    ["all prompts", () => true],
    ["verdicts differ", (one) => new Set(verdicts(one)).size > 1],
    ...(columns.length > 1 ? alone : []),
    ["all satisfy", (one) => verdicts(one).every(Boolean)],
    ["none satisfies", (one) => !number(one)],
  ];
  const kinds = [...new Set(cases.flatMap((one) => one.kinds))].sort();
  const kind = [
    ["any kind", () => true], ["an unseen kind", (one) => one.unseen],
    ...kinds.map((name) => [unseen.includes(name) ? `${name} (unseen)` : name, (one) => one.kinds.includes(name)]),
  ];
  const text = (clip) => h("div", { class: "text", dir: "auto" }, clip.text ? clipped(clip) : h("i", {}, "(empty)"));
  const mark = (missed) => (name) => h("span", { class: `chip ${missed.includes(name) ? "missed" : "met"}` }, `${missed.includes(name) ? "\u2717" : "\u2713"} ${name}`);
  const panel = (one) => (answer, column) => {
    const title = [columns[column].method, columns[column].model !== columns[column].method && h("span", { class: "model" }, ` ${columns[column].model}`)];
    if (!answer) return h("section", { class: "panel" }, h("h4", {}, title), absent("Not in the folder."));
    return h("section", { class: `panel ${satisfies(answer) ? "good" : "bad"}` }, h("h4", {}, title, satisfies(answer) ? " \u00b7 satisfies" : " \u00b7 does not satisfy"),
      h("div", { class: "chips" }, one.kinds.map(mark(answer.missed))), text(answer.text));
  };
  const draw = (one) => [
    h("div", { class: "context" }, h("div", { class: "role" }, `prompt ${one.id} \u00b7 asks for ${one.kinds.map((name) => (unseen.includes(name) ? `${name} (unseen)` : name)).join(", ")}`), text(one.prompt)),
    h("div", { class: "panels" }, one.answers.map(panel(one))),
  ];
  return [
    h("p", { class: "lead" }, `Answers of the base model and of each method\u2019s last model of seed ${seed} to ${cases.length < prompts ? `the first ${count(cases.length)} of ${count(prompts)}` : `the ${count(prompts)}`} prompts.`),
    browser(cases, [{ label: "Which prompts", choices: which }, { label: "Kind of requirement", choices: kind }], draw),
  ];
}

function settings() {
  const entries = ({ settings, tried }) =>
    tried.length ? tried.map(([text, share]) => [text === settings ? "\u2713" : "", text, percent(share)]) : [["", settings ?? "those of the experiment\u2019s file", "nothing to choose"]];
  const group = (choice) => {
    const all = entries(choice);
    return h("tbody", {}, all.map(([mark, text, share], index) => h("tr", { class: mark && "taken" },
      index === 0 && h("th", { scope: "rowgroup", rowspan: all.length }, choice.method), h("td", {}, mark), h("td", {}, h("code", {}, text)), h("td", {}, share))));
  };
  return [
    h("p", { class: "lead" }, "Each setting was tried with the first seed; the one whose last model satisfied most prompts of the dev split was taken, the first of equals."),
    scroll("Settings tried", h("table", { class: "numbers" }, h("thead", {}, h("tr", {}, ["method", "taken", "settings", "satisfied, dev"].map((name) => h("th", { scope: "col" }, name)))), choices.map(group))),
    h("h3", { class: "method" }, "Provenance"),
    scroll("Provenance", factsTable([["drift", report.drift], ["base model", report.model_hash], ["seeds", seeds.join(", ")], ["split", report.split]])),
  ];
}

put("figures", figures());
put("curves", curves());
put("kinds", requirements());
put("theory", worth(), theory());
put("answers", answers());
put("settings", settings());
