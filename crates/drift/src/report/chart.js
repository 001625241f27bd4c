// Charts: inline SVG in the width of its box, redrawn when that changes. Hover or arrow keys read values.

/** Round tick positions, at most about `wanted`, that cover [low, high]. */
function ticks(low, high, wanted) {
  const rough = (high - low) / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((step) => step >= rough * 0.999) ?? 10 * power;
  const first = Math.ceil(low / step - 1e-9);
  const all = Array.from({ length: 2 * wanted + 2 }, (_, index) => (first + index) * step);
  return all.filter((at) => at <= high + step * 1e-9).map((at) => +at.toPrecision(12));
}

function scale(from, to, start, end) {
  const factor = (end - start) / (to - from || 1);
  return (value) => start + (value - from) * factor;
}

/** The range of the values with some air, or the given one. */
function rangeOf(values, given = []) {
  let low = Math.min(...values), high = Math.max(...values);
  if (!(high > low)) [low, high] = [low - (Math.abs(low) || 1) * 0.1, high + (Math.abs(high) || 1) * 0.1];
  const air = 0.06 * (high - low);
  return [given[0] ?? low - air, given[1] ?? high + air];
}

/**
 * A figure with title, legend, drawing and read-out. `draw(width, height)` returns {svg, stops}, where a
 * stop is {x, title, rows: [[label, value, class]], dots: [[y, class]]}.
 */
function chart({ title, note, legend = [], draw }) {
  const height = 250;
  const box = h("div", { class: "plot", tabindex: 0, role: "img", "aria-label": `${title}. Arrow keys read the values.` });
  const tip = h("div", { class: "tip", role: "status", hidden: true });
  let stops = [], width = 0, at = -1, marks = null;

  function redraw(forced) {
    width = Math.max(260, forced ?? Math.round(box.clientWidth || 520));
    const drawn = draw(width, height);
    stops = drawn.stops;
    marks = s("g", { class: "marks" });
    drawn.svg.append(marks);
    box.replaceChildren(drawn.svg, tip);
    leave();
  }
  function leave() {
    at = -1;
    tip.hidden = true;
    marks.replaceChildren();
  }
  function show(index) {
    at = Math.min(Math.max(index, 0), stops.length - 1);
    const stop = stops[at];
    if (!stop) return;
    marks.replaceChildren(
      s("line", { x1: stop.x, x2: stop.x, y1: 22, y2: height - 38 }),
      ...stop.dots.map(([y, name]) => s("circle", { cx: stop.x, cy: y, r: 4, class: name })),
    );
    tip.replaceChildren(
      h("b", {}, stop.title),
      ...stop.rows.map(([label, value, name]) => h("div", {}, h("i", { class: `swatch ${name}` }), `${label}: `, h("b", {}, value))),
    );
    tip.hidden = false;
    const share = box.clientWidth / width || 1;
    const left = stop.x * share;
    tip.style.left = `${left > box.clientWidth / 2 ? Math.max(0, left - tip.offsetWidth - 10) : Math.min(left + 10, box.clientWidth - tip.offsetWidth)}px`;
  }
  function nearest(event) {
    const x = ((event.clientX - box.getBoundingClientRect().left) * width) / (box.clientWidth || width);
    let best = 0;
    stops.forEach((stop, index) => {
      if (Math.abs(stop.x - x) < Math.abs(stops[best].x - x)) best = index;
    });
    show(best);
  }
  box.addEventListener("pointermove", nearest);
  box.addEventListener("pointerdown", nearest);
  box.addEventListener("pointerleave", leave);
  box.addEventListener("blur", leave);
  box.addEventListener("keydown", (event) => {
    const from = at < 0 ? { ArrowLeft: stops.length, PageUp: stops.length }[event.key] ?? -1 : at;
    const to = { ArrowLeft: from - 1, ArrowRight: from + 1, PageUp: from - 10, PageDown: from + 10, Home: 0, End: stops.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    show(to);
  });
  const watch = new ResizeObserver(() => {
    if (Math.round(box.clientWidth) !== width) requestAnimationFrame(() => redraw());
  });
  watch.observe(box);
  // Two charts share the width of a sheet, and their text should stay readable.
  window.addEventListener("beforeprint", () => redraw(340));
  window.addEventListener("afterprint", () => redraw());
  return h(
    "figure",
    { class: "chart" },
    h("figcaption", {}, h("b", {}, title), note && h("span", {}, note)),
    legend.length > 1 && h("div", { class: "legend" }, legend.map(([label, name]) => h("span", {}, h("i", { class: `swatch ${name}` }), label))),
    box,
  );
}

/** Axes with grid, labels and a title each. */
function frame(width, height, x, y, xTicks, yTicks, labels) {
  const [left, right, top, bottom] = [56, width - 10, 22, height - 38];
  return [
    yTicks.map((value) => [
      s("line", { class: "grid", x1: left, x2: right, y1: y(value), y2: y(value) }),
      s("text", { class: "tick", x: left - 6, y: y(value) + 4, "text-anchor": "end" }, figure(value)),
    ]),
    xTicks.map(([value, label]) => s("text", { class: "tick", x: x(value), y: bottom + 16, "text-anchor": "middle" }, label)),
    s("line", { class: "axis", x1: left, x2: right, y1: bottom, y2: bottom }),
    s("text", { class: "label", x: (left + right) / 2, y: height - 5, "text-anchor": "middle" }, labels.x),
    s("text", { class: "label", x: -(top + bottom) / 2, y: 12, "text-anchor": "middle", transform: "rotate(-90)" }, labels.y),
  ];
}

/** A dashed line across at a value that means something. */
const ruler = (y, width, { at, label }) => [
  s("line", { class: "rule", x1: 56, x2: width - 10, y1: y(at), y2: y(at) }),
  s("text", { class: "rulelabel", x: width - 12, y: y(at) - 4, "text-anchor": "end" }, label),
];

/** All stages' steps one after the other: where each starts, and its points. */
function timeline(stages) {
  let start = 0;
  return stages
    .filter((stage) => stage.metrics && stage.metrics.step.length)
    .map((stage) => {
      const { step, series, steps, stride } = stage.metrics;
      const part = { stage, start, step, series, stride, end: start + Math.max(steps, ...step) };
      start = part.end;
      return part;
    });
}

/** Mean over a window around each point, within one stage; gaps stay gaps. */
function smooth(values, window) {
  const half = Math.floor(window / 2);
  return values.map((value, index) => {
    if (!isNumber(value)) return null;
    const near = values.slice(Math.max(0, index - half), index + half + 1).filter(isNumber);
    return near.reduce((sum, value) => sum + value, 0) / near.length;
  });
}

function path(points) {
  let text = "", open = false;
  for (const [x, y] of points) {
    if (isNumber(y)) text += `${open ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`;
    open = isNumber(y);
  }
  return text;
}

/** Series of the metrics over steps, with the borders of the stages; null where no step has any of them. */
function stepChart(parts, { title, note, y: label, lines, rule, range }) {
  lines = lines.filter((line) => parts.some((part) => part.series[line.key]?.some(isNumber)));
  if (!lines.length) return null;
  const values = lines.flatMap((line) => parts.flatMap((part) => (part.series[line.key] ?? []).filter(isNumber)));
  const draw = (width, height) => {
    const [left, right, top, bottom] = [56, width - 10, 22, height - 38];
    const end = parts.at(-1).end;
    const x = scale(0, end, left, right);
    const limits = rangeOf(rule && rule.include !== false ? values.concat(rule.at) : values, range);
    const y = scale(limits[0], limits[1], bottom, top);
    const nameOf = ({ stage, start, end }) => [stage.label, stage.short, ""].find((name) => 7 * name.length + 4 < x(end) - x(start));
    const borders = parts.map((part, index) => [
      index > 0 && s("line", { class: "border", x1: x(part.start), x2: x(part.start), y1: top - 14, y2: bottom }),
      s("text", { class: "stage", x: x(part.start) + 4, y: top - 6 }, nameOf(part) ?? ""),
    ]);
    const strokes = lines.map((line) =>
      parts.map((part) => {
        const raw = part.series[line.key];
        if (!raw) return null;
        const at = part.step.map((step) => x(part.start + step));
        const window = line.exact ? 1 : averaged(part);
        const curve = (values) => path(values.map((value, index) => [at[index], isNumber(value) ? y(value) : null]));
        return [
          window > 1 && s("path", { class: `raw ${line.color}`, d: curve(raw) }),
          s("path", { class: `line ${line.color}`, d: curve(smooth(raw, window)) }),
          raw.length === 1 && isNumber(raw[0]) && s("circle", { class: line.color, cx: at[0], cy: y(raw[0]), r: 3 }),
        ];
      }),
    );
    const stops = parts.flatMap((part) =>
      part.step.map((step, index) => {
        const present = lines.map((line) => [line, part.series[line.key]?.[index]]).filter(([, value]) => isNumber(value));
        return {
          x: x(part.start + step),
          title: `${part.stage.label}, step ${figure(step)}${part.stride > 1 ? ` (mean of ${part.stride} steps)` : ""}`,
          rows: present.map(([line, value]) => [line.label, figure(value), line.color]),
          dots: present.map(([line, value]) => [y(value), line.color]),
        };
      }),
    );
    const xTicks = ticks(0, end, Math.max(3, Math.round(width / 90))).filter(Number.isInteger).map((value) => [value, count(value)]);
    const svg = s(
      "svg",
      { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" },
      frame(width, height, x, y, xTicks, ticks(limits[0], limits[1], 5), { x: "training steps, all stages in a row", y: label }),
      borders,
      strokes,
      rule && rule.at >= limits[0] && rule.at <= limits[1] && ruler(y, width, rule),
    );
    return { svg, stops };
  };
  return chart({ title, note, legend: lines.map((line) => [line.label, line.color]), draw });
}

/** Width of the running mean of a stage: a tenth of its points; short stages are drawn as they are. */
const averaged = (part) => (part.step.length < 20 ? 1 : Math.max(5, 2 * Math.round(part.step.length / 20) + 1));

/**
 * Estimates {value, low, high}, with an `inner` interval where there is one, in one column a stage.
 * `groups`: {label, color, of: stage => estimate}.
 */
function intervalChart(stages, { title, note, y: label, groups, rule, range, show, size }) {
  const columns = stages.filter((stage) => groups.some((group) => group.of(stage)));
  groups = groups.filter((group) => columns.some(group.of));
  if (!columns.length) return null;
  const draw = (width, height) => {
    const [left, right, top, bottom] = [56, width - 10, 22, height - 38];
    const all = columns.flatMap((stage) => groups.map((group) => group.of(stage)).filter(Boolean));
    const ends = all.flatMap((estimate) => [estimate.value, estimate.low, estimate.high]).filter(isNumber);
    const limits = rangeOf(rule ? ends.concat(rule.at) : ends, range);
    const x = scale(-0.5, columns.length - 0.5, left, right);
    const y = scale(limits[0], limits[1], bottom, top);
    const roomy = (right - left) / columns.length / groups.length >= 60;
    const leftmost = (index) => index === 0 && groups.length > 1;
    const marks = columns.map((stage, column) =>
      groups.map((group, index) => {
        const estimate = group.of(stage);
        if (!estimate) return null;
        const at = x(column) + (index - (groups.length - 1) / 2) * Math.min(40, (right - left) / columns.length / 5);
        const bar = isNumber(estimate.low) && isNumber(estimate.high);
        const whisker = (value) => s("line", { x1: at - 6, x2: at + 6, y1: y(value), y2: y(value) });
        return s(
          "g",
          { class: `estimate ${group.color}` },
          bar && [s("line", { x1: at, x2: at, y1: y(estimate.low), y2: y(estimate.high) }), whisker(estimate.low), whisker(estimate.high)],
          estimate.inner && s("line", { class: "inner", x1: at, x2: at, y1: y(estimate.inner[0]), y2: y(estimate.inner[1]) }),
          s("circle", { cx: at, cy: y(estimate.value), r: 5 }),
          roomy &&
            s("text", { class: "value", x: leftmost(index) ? at - 10 : at + 10, y: y(estimate.value) + 4, "text-anchor": leftmost(index) ? "end" : "start" }, show(estimate.value)),
        );
      }),
    );
    const stops = columns.map((stage, column) => {
      const present = groups.map((group) => [group, group.of(stage)]).filter(([, estimate]) => estimate);
        const n = size?.(stage);
      return {
        x: x(column),
        title: stage.label + (isNumber(n) ? `, n = ${count(n)}` : ""),
        rows: present.map(([group, estimate]) => [group.label, [show(estimate.value), interval(estimate, show)].filter(Boolean).join(" \u00b7 "), group.color]),
        dots: [],
      };
    });
    const name = (stage) => (columns.length > width / 90 ? stage.short : stage.label);
    const svg = s(
      "svg",
      { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" },
      frame(width, height, x, y, columns.map((stage, column) => [column, name(stage)]), ticks(limits[0], limits[1], 5), { x: "stage of the run", y: label }),
      rule && ruler(y, width, rule),
      marks,
    );
    return { svg, stops };
  };
  return chart({ title, note, legend: groups.map((group) => [group.label, group.color]), draw });
}
