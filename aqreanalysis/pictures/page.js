"use strict";
// Reads what page.py and page_encoding.py have put beside it; draws on two canvases; needs no other file.
const head = JSON.parse(document.getElementById("head").textContent);
const find = (id) => document.getElementById(id);
const hours = head.hours.length, rows = head.lat.length, columns = head.lon.length, cells = rows * columns;
const [west, south, east, north] = head.box;
const ascending = rows < 2 || head.lat[0] < head.lat[1];
const FLAG_SHADES = ["#e9f4f6", "#b9dbe4", "#8abfd6", "#5a9cc9", "#4a76b5", "#3c4a83", "#22223f"];
const HATCH = "repeating-linear-gradient(-45deg, #fff 0 3px, #777 3px 4px)";
const state = { layer: "best", palette: "even", hour: 0, cell: -1, playing: 0 };
const layers = {};

// ---- unpacking: the reverse of page_encoding.py
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
  if (name === "width" || name === "standard_error") return head.scales[name];
  const scale = head.scales[state.palette], plain = head.plain[state.palette];
  return plain && find("plain").checked ? { ...scale, hexes: plain } : scale;
}
function painter(name) {
  const scale = scaleOf(name), shades = scale.hexes.map(rgb);
  if (!scale.edges.length) {
    const last = shades.length - 1;
    return (x) => shades[Math.max(0, Math.min(last, Math.round(((x - scale.low) / (scale.high - scale.low)) * last)))];
  }
  return (x) => { let i = 0; while (i < scale.edges.length && x >= scale.edges[i]) i++; return shades[i]; };
}

// ---- the map: degrees of latitude are `view.scale` pixels of the canvas, and its middle lies at `view.lon`, `view.lat`
const map = find("map"), pen = map.getContext("2d");
let unit = 1;  // pixels of the canvas in one of the screen
const field = document.createElement("canvas");
field.width = columns; field.height = rows;
const image = field.getContext("2d").createImageData(columns, rows);
const MIDDLE = { lon: (west + east) / 2, lat: (south + north) / 2 };
const SQUEEZE = Math.max(Math.cos((MIDDLE.lat * Math.PI) / 180), 0.05);
const DEEPEST = 64;
const LINES = {
  province: ["#6a6a6a", 0.5],
  river: ["#3f7fae", 0.7],
  lake: ["#1f5f8f", 0.7],
  coast: ["#2b2b2b", 0.9],
  border: ["#2b2b2b", 0.9],
};
const view = { ...MIDDLE, scale: 1, zoom: 1 };
const toX = (lon) => map.width / 2 + (lon - view.lon) * SQUEEZE * view.scale;
const toY = (lat) => map.height / 2 - (lat - view.lat) * view.scale;
const toLon = (x) => view.lon + (x - map.width / 2) / (SQUEEZE * view.scale);
const toLat = (y) => view.lat - (y - map.height / 2) / view.scale;
const within = (x, low, high) => Math.min(Math.max(x, low), high);

function cellAt(lon, lat) {
  const column = Math.floor(((lon - west) / (east - west)) * columns), line = Math.floor(((north - lat) / (north - south)) * rows);
  if (column < 0 || column >= columns || line < 0 || line >= rows) return -1;
  return (ascending ? rows - 1 - line : line) * columns + column;
}

// Whole at zoom 1; never so far aside that the cube is out of sight.
function look(zoom, lon, lat) {
  view.zoom = within(zoom, 1, DEEPEST);
  const margin = Math.min(24 * unit, 0.03 * map.width);
  view.scale = view.zoom * Math.min((map.width - 2 * margin) / ((east - west) * SQUEEZE), (map.height - 2 * margin) / (north - south));
  view.lon = view.zoom === 1 ? MIDDLE.lon : within(lon, west, east);
  view.lat = view.zoom === 1 ? MIDDLE.lat : within(lat, south, north);
  // A finger that moves over a whole map moves the page, over an enlarged one the map.
  map.style.touchAction = view.zoom > 1 ? "none" : "pan-y";
}

// The place under the pointer stays where it is.
function zoomAt(factor, x, y) {
  const lon = toLon(x), lat = toLat(y), zoom = within(view.zoom * factor, 1, DEEPEST), scale = (view.scale * zoom) / view.zoom;
  look(zoom, lon - (x - map.width / 2) / (SQUEEZE * scale), lat + (y - map.height / 2) / scale);
  drawMap();
}

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
  pen.drawImage(field, toX(west), toY(north), toX(east) - toX(west), toY(south) - toY(north));
  if (hatched(state.layer)) drawHatch();
  for (const [kind, [colour, width]] of Object.entries(LINES)) {
    pen.strokeStyle = colour; pen.lineWidth = width * unit;
    for (const line of head.lines[kind] || []) {
      pen.beginPath();
      line.forEach(([lon, lat], i) => (i ? pen.lineTo(toX(lon), toY(lat)) : pen.moveTo(toX(lon), toY(lat))));
      pen.stroke();
    }
  }
  drawDegrees();
  if (find("stations").checked) drawStations();
  if (state.cell >= 0) {
    const x = toX(head.lon[state.cell % columns]), y = toY(head.lat[Math.floor(state.cell / columns)]), r = 9 * unit;
    pen.lineWidth = 2 * unit;
    for (const [colour, radius] of [["#fff", r + pen.lineWidth], ["#000", r]]) {
      pen.strokeStyle = colour; pen.beginPath(); pen.arc(x, y, radius, 0, 7); pen.stroke();
    }
  }
}

function degrees(x, digits, positive, negative) {
  const text = Math.abs(x).toFixed(digits);
  return `${text}°${+text === 0 ? "" : x > 0 ? positive : negative}`;
}
const eastward = (lon, digits) => degrees(((lon + 540) % 360) - 180, digits, "E", "W");

// Meridians and parallels at round degrees, their names along the lower and the left edge.
function drawDegrees() {
  pen.font = `${11 * unit}px system-ui, sans-serif`;
  pen.lineWidth = 0.5 * unit; pen.strokeStyle = "rgba(0, 0, 0, 0.25)";
  const each = (span, pixels) => {
    const least = span / Math.max(2, pixels / (95 * unit)), power = 10 ** Math.floor(Math.log10(least));
    return power * [1, 2, 5, 10].find((m) => m * power >= least);
  };
  const mark = (text, x, y, side) => {
    pen.textAlign = side; pen.lineWidth = 3 * unit; pen.strokeStyle = "rgba(255, 255, 255, 0.85)"; pen.strokeText(text, x, y);
    pen.fillStyle = "#333"; pen.fillText(text, x, y); pen.lineWidth = 0.5 * unit; pen.strokeStyle = "rgba(0, 0, 0, 0.25)";
  };
  const rule = (x0, y0, x1, y1) => { pen.beginPath(); pen.moveTo(x0, y0); pen.lineTo(x1, y1); pen.stroke(); };
  const wide = each(toLon(map.width) - toLon(0), map.width), high = each(toLat(0) - toLat(map.height), map.height);
  const digits = (step) => Math.max(0, Math.ceil(-Math.log10(step) - 1e-9));
  for (let lon = Math.ceil(toLon(0) / wide) * wide; lon < toLon(map.width); lon += wide) {
    rule(toX(lon), 0, toX(lon), map.height);
    if (toX(lon) > 45 * unit && toX(lon) < map.width - 25 * unit) mark(eastward(lon, digits(wide)), toX(lon), map.height - 5 * unit, "center");
  }
  for (let lat = Math.ceil(Math.max(toLat(map.height), -90) / high) * high; lat < Math.min(toLat(0), 90.001); lat += high) {
    rule(0, toY(lat), map.width, toY(lat));
    if (toY(lat) > 14 * unit && toY(lat) < map.height - 20 * unit) mark(degrees(lat, digits(high), "N", "S"), 4 * unit, toY(lat) - 3 * unit, "left");
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
    const line = ascending ? rows - 1 - row : row, top = toY(north - ((north - south) * line) / rows);
    for (let column = 0; column < columns; column++) {
      if (!far(row, column)) continue;
      const from = column;
      while (column + 1 < columns && far(row, column + 1)) column++;
      const cell = ((east - west) * SQUEEZE * view.scale) / columns;
      pen.fillRect(toX(west) + from * cell, top, (column + 1 - from) * cell, ((north - south) * view.scale) / rows);
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
  const addMarks = () => {
    if (hatched(state.layer)) add("i", head.farText, HATCH);
    if (!find("stations").checked) return;
    for (const [hidden, name] of [[0, "station"], [1, "station hidden from the model"]]) {
      if (!head.stations.some((one) => one[3] === hidden)) continue;
      add("u", name, hidden ? "#ffe14d" : "#fff");
      box.lastChild.firstChild.className = hidden ? "hidden-station" : "station";
    }
  };
  if (!scale.edges.length) {
    const stops = [0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1].map((f) => scale.hexes[Math.round(f * (scale.hexes.length - 1))]);
    add("b", `${scale.high} ${head.units} and more`, `linear-gradient(90deg, ${stops.join(",")})`);
    box.firstChild.prepend(scale.low > 0 ? `${scale.low} and less` : "0");
    addMarks();
    return;
  }
  if (scale.title) add("i", scale.title + ":");
  scale.names.forEach((name, i) => {
    const from = state.layer === "flag" ? "" : i ? ` (from ${scale.edges[i - 1]})` : ` (below ${scale.edges[0]})`;
    add("i", name + from, scale.hexes[i]);
  });
  addMarks();
}

// ---- the time series of a cell
const chart = find("chart"), ink = chart.getContext("2d");
function drawChart() {
  const ratio = window.devicePixelRatio || 1, width = chart.clientWidth, height = chart.clientHeight;
  chart.width = width * ratio; chart.height = height * ratio;
  ink.setTransform(ratio, 0, 0, ratio, 0, 0);
  if (state.cell < 0) return;
  const left = 46, right = width - 8, top = 24, bottom = height - 24, banded = head.layers.lower && head.layers.upper;
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
  ink.textAlign = "left"; ink.fillText(head.units ? `${head.species} (${head.units})` : head.species, 4, 13);
  const marks = Math.max(2, Math.floor((right - left) / 110));
  for (let i = 0; i < marks; i++) {
    const h = Math.round((i / (marks - 1)) * (hours - 1));
    ink.textAlign = i === 0 ? "left" : i === marks - 1 ? "right" : "center";
    ink.fillText(span > 336 ? stamp(h).slice(0, 10) : stamp(h).slice(5, 16), x(h), height - 6);
  }
  const gap = (h) => head.gaps.includes(h);
  const line = (name) => {
    let open = false;
    ink.beginPath();
    for (let h = 0; h < hours; h++) {
      const v = value(name, h, state.cell);
      if (Number.isNaN(v)) { open = false; continue; }
      if (open && gap(h)) open = false;
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
      while (to + 1 < hours && known(to + 1) && !gap(to + 1)) to++;
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
  find("hint").hidden = state.cell >= 0;
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
  find("dock").hidden = state.cell < 0;
  find("plain-choice").hidden = !head.plain[state.palette];
  drawLegend(); tell(); size(); drawMap(); drawChart();
  document.body.dataset.ready = `${state.layer} ${state.hour} ${state.cell}`;
}

// The map has the window's width, and so much of its height that the chart, docked below, hides none of it.
const LOWEST = 280;
function size() {
  const stage = find("stage"), ratio = window.devicePixelRatio || 1;
  const wide = stage.clientWidth, others = find("legend").offsetHeight + find("dock").offsetHeight + stage.offsetTop + 40;
  const fitting = ((north - south) / ((east - west) * SQUEEZE)) * wide;
  const tall = Math.max(LOWEST, Math.min(window.innerHeight - others, Math.max(fitting, LOWEST)));
  map.style.height = `${Math.floor(tall)}px`;
  map.width = Math.round(wide * ratio); map.height = Math.round(Math.floor(tall) * ratio);
  unit = ratio;
  look(view.zoom, view.lon, view.lat);
}

// Dragging moves an enlarged map; what hardly moves is a click.
function followPointer() {
  let held = null, moved = false;
  map.onpointerdown = (event) => {
    held = { x: event.clientX, y: event.clientY, lon: view.lon, lat: view.lat }; moved = false;
  };
  map.onpointermove = (event) => {
    const at = map.getBoundingClientRect(), lon = toLon((event.clientX - at.left) * unit), lat = toLat((event.clientY - at.top) * unit);
    const cell = cellAt(lon, lat), text = cell < 0 || !ready(state.layer) ? "" : words(state.layer, cell);
    find("pointer").textContent = `${degrees(lat, 3, "N", "S")} ${eastward(lon, 3)}${text && ": "}${text}`;
    if (!held || view.zoom === 1) return;
    const dx = event.clientX - held.x, dy = event.clientY - held.y;
    if (!moved && Math.hypot(dx, dy) < 5) return;
    if (!moved) map.setPointerCapture(event.pointerId);
    moved = true;
    look(view.zoom, held.lon - (dx * unit) / (SQUEEZE * view.scale), held.lat + (dy * unit) / view.scale);
    drawMap();
  };
  map.onpointerup = map.onpointercancel = () => { held = null; };
  map.onpointerleave = () => { find("pointer").textContent = ""; };
  map.onclick = (event) => {
    if (moved) { moved = false; return; }
    const at = map.getBoundingClientRect();
    const cell = cellAt(toLon((event.clientX - at.left) * unit), toLat((event.clientY - at.top) * unit));
    if (cell >= 0) show({ cell });
  };
  map.addEventListener("wheel", (event) => {
    event.preventDefault();
    const at = map.getBoundingClientRect();
    zoomAt(2 ** (-event.deltaY / 300), (event.clientX - at.left) * unit, (event.clientY - at.top) * unit);
  }, { passive: false });
  find("closer").onclick = () => zoomAt(2, map.width / 2, map.height / 2);
  find("wider").onclick = () => zoomAt(0.5, map.width / 2, map.height / 2);
  find("whole").onclick = () => { look(1, MIDDLE.lon, MIDDLE.lat); drawMap(); };
}
const ready = (name) => (name === "width" ? ["lower", "upper"] : [name]).every((one) => layers[one] && layers[one].numbers);
const words = (name, cell) =>
  name === "flag" ? head.flags[value("flag", state.hour, cell)] || "" : `${say(name, value(name, state.hour, cell))} ${head.units}`;

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
  find("synthetic").hidden = !head.synthetic;
  find("credit").textContent = Object.values(head.lines).some((lines) => lines.length) ? head.credit : "";
  const choices = Object.entries(head.layers).map(([name, one]) => [name, one.name]);
  if (head.layers.lower && head.layers.upper) choices.push(["width", head.widthName]);
  for (const [name, text] of choices) find("layer").append(new Option(text, name));
  for (const [name, scale] of Object.entries(head.scales)) if (!["standard_error", "width"].includes(name)) find("palette").append(new Option(scale.title || "even", name));
  find("station-choice").hidden = !head.stations.length;
  find("time").max = hours - 1;
  find("layer").onchange = (event) => show({ layer: event.target.value });
  find("palette").onchange = (event) => show({ palette: event.target.value });
  find("plain").onchange = () => show({});
  find("stations").onchange = () => show({});
  find("time").oninput = (event) => show({ hour: +event.target.value });
  find("play").onclick = play;
  followPointer();
  find("close").onclick = () => show({ cell: -1 });
  window.onresize = () => show({});
  size();
  if (typeof DecompressionStream === "undefined") {
    find("status").textContent = "This browser is too old for this page: Chrome 80, Edge 80, Firefox 113 or Safari 16.4 is needed.";
    return;
  }
  show({});
}
start();
