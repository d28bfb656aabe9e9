"use strict";
// Reads what page.py and codec.py have put beside it; draws on two canvases; needs no other file.
const head = JSON.parse(document.getElementById("head").textContent);
const find = (id) => document.getElementById(id);
const hours = head.hours.length, rows = head.lat.length, columns = head.lon.length, cells = rows * columns;
const [west, south, east, north] = head.box;
const ascending = rows < 2 || head.lat[0] < head.lat[1];
const FLAG_SHADES = ["#e9f4f6", "#b9dbe4", "#8abfd6", "#5a9cc9", "#4a76b5", "#3c4a83", "#22223f"];
const HATCH = "repeating-linear-gradient(-45deg, #fff 0 3px, #777 3px 4px)";
const state = { layer: "best", palette: "even", hour: 0, cell: -1, playing: 0 };
const layers = {};

// ---- unpacking: the reverse of codec.py
async function inflate(id) {
  const element = find(id);
  const text = atob(element.textContent);
  element.textContent = "";
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

async function unpack(name) {
  const [low, high] = await Promise.all([inflate(name + "-low"), inflate(name + "-high")]);
  const numbers = new Uint16Array(hours * cells);
  for (let i = 0, hour = 0; hour < hours; hour++) {
    for (let row = 0; row < rows; row++) {
      let before = 0;
      for (let column = 0; column < columns; column++, i++) {
        const code = low[i] | (high[i] << 8);
        before = (before + ((code >>> 1) ^ -(code & 1))) & 0xffff;
        numbers[i] = hour ? numbers[i - cells] + before : before;
      }
    }
  }
  return numbers;
}

function layer(name) {
  if (!layers[name]) layers[name] = { ready: null, numbers: null };
  const one = layers[name];
  one.ready ??= unpack(name).then((numbers) => { one.numbers = numbers; });
  return one;
}

const hatched = (name) => head.far.length > 0 && name !== "flag";
const needed = (name) => [...(name === "width" ? ["lower", "upper"] : [name]), ...(hatched(name) ? ["flag"] : [])];

function value(name, hour, cell) {
  if (name === "width") return value("upper", hour, cell) - value("lower", hour, cell);
  const numbers = layers[name] && layers[name].numbers;
  const number = numbers ? numbers[hour * cells + cell] : 0;
  return number ? (number - 1) * head.layers[name].step : NaN;
}

// ---- words
const twoDigits = (n) => String(n).padStart(2, "0");
function stamp(hour) {
  const t = new Date(head.hours[hour] * 3600000);
  return `${t.getUTCFullYear()}-${twoDigits(t.getUTCMonth() + 1)}-${twoDigits(t.getUTCDate())} ` +
    `${twoDigits(t.getUTCHours())}:${twoDigits(t.getUTCMinutes())} UTC`;
}
function decimals(name) {
  const step = name === "width" ? head.layers.lower.step : head.layers[name].step;
  return Math.max(0, Math.ceil(-Math.log10(step) - 1e-9));
}
const say = (name, x) => (Number.isNaN(x) ? "no value" : x.toFixed(decimals(name)));

// ---- colours
function rgb(hex) { const n = parseInt(hex.slice(1), 16); return [n >> 16, (n >> 8) & 255, n & 255]; }
function scaleOf(name) {
  if (name === "flag") return { edges: head.flags.map((_, i) => i + 0.5).slice(0, -1), hexes: FLAG_SHADES, names: head.flags, title: "" };
  if (name === "width" || name === "standard_error") return head.scales.spread;
  return head.scales[state.palette];
}
function painter(name) {
  const scale = scaleOf(name), shades = scale.hexes.map(rgb);
  if (!scale.edges.length) {
    const last = shades.length - 1;
    return (x) => shades[Math.max(0, Math.min(last, Math.round((x / scale.high) * last)))];
  }
  return (x) => { let i = 0; while (i < scale.edges.length && x >= scale.edges[i]) i++; return shades[i]; };
}

// ---- the map
const map = find("map"), pen = map.getContext("2d");
let unit = 1;  // pixels of the canvas in one of the screen
const field = document.createElement("canvas");
field.width = columns; field.height = rows;
const image = field.getContext("2d").createImageData(columns, rows);
const toX = (lon) => ((lon - west) / (east - west)) * map.width;
const toY = (lat) => ((north - lat) / (north - south)) * map.height;

function drawMap() {
  const shade = painter(state.layer), data = image.data;
  for (let row = 0; row < rows; row++) {
    const line = ascending ? rows - 1 - row : row;
    for (let column = 0; column < columns; column++) {
      const x = value(state.layer, state.hour, row * columns + column), at = 4 * (line * columns + column);
      if (Number.isNaN(x)) { data[at + 3] = 0; continue; }
      [data[at], data[at + 1], data[at + 2]] = shade(x);
      data[at + 3] = 255;
    }
  }
  field.getContext("2d").putImageData(image, 0, 0);
  pen.imageSmoothingEnabled = false;
  pen.clearRect(0, 0, map.width, map.height);
  pen.drawImage(field, 0, 0, map.width, map.height);
  if (hatched(state.layer)) drawHatch();
  pen.strokeStyle = "#2b2b2b"; pen.lineWidth = 0.8 * unit;
  for (const line of head.borders) {
    pen.beginPath();
    line.forEach(([lon, lat], i) => (i ? pen.lineTo(toX(lon), toY(lat)) : pen.moveTo(toX(lon), toY(lat))));
    pen.stroke();
  }
  if (find("stations").checked) drawStations();
  if (state.cell >= 0) {
    const x = toX(head.lon[state.cell % columns]), y = toY(head.lat[Math.floor(state.cell / columns)]), r = 9 * unit;
    pen.lineWidth = 2 * unit;
    for (const [colour, radius] of [["#fff", r + pen.lineWidth], ["#000", r]]) {
      pen.strokeStyle = colour; pen.beginPath(); pen.arc(x, y, radius, 0, 7); pen.stroke();
    }
  }
}

// What is extrapolated, run by run of cells.
function drawHatch() {
  const side = Math.round(8 * unit), tile = document.createElement("canvas"), stroke = tile.getContext("2d");
  tile.width = tile.height = side;
  stroke.strokeStyle = "rgba(0, 0, 0, 0.4)"; stroke.lineWidth = 0.8 * unit;
  for (const shift of [-side, 0, side]) {
    stroke.beginPath(); stroke.moveTo(shift, side); stroke.lineTo(shift + side, 0); stroke.stroke();
  }
  pen.fillStyle = pen.createPattern(tile, "repeat");
  const far = (row, column) => head.far.includes(value("flag", state.hour, row * columns + column));
  for (let row = 0; row < rows; row++) {
    const line = ascending ? rows - 1 - row : row, top = (line / rows) * map.height;
    for (let column = 0; column < columns; column++) {
      if (!far(row, column)) continue;
      const from = column;
      while (column + 1 < columns && far(row, column + 1)) column++;
      pen.fillRect((from / columns) * map.width, top, ((column + 1 - from) / columns) * map.width, map.height / rows);
    }
  }
}

function drawStations() {
  const r = 2.6 * unit;
  pen.strokeStyle = "#000"; pen.lineWidth = r / 3;
  for (const [, lat, lon, hidden] of head.stations) {
    const x = toX(lon), y = toY(lat);
    pen.fillStyle = hidden ? "#ffe14d" : "#fff";
    pen.beginPath();
    if (hidden) { pen.moveTo(x, y - 2 * r); pen.lineTo(x + 1.8 * r, y + 1.2 * r); pen.lineTo(x - 1.8 * r, y + 1.2 * r); pen.closePath(); }
    else pen.arc(x, y, r, 0, 7);
    pen.fill(); pen.stroke();
  }
}

function drawLegend() {
  const box = find("legend"), scale = scaleOf(state.layer);
  box.replaceChildren();
  const add = (tag, text, colour) => {
    const span = document.createElement("span");
    if (colour) { const mark = document.createElement(tag); mark.style.background = colour; span.append(mark); }
    span.append(text); box.append(span);
  };
  if (!scale.edges.length) {
    const stops = [0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1].map((f) => scale.hexes[Math.round(f * (scale.hexes.length - 1))]);
    add("b", `${scale.high} ${head.units} and more`, `linear-gradient(90deg, ${stops.join(",")})`);
    box.firstChild.prepend("0");
    if (hatched(state.layer)) add("i", head.farText, HATCH);
    return;
  }
  if (scale.title) add("i", scale.title + ":");
  scale.names.forEach((name, i) => {
    const from = state.layer === "flag" ? "" : i ? ` (from ${scale.edges[i - 1]})` : ` (below ${scale.edges[0]})`;
    add("i", name + from, scale.hexes[i]);
  });
  if (hatched(state.layer)) add("i", head.farText, HATCH);
}

// ---- the time series of a cell
const chart = find("chart"), ink = chart.getContext("2d");
function drawChart() {
  const ratio = window.devicePixelRatio || 1, width = chart.clientWidth, height = 220;
  chart.width = width * ratio; chart.height = height * ratio;
  ink.setTransform(ratio, 0, 0, ratio, 0, 0);
  if (state.cell < 0) return;
  const left = 46, right = width - 8, top = 10, bottom = height - 24, banded = head.layers.lower && head.layers.upper;
  let most = 0;
  for (let h = 0; h < hours; h++) for (const name of banded ? ["best", "upper"] : ["best"]) most = Math.max(most, value(name, h, state.cell) || 0);
  const power = 10 ** Math.floor(Math.log10((most || 1) / 4)), each = power * [1, 2, 5, 10].find((m) => m * power >= (most || 1) / 4);
  const first = head.hours[0], span = Math.max(head.hours[hours - 1] - first, 1e-9);
  const x = (h) => left + ((head.hours[h] - first) / span) * (right - left);
  const y = (v) => bottom - (v / (most || 1)) * (bottom - top);
  ink.font = "12px system-ui, sans-serif"; ink.fillStyle = "#555"; ink.strokeStyle = "#e2e2e2"; ink.lineWidth = 1;
  for (let v = 0; v <= most; v += each) {
    ink.beginPath(); ink.moveTo(left, y(v)); ink.lineTo(right, y(v)); ink.stroke();
    ink.textAlign = "right"; ink.fillText(String(+v.toPrecision(6)), left - 5, y(v) + 4);
  }
  const marks = Math.max(2, Math.floor((right - left) / 110));
  for (let i = 0; i < marks; i++) {
    const h = Math.round((i / (marks - 1)) * (hours - 1));
    ink.textAlign = i === 0 ? "left" : i === marks - 1 ? "right" : "center";
    ink.fillText(span > 336 ? stamp(h).slice(0, 10) : stamp(h).slice(5, 16), x(h), height - 6);
  }
  const line = (name) => {
    let open = false;
    ink.beginPath();
    for (let h = 0; h < hours; h++) {
      const v = value(name, h, state.cell);
      if (Number.isNaN(v)) { open = false; continue; }
      if (open) ink.lineTo(x(h), y(v)); else ink.moveTo(x(h), y(v));
      open = true;
    }
    ink.stroke();
  };
  if (banded) {
    ink.fillStyle = "#eec1d4";
    const known = (h) => !Number.isNaN(value("lower", h, state.cell) + value("upper", h, state.cell));
    for (let from = 0; from < hours; from++) {
      if (!known(from)) continue;
      let to = from;  // one shape a run: shapes of an hour each would show their edges
      while (to + 1 < hours && known(to + 1)) to++;
      ink.beginPath();
      for (let h = from; h <= to; h++) ink.lineTo(x(h), y(value("upper", h, state.cell)));
      for (let h = to; h >= from; h--) ink.lineTo(x(h), y(value("lower", h, state.cell)));
      ink.fill();
      from = to;
    }
  }
  ink.strokeStyle = "#a2145a"; ink.lineWidth = 1.5; line("best");
  ink.strokeStyle = "#333"; ink.lineWidth = 1;
  ink.beginPath(); ink.moveTo(x(state.hour), top); ink.lineTo(x(state.hour), bottom); ink.stroke();
}

function tell() {
  find("stamp").textContent = stamp(state.hour);
  if (state.cell < 0) return;
  const row = Math.floor(state.cell / columns), column = state.cell % columns, parts = [];
  const lon = head.lon[column] > 180 ? head.lon[column] - 360 : head.lon[column];
  parts.push(`${say("best", value("best", state.hour, state.cell))} ${head.units}`);
  if (head.layers.lower && head.layers.upper) {
    const told = head.coverage === null ? "interval" : `${+(100 * head.coverage).toFixed(1)} % interval`;
    parts.push(`${told} ${say("lower", value("lower", state.hour, state.cell))} to ${say("upper", value("upper", state.hour, state.cell))}`);
  }
  if (head.layers.standard_error) parts.push(`standard error ${say("standard_error", value("standard_error", state.hour, state.cell))}`);
  if (head.layers.flag && layers.flag && layers.flag.numbers) parts.push(head.flags[value("flag", state.hour, state.cell)]);
  const near = nearestStation(lon, head.lat[row]);
  if (near) parts.push(near);
  find("reading").textContent = `${head.species} at ${+head.lat[row].toFixed(4)}, ${+lon.toFixed(4)}, ${stamp(state.hour)}: ${parts.join("; ")}`;
}

function nearestStation(lon, lat) {
  let best = null, least = (2 * (north - south)) / rows;
  for (const [name, sLat, sLon, hidden] of head.stations) {
    const away = Math.hypot(sLat - lat, (((sLon - lon + 540) % 360) - 180) * Math.cos((lat * Math.PI) / 180));
    if (away < least) { least = away; best = `station ${name}${hidden ? " (hidden from the model)" : ""}`; }
  }
  return best;
}

// ---- what the user does
async function show(what) {
  Object.assign(state, what);
  const wanted = new Set(needed(state.layer));
  if (state.cell >= 0) for (const name of Object.keys(head.layers)) wanted.add(name);
  const waiting = [...wanted].filter((name) => !layer(name).numbers);
  if (waiting.length) {
    find("status").textContent = "unpacking";
    await new Promise((done) => setTimeout(done));
    await Promise.all(waiting.map((name) => layer(name).ready));
  }
  find("status").textContent = "";
  drawMap(); drawLegend(); drawChart(); tell();
  document.body.dataset.ready = `${state.layer} ${state.hour} ${state.cell}`;
}

// So wide that the map leaves room for the rest (px): a tall region must not push the chart out of the window.
const OTHERS = 460;
function size() {
  const flat = 1 / Math.max(Math.cos(((south + north) / 2) * (Math.PI / 180)), 0.05);
  const tall = Math.min(Math.max(((north - south) / (east - west)) * flat, 0.2), 1.2);
  const wide = Math.min(find("stage").clientWidth, Math.max(320, window.innerHeight - OTHERS) / tall);
  map.style.width = `${Math.floor(wide)}px`;
  map.width = Math.max(900, Math.round(wide * (window.devicePixelRatio || 1)));
  map.height = Math.round(map.width * tall);
  unit = map.width / wide;
}

function play() {
  clearInterval(state.playing);
  state.playing = state.playing ? 0 : setInterval(() => {
    find("time").value = (state.hour + 1) % hours;
    show({ hour: (state.hour + 1) % hours });
  }, 120);
  find("play").textContent = state.playing ? "❚❚" : "▶";
}

function start() {
  document.title = head.title; find("title").textContent = head.title;
  const kept = Object.entries(head.layers).filter(([name]) => name !== "flag").map(([, one]) => `${one.name} ±${+(one.step / 2).toPrecision(3)}`);
  find("precision").textContent = `Numbers are rounded for this page: ${kept.join(", ")} ${head.units}. The cube itself is exact. Times are the ${head.stamp} of the step.`;
  find("credit").textContent = head.borders.length ? head.credit : "";
  const choices = Object.entries(head.layers).map(([name, one]) => [name, one.name]);
  if (head.layers.lower && head.layers.upper) choices.push(["width", "width of the interval"]);
  for (const [name, text] of choices) find("layer").append(new Option(text, name));
  for (const [name, scale] of Object.entries(head.scales)) if (name !== "spread") find("palette").append(new Option(scale.title || "even", name));
  find("station-choice").hidden = !head.stations.length;
  find("time").max = hours - 1;
  find("layer").onchange = (event) => show({ layer: event.target.value });
  find("palette").onchange = (event) => show({ palette: event.target.value });
  find("stations").onchange = () => show({});
  find("time").oninput = (event) => show({ hour: +event.target.value });
  find("play").onclick = play;
  map.onclick = (event) => {
    const at = map.getBoundingClientRect();
    const column = Math.floor(((event.clientX - at.left) / at.width) * columns);
    const line = Math.floor(((event.clientY - at.top) / at.height) * rows);
    if (column < 0 || column >= columns || line < 0 || line >= rows) return;
    show({ cell: (ascending ? rows - 1 - line : line) * columns + column });
  };
  window.onresize = () => { size(); show({}); };
  size();
  if (typeof DecompressionStream === "undefined") {
    find("status").textContent = "This browser is too old for this page: Chrome 80, Edge 80, Firefox 113 or Safari 16.4 is needed.";
    return;
  }
  show({});
}
start();
