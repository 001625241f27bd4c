// The page, section by section.

const { stages, settings } = report;
const trained = stages.filter((stage) => stage.metrics || stage.eval || stage.lengths || stage.sampled);
const absent = (what) => h("p", { class: "absent" }, what);
const latest = (of) => stages.findLast((stage) => of(stage) !== null && of(stage) !== undefined);

function tile(label, value, detail) {
  return h("div", { class: "tile" }, h("div", { class: "name" }, label), h("div", { class: "big" }, value), h("div", { class: "detail" }, detail));
}

function tiles() {
  const judged = latest((stage) => stage.eval?.accuracy);
  const sampled = latest((stage) => stage.sampled);
  const paired = latest((stage) => (stage.short === "warm" ? null : stage.lengths?.chosen_words));
  const chats = report.funnel.find(({ label }) => label === "chats read");
  const copies = sampled?.copies;
  const dash = "\u2014";
  const { accuracy, margin, pairs } = judged?.eval ?? {};
  const change = (value) => signed(value, 3);
  return [
    tile("held-out accuracy", judged ? percent(accuracy.value) : dash,
      judged ? [interval(accuracy, percent), ` \u00b7 n\u00a0=\u00a0${count(pairs)} \u00b7 after\u00a0${judged.label}`] : "not evaluated yet"),
    tile("held-out margin", margin ? change(margin.value) : dash, margin ? interval(margin, change) : "not evaluated yet"),
    ...satisfied(),
    tile("cases of dissatisfaction", report.funnel.length ? count(report.cases.total) : dash, chats ? `from ${count(chats.count)} chats` : "chats not counted yet"),
    tile("copy rate of guided answers", copies?.tried ? percent(copies.near_copies / copies.tried) : dash,
      copies?.tried ? `${count(copies.near_copies)} of ${count(copies.tried)}${copies.probe ? " in a probe" : ""} \u00b7 ${sampled.label}` : sampled ? `all unguided in ${sampled.label}` : "nothing sampled yet"),
    tile("length of chosen answers", paired ? `${fixed(paired.lengths.chosen_words.value, 0)} words` : dash,
      paired ? `rejected: ${fixed(paired.lengths.rejected_words?.value, 0)} \u00b7 ${paired.label}` : "no pairs yet"),
  ];
}

/** Simulated users of the last model, and beside the base model. */
function satisfied() {
  const last = report.satisfaction.at(-1);
  if (!last) return [];
  const points = (value) => signed(100 * value, 1);
  const change = last.change ? ` \u00b7 ${points(last.change.value)} points on the base model (${interval(last.change, points)})` : "";
  return [tile("satisfied simulated users", percent(last.satisfied.value),
    `${interval(last.satisfied, percent)} \u00b7 n\u00a0=\u00a0${count(last.prompts)} \u00b7 ${last.label}${change}`)];
}

function progress() {
  const words = { done: "done", started: "started, not complete", absent: "not there yet" };
  const signs = { done: "\u2713", started: "\u2026", absent: "\u25cb" };
  return h("ol", { "aria-label": "Stages of the run" }, report.steps.map(({ path, state }) =>
    h("li", { class: state, title: words[state] }, h("span", { "aria-hidden": "true" }, signs[state]), ` ${path}`, h("span", { class: "hidden" }, `: ${words[state]}`))));
}

function notes() {
  if (!report.notes.length) return [];
  const title = report.notes.length === 1 ? "1 note on the files of this run" : `${report.notes.length} notes on the files of this run`;
  return [h("details", {}, h("summary", {}, title), h("ul", {}, report.notes.map((note) => h("li", {}, note))))];
}

function funnel() {
  if (!report.funnel.length) return [absent("Nothing has been detected yet.")];
  const list = (pairs) => pairs.map(([name, n]) => h("li", {}, `${name} `, h("b", {}, count(n))));
  const row = ({ label, count: n, of, parts, dropped }) => {
    const share = of ? Math.min(1, n / of) : 1;
    return h("div", { class: "flow" },
      h("div", { class: "flowname" }, label),
      h("div", { class: "flowcount" }, h("b", {}, count(n)), of && of !== n ? ` of ${count(of)} (${percent(n / of)})` : ""),
      h("div", { class: "track" }, h("div", { class: "bar", style: `width:${(100 * share).toFixed(2)}%` })),
      parts.length > 0 && h("ul", { class: "parts" }, list(parts)),
      dropped.length > 0 && h("ul", { class: "parts dropped" }, h("li", {}, "dropped:"), list(dropped)));
  };
  return [h("p", { class: "lead" }, "Each bar is the share of what came in to that step. One chat can hold several dissatisfied turns or none."), report.funnel.map(row)];
}

function iterations() {
  if (!trained.length) return [absent("No training or evaluation is there yet.")];
  const beside = (main, small) => (main === "\u2014" || !small ? main : [main, h("small", {}, small)]);
  const estimate = (value, show) => beside(value ? show(value.value) : "\u2014", interval(value, show));
  const judged = (verdict) => {
    const shown = estimate(verdict?.accuracy, percent);
    return verdict?.accuracy ? [shown, h("small", {}, `n = ${count(verdict.pairs)}`)] : shown;
  };
  const nats = (value) => signed(value, 2);
  const partNames = [...new Set(trained.flatMap((stage) => (stage.eval?.parts ?? []).map(([name]) => name)))];
  const mean = (key) => (stage) => figure(stage.metrics?.mean[key]);
  const tau = isNumber(settings.tau) ? figure(settings.tau) : "\u03c4";
  const rows = [
    ["pairs", "for training", (stage) => count(stage.lengths?.pairs)],
    ["steps", "of the optimiser", (stage) => count(stage.metrics?.steps)],
    ["held-out accuracy", "share of held-out pairs with a margin above 0, ties counted half; 95\u00a0% interval", (stage) => judged(stage.eval)],
    ...partNames.map((name) => [`\u2026 chosen: ${name}`, "the same for a part of the held-out pairs", (stage) => judged(stage.eval?.parts.find(([part]) => part === name)?.[1])]),
    ["held-out margin", "\u03b2 \u00d7 difference of the shifts against the base model; 95\u00a0% interval", (stage) => estimate(stage.eval?.margin, (value) => signed(value, 3))],
    ["held-out chosen shift", "log-prob against the base model, nats an answer; 95\u00a0% interval", (stage) => estimate(stage.held_out_shifts.chosen, nats)],
    ["held-out rejected shift", "the same for the rejected answers", (stage) => estimate(stage.held_out_shifts.rejected, nats)],
    ["training chosen shift", "log-prob against the stage\u2019s reference, nats an answer, last fifth of the steps", (stage) => signed(stage.chosen_shift, 2)],
    ["training rejected shift", "the same for the rejected answers", (stage) => signed(stage.rejected_shift, 2)],
    ["chosen length", "mean words; tokens where sampled", (stage) =>
      beside(fixed(stage.lengths?.chosen_words?.value, 0), isNumber(stage.lengths?.chosen_tokens) && `${fixed(stage.lengths.chosen_tokens, 0)} tokens`)],
    ["rejected length", "mean words", (stage) => fixed(stage.lengths?.rejected_words?.value, 0)],
    ["near copies", "guided answers that repeated the rejected one", ({ copies }) =>
      copies?.tried ? beside(percent(copies.near_copies / copies.tried), `${count(copies.near_copies)} of ${count(copies.tried)}${copies.probe ? " in a probe" : ""}`) : "\u2014"],
    ["loss", "mean over the steps, nats", mean("loss")],
    ["gradient norm", "mean, before clipping", mean("grad_norm")],
    ["\u03c3(\u2212s)", "mean weight of a pair\u2019s gradient; 0.5 at the start", mean("sigma")],
    [`share with \u03c3(\u2212s) \u2265 ${tau}`, "pairs that still teach", (stage) => percent(stage.metrics?.mean.sigma_share_tau)],
  ];
  const table = h("table", { class: "stages", style: `--n:${trained.length}` },
    h("thead", {}, h("tr", {}, h("td", {}), trained.map((stage) => h("th", { scope: "col" }, stage.label)))),
    h("tbody", {}, rows.map(([name, meaning, show]) =>
      h("tr", {}, h("th", { scope: "row" }, name, h("small", {}, meaning)), trained.map((stage) => h("td", {}, show(stage)))))));
  const gates = report.satisfaction.filter(({ gate }) => gate);
  const charts = [
    intervalChart(report.satisfaction, {
      title: "Satisfied simulated users", note: "on the same prompts, with 95\u00a0% intervals", y: "share of prompts", size: ({ prompts }) => prompts,
      groups: [{ label: "satisfied", color: "plain", of: (model) => model.satisfied }], range: [0, 1], show: percent,
    }),
    intervalChart(trained, {
      title: "Held-out preference accuracy", note: "with 95 % intervals", y: "share of pairs", size: (stage) => stage.eval?.pairs,
      groups: [{ label: "accuracy", color: "plain", of: (stage) => stage.eval?.accuracy }],
      rule: { at: 0.5, label: "chance" }, range: [0, 1], show: percent,
    }),
    intervalChart(trained, {
      title: "Held-out margin", note: "mean with 95 % intervals", y: "margin", size: (stage) => stage.eval?.pairs,
      groups: [{ label: "margin", color: "plain", of: (stage) => stage.eval?.margin }],
      rule: { at: 0, label: "no preference" }, show: (value) => signed(value, 3),
    }),
    intervalChart(trained, {
      title: "Held-out log-prob shifts", note: "against the base model, mean with 95\u00a0% intervals", y: "nats an answer", size: (stage) => stage.eval?.pairs,
      groups: [
        { label: "chosen", color: "chosen", of: (stage) => stage.held_out_shifts.chosen },
        { label: "rejected", color: "rejected", of: (stage) => stage.held_out_shifts.rejected },
      ],
      rule: { at: 0, label: "base model" }, show: nats,
    }),
    intervalChart(trained, {
      title: "Length of the answers in the pairs", note: "mean with 95 % intervals", y: "words an answer", size: (stage) => stage.lengths?.pairs,
      groups: [
        { label: "chosen", color: "chosen", of: (stage) => stage.lengths?.chosen_words },
        { label: "rejected", color: "rejected", of: (stage) => stage.lengths?.rejected_words },
      ],
      range: [0], show: (value) => fixed(value, 0),
    }),
    intervalChart(trained, {
      title: "Weight of the gradient, \u03c3(\u2212s)", note: "over the pairs: median, quartiles (thick), 5 to 95\u00a0% (thin)", y: "0 to 1",
      groups: [{ label: "\u03c3(\u2212s)", color: "plain", of: sigmaSpread }],
      rule: { at: 0.5, label: "at the reference" }, show: (value) => fixed(value, 3),
    }),
  ];
  return [
    h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Table of the iterations" }, table),
    gates.length > 0 && h("ul", { class: "parts" }, gates.map(({ label, gate }) => h("li", {}, `gate, ${label}: ${gate}`))),
    h("div", { class: "charts below" }, charts),
  ];
}

function sigmaSpread(stage) {
  const spread = stage.metrics?.sigma_quantiles;
  return spread && { value: spread[2], low: spread[0], high: spread[4], inner: [spread[1], spread[3]] };
}

function training() {
  const parts = timeline(stages);
  if (!parts.length) return [absent("No training steps have been logged yet.")];
  const one = (key, label) => [{ key, label, color: "plain" }];
  const sides = (kind) => [{ key: `${kind}/chosen`, label: "chosen", color: "chosen" }, { key: `${kind}/rejected`, label: "rejected", color: "rejected" }];
  const clip = isNumber(settings.max_grad_norm) ? { at: settings.max_grad_norm, label: `clipped at ${figure(settings.max_grad_norm)}`, include: false } : null;
  const charts = [
    { title: "Loss", y: "nats", lines: one("loss", "loss"), rule: settings.loss === "sigmoid" ? { at: Math.LN2, label: "ln 2: nothing learnt", include: false } : null },
    { title: "Reward margin", note: "\u03b2 \u00d7 difference of the log-prob shifts", y: "\u03b2 \u00d7 nats", lines: one("rewards/margins", "margin"), rule: { at: 0, label: "no preference" } },
    { title: "Log-probabilities", note: "sum over an answer", y: "nats an answer", lines: sides("logps") },
    { title: "Rewards", note: "\u03b2 \u00d7 log-prob shift against the reference", y: "\u03b2 \u00d7 nats", lines: sides("rewards"), rule: { at: 0, label: "reference" } },
    { title: "Weight of the gradient, \u03c3(\u2212s)", y: "0 to 1", range: [0, 1],
      lines: [{ key: "sigma", label: "mean \u03c3(\u2212s)", color: "plain" }, { key: "sigma_share_tau", label: "share of pairs with \u03c3(\u2212s) \u2265 \u03c4", color: "second" }] },
    { title: "Gradient norm", note: "before clipping", y: "L2 norm", range: [0], lines: one("grad_norm", "norm"), rule: clip },
    { title: "Length of the answers in training", y: "tokens an answer", range: [0], lines: sides("length") },
    { title: "Training pairs with a margin above 0", note: "0 at the first step, where policy and reference are equal", y: "share of a batch", range: [0, 1], lines: one("rewards/accuracies", "share"), rule: { at: 0.5, label: "chance" } },
    { title: "Negative log-likelihood of chosen answers", y: "nats a token", lines: one("nll", "NLL") },
    { title: "Learning rate", y: "rate", range: [0], lines: [{ key: "learning_rate", label: "rate", color: "plain", exact: true }] },
  ];
  const smoothed = parts.some((part) => averaged(part) > 1);
  const thinned = parts.filter((part) => part.stride > 1).map((part) => `${part.stage.label}: each point is the mean of ${part.stride} steps`);
  return [
    h("p", { class: "lead" }, smoothed ? "Thin: each step. Bold: running mean over a tenth of the stage. " : "", "Upright lines separate the stages; each starts from its own reference, so rewards and margins begin at 0 again. ", thinned.length ? `${thinned.join("; ")}.` : ""),
    h("div", { class: "charts" }, charts.map((spec) => stepChart(parts, spec))),
  ];
}

/** Time of each training by operation of the engine. */
function profiles() {
  const measured = stages.filter(({ profile }) => profile?.seconds > 0);
  if (!measured.length) return [];
  const row = (whole) => ({ name, seconds, flops }) =>
    h("div", { class: "flow" },
      h("div", { class: "flowname" }, name),
      h("div", { class: "flowcount" }, h("b", {}, percent(seconds / whole)), ` ${fixed(seconds, 1)} s`, flops > 0 && ` \u00b7 ${fixed(flops / seconds / 1e9, 0)} GFLOP/s`),
      h("div", { class: "track" }, h("div", { class: "bar", style: `width:${(100 * Math.min(1, seconds / whole)).toFixed(2)}%` })));
  return [h("details", {}, h("summary", {}, "Where the time of training went"),
    measured.map(({ label, profile }) => [h("h3", { class: "method" }, `${label}: ${fixed(profile.seconds, 1)} s`), profile.operations.map(row(profile.seconds))]))];
}

function settingsTables() {
  const facts = report.provenance.length
    ? h("div", { class: "scroll", tabindex: 0 }, h("table", { class: "facts" }, h("tbody", {}, report.provenance.map(([key, value]) => h("tr", {}, h("th", { scope: "row" }, key), h("td", {}, h("code", {}, value)))))))
    : absent("run.json is not there yet.");
  const hashes = (pairs) => pairs.map(([name, hash]) => h("div", { title: `${name} ${hash}` }, `${name} `, h("code", {}, hash.slice(0, 12))));
  const manifests = h("table", {},
    h("thead", {}, h("tr", {}, ["stage", "state", "drift", "made from", "made"].map((name) => h("th", { scope: "col" }, name)))),
    h("tbody", {}, report.steps.map((step) => h("tr", {}, h("td", {}, step.path), h("td", {}, step.state), h("td", {}, step.version ?? "\u2014"), h("td", {}, hashes(step.inputs)), h("td", {}, hashes(step.outputs))))));
  return [
    facts,
    h("details", {}, h("summary", {}, "config.toml"), report.config ? h("pre", {}, clipped(report.config)) : absent("config.toml is not there.")),
    h("details", {}, h("summary", {}, "Stages and the hashes of what they read and wrote"), h("div", { class: "scroll", tabindex: 0 }, manifests)),
  ];
}

const put = (id, content) => section(id).append(...content.flat(Infinity).filter(Boolean));
put("tiles", tiles());
put("progress", [progress()]);
put("notes", notes());
put("funnel", funnel());
put("iterations", iterations());
put("training", [...training(), ...profiles()]);
put("theory", theory());
put("cases", caseReader(report.cases));
put("settings", settingsTables());

// Paper shows what is folded away on the screen.
let unfolded = [];
window.addEventListener("beforeprint", () => {
  unfolded = [...document.querySelectorAll("details:not([open])")];
  unfolded.forEach((details) => (details.open = true));
});
window.addEventListener("afterprint", () => unfolded.forEach((details) => (details.open = false)));
