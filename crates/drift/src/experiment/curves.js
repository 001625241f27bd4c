// Lines a method over models or iterations, all charts with one legend that shows and hides methods.

const hidden = new Set();
const drawings = [];
const colorOf = (method) => `m${report.methods.indexOf(method) % 8}`;

/** Charts that are made anew when methods are hidden. */
function charts(make) {
  const box = h("div", { class: "charts" });
  const draw = () => box.replaceChildren(...make().filter(Boolean));
  drawings.push(draw);
  draw();
  return box;
}

/** The legend is the choice too; there may be several, and they agree. */
function legend(methods) {
  const entry = (method) => {
    const input = h("input", { type: "checkbox", onchange: () => {
      if (input.checked) hidden.delete(method);
      else hidden.add(method);
      drawings.forEach((draw) => draw());
    } });
    const agree = () => (input.checked = !hidden.has(method));
    drawings.push(agree);
    agree();
    return h("label", {}, input, s("svg", { viewBox: "0 0 32 8", "aria-hidden": "true" }, s("path", { class: `curve ${colorOf(method)}`, d: "M0 4H32" })), method);
  };
  return h("fieldset", { class: "methods" }, h("legend", { class: "hidden" }, "Methods to show"), methods.map(entry));
}

/**
 * `lines`: {method, points: [{x, value, low, high}]}, where x counts columns, a null breaks the line, and low and high
 * make a band. `titleOf`: what a reader of values sees above them.
 */
function lineChart({ title, note, axes, columns, lines, titleOf = (x) => columns[x], range, rule, show }) {
  const all = lines.flatMap(({ points }) => points.filter(Boolean)).filter(({ value }) => isNumber(value));
  if (!all.length) return null;
  const seen = lines.filter(({ method }) => !hidden.has(method));
  const draw = (width, height) => {
    const [left, right, top, bottom] = [56, width - 10, 22, height - 38];
    const ends = all.flatMap(({ value, low, high }) => [value, low, high]).filter(isNumber);
    const limits = rangeOf(rule ? ends.concat(rule.at) : ends, range);
    if (Math.min(...ends) >= 0) limits[0] = Math.max(limits[0], 0); // no air below 0 for what is never below it
    const y = scale(limits[0], limits[1], bottom, top);
    const x = scale(-0.4, columns.length - 0.6, left, right);
    const place = (key) => (point) => (point ? [x(point.x), isNumber(point[key]) ? y(point[key]) : null] : [0, null]);
    const strokes = seen.map(({ method, points }) => {
      const color = colorOf(method);
      const banded = points.filter((point) => isNumber(point?.low) && isNumber(point.high));
      const [lows, highs] = [banded.map(place("low")), banded.map(place("high"))];
      return [
        banded.length > 1 && s("path", { class: `band ${color}`, d: `${path([...lows, ...highs.reverse()])}Z` }),
        banded.length > 0 && [lows, highs].map((edge) => s("path", { class: `bandedge ${color}`, d: path(edge) })),
        s("path", { class: `curve ${color}`, d: path(points.map(place("value"))) }),
        points.map(place("value")).filter(([, at]) => at !== null).map(([cx, cy]) => s("circle", { class: color, cx, cy, r: 3 })),
      ];
    });
    const places = [...new Set(seen.flatMap(({ points }) => points.filter(Boolean).map((point) => point.x)))].sort((a, b) => a - b);
    const stops = places.map((at) => {
      const here = seen.map(({ method, points }) => [method, points.find((point) => point?.x === at)]).filter(([, point]) => isNumber(point?.value));
      return {
        x: x(at),
        title: titleOf(at),
        rows: here.map(([method, point]) => [method, [show(point.value), interval(point, show)].filter(Boolean).join(" \u00b7 "), colorOf(method)]),
        dots: here.map(([method, point]) => [y(point.value), colorOf(method)]),
      };
    });
    const svg = s("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" },
      frame(width, height, x, y, columns.map((name, column) => [column, name]), ticks(limits[0], limits[1], 5), axes),
      rule && ruler(y, width, rule), strokes);
    return { svg, stops };
  };
  return chart({ title, note, draw });
}
