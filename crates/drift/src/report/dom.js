"use strict";
// Text of the logs enters the page through text nodes and attributes set by name, never as markup.

const report = JSON.parse(document.getElementById("data").textContent);

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

const h = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);
const s = (tag, attributes = {}, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
const section = (id) => document.getElementById(id);

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);
const minus = (text) => text.replace("-", "\u2212");
const count = (n) => (isNumber(n) ? n.toLocaleString("en") : "\u2014");
const fixed = (value, digits) =>
  isNumber(value) ? minus(value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits })) : "\u2014";
const signed = (value, digits) => (value > 0 ? "+" : "") + fixed(value, digits);
const percent = (share) => (isNumber(share) ? fixed(100 * share, 1) + "\u00a0%" : "\u2014");

/** The interval of an estimate, its unit said once. */
function interval(estimate, show) {
  if (!isNumber(estimate?.low) || !isNumber(estimate?.high)) return null;
  return `${show(estimate.low).replace("\u00a0%", "")} to ${show(estimate.high)}`;
}

/** Four significant digits, for values whose size is not known. */
function figure(value) {
  if (!isNumber(value)) return "\u2014";
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) return minus(value.toExponential(2).replace(/\.?0+e/, "e"));
  return minus(value.toLocaleString("en", { maximumSignificantDigits: 4 }));
}

/** A clipped text; what was left out is counted at the end where it is missing. */
function clipped(clip, missing = "after") {
  const note = clip.more ? h("span", { class: "more" }, `\u2026 ${count(clip.more)} characters more `) : null;
  return missing === "after" ? [clip.text, note && [" ", note]] : [note, clip.text];
}
