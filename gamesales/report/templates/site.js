
"use strict";
/* The script of the pages of a site. It sorts, filters and searches tables, and compares two versions. It writes text
   only as text nodes and attributes, never as markup. */

const MISSING = "—";

function make(tag, attributes = {}, ...children) {
  const namespace = document.documentElement.namespaceURI;
  const isPlot = ["svg", "path", "circle", "rect", "text", "line"].includes(tag);
  const element = document.createElementNS(isPlot ? "http://www.w3.org/2000/svg" : namespace, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/* Tables. */

function readOrder(row, column) {
  const cell = row.cells[column];
  const text = cell.dataset.order ?? cell.textContent;
  if (cell.dataset.order === undefined && text === MISSING) return null;
  const number = Number(text.replaceAll(",", ""));
  return text.trim() !== "" && Number.isFinite(number) ? number : text.toLowerCase();
}

function compareValues(first, second) {
  if (typeof first === typeof second) return first < second ? -1 : first > second ? 1 : 0;
  return typeof first === "number" ? -1 : 1;
}

/* Rows without a value come last in either direction. */
function sortRows(body, column, direction) {
  const keyed = [...body.rows].map((row) => [readOrder(row, column), row]);
  keyed.sort(([first], [second]) => {
    if (first === null || second === null) return (first === null) - (second === null);
    return direction * compareValues(first, second);
  });
  body.append(...keyed.map(([, row]) => row));
}

function makeSortable(table) {
  const headings = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  headings.forEach((heading, column) => {
    if (heading.matches(".scripted")) return;
    const button = make("button", { type: "button" }, heading.firstChild);
    heading.prepend(button);
    button.addEventListener("click", () => {
      const isAscending = heading.getAttribute("aria-sort") !== "ascending";
      for (const other of headings) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", isAscending ? "ascending" : "descending");
      sortRows(body, column, isAscending ? 1 : -1);
    });
  });
}

function makeSearchable(block) {
  const controls = block.querySelector(".controls"), rows = [...block.querySelector("tbody").rows];
  const input = controls.querySelector("input"), select = controls.querySelector("select");
  const status = controls.querySelector("[role=status]"), texts = rows.map((row) => row.textContent.toLowerCase());
  const total = rows.length.toLocaleString("en-US"), noun = block.dataset.noun + (rows.length === 1 ? "" : "s");
  function update() {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean), state = select ? select.value : "";
    let shown = 0;
    rows.forEach((row, index) => {
      const hasState = state === "" || (row.dataset.state ?? "").split(" ").includes(state);
      row.hidden = !(hasState && words.every((word) => texts[index].includes(word)));
      shown += row.hidden ? 0 : 1;
    });
    status.textContent = shown === rows.length ? `${total} ${noun}` : `${shown.toLocaleString("en-US")} of ${total} ${noun}`;
  }
  input.addEventListener("input", update);
  if (select) select.addEventListener("change", update);
  controls.hidden = false;
  update();
}

/* Numbers, written as format.py writes them. */

const DOLLARS = "US dollars";
const isNumber = (value) => typeof value === "number" && Number.isFinite(value);
const sizes = (values) => values.filter(isNumber).map(Math.abs);
const withSign = (value, text) => (value < 0 && /[1-9]/.test(text) ? `−${text}` : text);

function writeDigits(value, digits) {
  const form = { minimumFractionDigits: digits, maximumFractionDigits: digits, roundingMode: "halfEven" };
  return Math.abs(value).toLocaleString("en-US", form);
}

/* In dollars, or in another unit, which follows the number. */
function writeMoney(value, like, unit = DOLLARS) {
  if (unit !== DOLLARS) return withSign(value, `${writeSignificant(value, like)} ${unit}`.trimEnd());
  const largest = Math.max(...sizes([value, ...like]));
  const digits = largest >= 10 || largest === 0 ? 0 : 2;
  return withSign(value, `$${writeDigits(value, digits)}`);
}

/* Three digits of the largest number, and all digits before the decimal point. */
function writeSignificant(value, like) {
  const largest = Math.max(...sizes([value, ...like]));
  if (largest > 0 && largest < 1e-6) return Math.abs(value).toExponential(2);
  const digits = largest === 0 ? 0 : Math.max(2 - Math.floor(Math.log10(largest)), 0), size = Math.abs(value);
  return size > 1e-9 * largest && size < 0.5 * 10 ** -digits ? writeSignificant(value, []) : writeDigits(value, digits);
}

function writePercent(value, like) {
  const digits = Math.min(...sizes([value, ...like])) >= 0.995 ? 1 : 2;
  return withSign(value, `${writeDigits(value, digits)}%`);
}

function writeScientific(value) {
  const [digits, power] = Math.abs(value).toExponential(2).split("e");
  return withSign(value, `${digits}e${power[0]}${power.slice(1).padStart(2, "0")}`);
}

const WRITERS = {
  mae: writeMoney, rmse: writeMoney, mape_percent: writePercent, scaled_mse: writeScientific,
  r2: (value) => withSign(value, Math.abs(value).toFixed(4)),
};

function write(key, value, like = [], unit = DOLLARS) {
  return isNumber(value) ? WRITERS[key](value, like, unit) : MISSING;
}

function writeTick(key, value, unit) {
  const sign = unit === DOLLARS ? "$" : "";
  if (key === "mape_percent") return `${Number(value.toPrecision(6))}%`;
  if (key === "scaled_mse") return value === 0 ? "0" : value.toExponential(1).replace(".0e", "e");
  for (const [size, suffix] of [[1e9, "B"], [1e6, "M"], [1e3, "k"]]) {
    if (value >= size) return `${sign}${Number((value / size).toPrecision(6))}${suffix}`;
  }
  return `${sign}${Number(value.toPrecision(6))}`;
}

/* Comparison of two versions. */

/* A few round steps from 0 to at least the largest value. */
function chooseSteps(largest) {
  if (!(largest > 0)) return { limit: 1, step: 1 };
  const power = 10 ** Math.floor(Math.log10(largest / 3));
  const step = [1, 2, 2.5, 5, 10].map((size) => size * power).find((size) => size * 3 >= largest * (1 - 1e-9));
  return { limit: step * Math.ceil((largest / step) * (1 - 1e-9)), step };
}

function drawText(x, y, text, anchor, color) {
  return make("text", { x, y, style: `font-size: 10px; fill: var(--${color}); text-anchor: ${anchor}` }, text);
}

/* The two values with their intervals above an axis that starts at 0: a filled dot, and an outlined square. */
function drawPair(key, labels, values, intervals, unit) {
  const left = 82, right = 300, bottom = 66;
  const { limit, step } = chooseSteps(Math.max(...values, ...intervals.flat().filter(isNumber)));
  const locate = (value) => left + ((right - left) * value) / limit;
  const svg = make("svg", { viewBox: "0 0 320 86", "aria-hidden": "true" });
  for (let tick = 0; tick <= Math.round(limit / step); tick += 1) {
    const x = locate(tick * step);
    svg.append(make("path", { d: `M${x} 4V${bottom}`, style: "stroke: var(--rule)" }));
    svg.append(drawText(x, bottom + 15, writeTick(key, tick * step, unit), "middle", "muted"));
  }
  values.forEach((value, index) => {
    const y = 20 + 28 * index, color = index ? "second" : "accent", bounds = intervals[index];
    svg.append(drawText(left - 10, y + 3.5, labels[index], "end", "ink"));
    if (bounds) {
      const d = `M${locate(bounds[0])} ${y}H${locate(bounds[1])}M${locate(bounds[0])} ${y - 4}v8M${locate(bounds[1])} ${y - 4}v8`;
      svg.append(make("path", { d, style: `stroke: var(--${color}); stroke-width: 1.5` }));
    }
    const x = locate(value), style = `fill: var(--${index ? "card" : color}); stroke: var(--${color}); stroke-width: 1.5`;
    svg.append(index ? make("rect", { x: x - 4, y: y - 4, width: 8, height: 8, style }) : make("circle", { cx: x, cy: y, r: 4.5, style }));
  });
  return svg;
}

function makeTable(label, kind, headings, rows) {
  const head = make("thead", {}, make("tr", {}, ...headings.map((text) => make("th", { scope: "col" }, text))));
  const body = make("tbody", {}, ...rows.map(([first, ...cells]) =>
    make("tr", {}, make("th", { scope: "row" }, ...first), ...cells.map((text) => make("td", {}, ...text)))));
  const region = { class: "card scroll", role: "region", "aria-label": `${label}, table`, tabindex: "0" };
  return make("div", region, make("table", { class: kind }, head, body));
}

function describe(version) {
  return `version ${version.number}${version.aliases.length ? ` (${version.aliases.join(", ")})` : ""}`;
}

function compareMetrics(data, pair, file) {
  const [first, second] = pair.map((version) => version.metrics.find((entry) => entry.file === file));
  const labels = pair.map((version) => `version ${version.number}`), rows = [], plots = [];
  const units = [first, second].map((entry) => entry.unit ?? DOLLARS), hasOneUnit = units[0] === units[1];
  data.metrics.forEach(({ key, heading, term }, index) => {
    const values = [first.values[index], second.values[index]];
    const intervals = [first.intervals[key], second.intervals[key]];
    if (!values.some(isNumber)) return;
    const isComparable = hasOneUnit || !["mae", "rmse"].includes(key);
    const both = values.every(isNumber) && isComparable, difference = both ? values[1] - values[0] : null;
    const cells = values.map((value, side) => {
      const bounds = intervals[side];
      const note = bounds ? [make("small", {}, bounds.map((bound) => write(key, bound, bounds, units[side])).join(" to "))] : [];
      return [write(key, value, isComparable ? [...values, difference] : [], units[side]), ...note];
    });
    const text = write(key, difference, [...values, difference], units[0]), sign = difference > 0 && /[1-9]/.test(text) ? "+" : "";
    rows.push([[heading, make("small", {}, term)], ...cells, [sign + text]]);
    if (both && key !== "r2" && values.every((value) => value >= 0)) {
      const text = `${labels[0]}: ${write(key, values[0], values, units[0])}; ${labels[1]}: ${write(key, values[1], values, units[1])}.`;
      const caption = make("figcaption", {}, make("h4", {}, `${heading} (${term})`), make("p", {}, text));
      const picture = make("div", { role: "img", "aria-label": `${heading}. ${text}` }, drawPair(key, labels, values, intervals, units[0]));
      plots.push(make("figure", { class: "card" }, caption, picture));
    }
  });
  const { data: name, rows: titles } = data.files[file];
  return [
    make("h3", {}, `On ${titles.toLocaleString("en-US")} titles of ${name}`),
    make("div", { class: "plots" }, ...plots),
    makeTable("Metrics of both versions", "plain", ["Metric", ...pair.map(describe), "Difference"], rows),
    make("p", { class: "note" }, "Lines and small numbers: 95% confidence interval of one version alone. The gate compares both versions title by title, which shows smaller differences."),
  ];
}

function compareSettings(data, pair) {
  const rows = [];
  for (const name of new Set(pair.flatMap((version) => Object.keys(version.settings)))) {
    const [first, second] = pair.map((version) => data.sections[version.settings[name]] ?? {});
    for (const key of new Set([...Object.keys(second), ...Object.keys(first)])) {
      const values = [first[key] ?? MISSING, second[key] ?? MISSING];
      if (values[0] !== values[1]) rows.push([[key, make("small", {}, name)], ...values.map((value) => [value])]);
    }
  }
  if (!rows.length) return [make("p", { class: "note" }, "Network, training, data, contract and software are the same.")];
  return [make("h3", {}, "What differs"), makeTable("Settings that differ", "plain settings", ["Setting", ...pair.map(describe)], rows)];
}

function answer(data, pair) {
  const files = pair[0].metrics.map((entry) => entry.file).filter((file) => pair[1].metrics.some((entry) => entry.file === file));
  if (pair[0] === pair[1]) return ["Choose two different versions.", files];
  if (!files.length) return ["The two versions were not evaluated on the same file. Type: gamesales evaluate REF --data FILE", files];
  const entries = pair.map((version) => version.metrics.find((entry) => entry.file === files[0]));
  const [first, second] = entries.map((entry) => entry.values[0]), units = entries.map((entry) => entry.unit ?? DOLLARS);
  if (!isNumber(first) || !isNumber(second)) return ["The average error is not known.", files];
  if (units[0] !== units[1]) return ["The two versions predict different units, so their errors can't be compared.", files];
  const share = Math.abs(second / first - 1) * 100, change = second < first ? "lower" : "higher";
  const amount = first === 0 ? "" : `${share.toFixed(share < 1 ? 2 : 1)}% `; // of 0, no share is known
  const errors = `${write("mae", second, [first], units[1])} and ${write("mae", first, [second], units[0])}`;
  const text = first === second ? "Both versions have the same average error" :
    `The average error of version ${pair[1].number} is ${amount}${change} than the error of version ${pair[0].number}`;
  return [`${text}: ${errors}.`, files];
}

function showComparison(data, pair) {
  const [text, files] = answer(data, pair), target = document.getElementById("comparison");
  const parts = pair[0] === pair[1] ? [] : [...files.flatMap((file) => compareMetrics(data, pair, file)), ...compareSettings(data, pair)];
  document.getElementById("answer").textContent = text;
  target.replaceChildren(...parts);
}

function startComparison(data) {
  const form = document.getElementById("pair"), selects = ["first", "second"].map((id) => document.getElementById(id));
  const numbers = new Map(data.versions.map((version) => [String(version.number), version]));
  for (const select of selects) {
    select.append(...data.versions.map((version) => make("option", { value: version.number }, describe(version))));
  }
  const champion = data.versions.find((version) => version.aliases.includes("champion")) ?? data.versions[1];
  const newest = data.versions.find((version) => version !== champion);
  selects[0].value = champion.number;
  selects[1].value = newest.number;
  const update = () => showComparison(data, selects.map((select) => numbers.get(select.value)));
  function readAddress() {
    const match = /^#compare=(\d+),(\d+)$/.exec(location.hash);
    if (!match || !numbers.has(match[1]) || !numbers.has(match[2])) return;
    selects.forEach((select, index) => { select.value = match[index + 1]; });
    update();
    const heading = document.getElementById("compare");
    heading.querySelector("a").focus({ preventScroll: true });
    heading.scrollIntoView();
  }
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("change", () => {
    update();
    history.replaceState(null, "", `#compare=${selects[0].value},${selects[1].value}`);
  });
  window.addEventListener("hashchange", readAddress);
  form.hidden = false;
  update();
  readAddress();
}

document.documentElement.classList.add("has-script");
for (const block of document.querySelectorAll(".data-table")) {
  makeSortable(block.querySelector("table"));
  makeSearchable(block);
}
if (document.getElementById("pair")) startComparison(JSON.parse(document.getElementById("data").textContent));
