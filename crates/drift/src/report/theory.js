// What the pairs teach: the quantities of the method's theory, before and after each training.

function theory() {
  const measured = stages.filter((stage) => stage.theory);
  if (!measured.length) return [absent("Not measured: train.theory_pairs is 0, or no iteration is complete.")];
  const sides = measured.flatMap((stage) => [["before", stage.theory.before], ["after", stage.theory.after]].map(([when, side]) => ({ stage, when, side })));
  const head = (columns) => h("thead", {}, h("tr", {}, columns.map((name) => h("th", { scope: "col" }, name))));
  const nats = (value) => fixed(value, 1);
  const quantities = h("table", {},
    head(["", "σ(−s)", "‖d‖", "E‖gradient‖", "‖E gradient‖", "log π(y⁺)", "log π(y⁻)"]),
    h("tbody", {}, sides.map(({ stage, when, side }) => h("tr", {}, h("th", { scope: "row" }, `${stage.label}, ${when}`),
      [fixed(side.sigma, 4), figure(side.contrast), figure(side.gradient), figure(side.mean_gradient), nats(side.chosen_logp), nats(side.rejected_logp)].map((value) => h("td", {}, value))))));
  const lemma = h("table", {},
    head(["", "τ", "p₀", "Δ", "bound β τ p₀ Δ", "E‖gradient‖"]),
    h("tbody", {}, sides.flatMap(({ stage, when, side }) => side.lemma.map((row) => h("tr", {}, h("th", { scope: "row" }, `${stage.label}, ${when}`),
      [figure(row.tau), percent(row.p0), figure(row.delta), figure(row.bound), figure(side.gradient)].map((value) => h("td", {}, value)))))));
  return [
    h("p", { class: "lead" }, theoryInWords(measured)),
    h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Theory’s quantities" }, quantities),
    h("details", {}, h("summary", {}, "Lemma 1 with its ingredients"), h("div", { class: "scroll", tabindex: 0 }, lemma)),
  ];
}

function theoryInWords(measured) {
  const [first, last] = [measured[0], measured.at(-1)];
  const pairs = measured.map((stage) => `${stage.label}: ${count(stage.theory.pairs)} of ${count(stage.theory.of)}`).join(", ");
  const sentences = [
    `The gradient of a pair’s DPO loss is −β σ(−s) d with d = ∇ log π(y⁺) − ∇ log π(y⁻). Here it is taken apart for a sample of the pairs (${pairs}), a forward and a backward pass each; the means have the noise of so few pairs.`,
    `In ${last.label} training moved σ(−s) from ${fixed(last.theory.before.sigma, 3)} to ${fixed(last.theory.after.sigma, 3)} (0.5: the pair pulls as at the reference; 0: it teaches nothing more).`,
  ];
  if (first !== last) {
    const change = last.theory.before.contrast / first.theory.before.contrast - 1;
    const word = change < -0.1 ? "fell: the two sides of a pair have become more alike to the policy" : change > 0.1 ? "grew: the two sides of a pair lie further apart for the policy" : "stayed about the same: the pairs keep their contrast";
    sentences.push(`From ${first.label} to ${last.label} the contrast ‖d‖ of fresh pairs went from ${figure(first.theory.before.contrast)} to ${figure(last.theory.before.contrast)}; it ${word}.`);
  }
  const agreement = last.theory.before.mean_gradient / last.theory.before.gradient;
  sentences.push(`Of the length of single gradients, ${percent(agreement)} is left in their mean (if they had nothing in common: ${percent(1 / Math.sqrt(last.theory.pairs))}).`);
  return sentences.join(" ");
}
