"use strict";
// One page, two lives: `frozen` holds all data of a report; without it a server is asked, again and again.
(() => {
  const MOST = 4, POLL = 1500;
  const DASH = [[], [8, 4], [2, 3], [10, 3, 2, 3]];
  const PANELS = [
    ["loss", "Loss", ["loss/d", "loss/g"], ""],
    ["answers", "D's answers", ["score/real", "score/fake"], "higher: taken for real"],
    ["gradients", "Gradient norms", ["grad/d", "grad/g"], ""],
    ["auc", "Can D tell real from fake?", ["probe/auc", "probe/auc_held_out"], "0.5: no; 1: always"],
    ["distance", "Distance to real images", ["probe/distance", "probe/distance_average"], "1: as far as real from real; lower is better"],
    ["diversity", "Diversity", ["probe/diversity", "probe/diversity_features", "probe/rank"], "1: as diverse as real images"],
    ["movement", "Movement of the fixed samples", ["probe/movement"], "each 1,000 images"],
    ["updates", "Size of updates", ["probe/update_d", "probe/update_g"], "log10 of change over weight"],
  ];
  const HUES = { d: "--d", g: "--g", real: "--real", fake: "--fake" };
  const byId = (id) => document.getElementById(id);
  const number = (value) => value == null ? "–" : Math.abs(value) >= 1e5 || (value && Math.abs(value) < 1e-3)
    ? value.toExponential(1) : Number(value.toPrecision(3)).toLocaleString("en");
  const count = (value) => Number(value || 0).toLocaleString("en");

  function make(tag, given = {}, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(given)) {
      if (name === "on") for (const [event, does] of Object.entries(value)) node.addEventListener(event, does);
      else if (name in node && name !== "list") node[name] = value;
      else node.setAttribute(name, value);
    }
    node.append(...children.filter((child) => child != null));
    return node;
  }

  // Where data come from ------------------------------------------------------------------------------------
  const held = byId("frozen");
  const frozen = held ? JSON.parse(held.textContent) : null;

  async function get(path) {
    const answer = await fetch(path, { credentials: "same-origin", cache: "no-store" });
    if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
    return answer.json();
  }
  const source = frozen ? {
    runs: async () => ({ runs: frozen.runs, writes: false }),
    view: async (id) => frozen.runs.find((run) => run.id === id),
    log: async (id, after) => after ? null : { after: 1, began: 0, columns: frozen.runs.find((run) => run.id === id).log },
    picture: (run, which) => run.pictures[which] || "",
  } : {
    runs: () => get("/api/runs"),
    view: (id) => get(`/api/runs/${id}`),
    log: (id, after) => get(`/api/runs/${id}/log?after=${after}`),
    picture: (run, which) => `/api/runs/${run.id}/pictures/${which}`,
  };

  // The address holds the whole view ------------------------------------------------------------------------
  const state = { runs: [], at: null, smooth: 0, hide: [] };
  function readAddress() {
    const given = new URLSearchParams(location.hash.slice(1));
    state.runs = (given.get("runs") || "").split(",").filter(Boolean).slice(0, MOST);
    state.at = given.has("at") ? Number(given.get("at")) : null;
    state.smooth = Math.min(Math.max(Number(given.get("smooth")) || 0, 0), 0.99);
    state.hide = (given.get("hide") || "").split(",").filter(Boolean);
  }
  function writeAddress() {
    const given = new URLSearchParams();
    if (state.runs.length) given.set("runs", state.runs.join(","));
    if (state.at != null) given.set("at", String(state.at));
    if (state.smooth) given.set("smooth", String(state.smooth));
    if (state.hide.length) given.set("hide", state.hide.join(","));
    const hash = "#" + given.toString().replaceAll("%2C", ",");
    if (hash !== location.hash) history.replaceState(null, "", hash);
  }
  const hidden = (what) => state.hide.includes(what);

  // What is known -------------------------------------------------------------------------------------------
  let listed = [], writes = false;
  const views = new Map(), logs = new Map(); // by id
  const charts = new Map(); // panel -> {plot, node}
  const shown = () => state.runs.map((id) => views.get(id)).filter(Boolean);
  const alone = () => state.runs.length < 2;

  function merge(id, more) {
    const old = logs.get(id);
    if (!old || more.began === 0) {
      logs.set(id, { after: more.after, columns: more.columns });
      return true;
    }
    const added = more.columns.images || [];
    if (!added.length) return false;
    const rows = old.columns.images.length;
    for (const name of Object.keys(more.columns)) {
      if (!old.columns[name]) old.columns[name] = new Array(rows).fill(null);
    }
    for (const [name, values] of Object.entries(old.columns)) {
      const now = more.columns[name] || new Array(added.length).fill(null);
      for (const value of now) values.push(value);
    }
    old.after = more.after;
    return true;
  }

  // The list ------------------------------------------------------------------------------------------------
  function sparkline(points) {
    if (!points || points.length < 2) return null;
    const values = points.map(([, value]) => Math.log(Math.max(value, 1e-6)));
    const low = Math.min(...values), high = Math.max(...values), last = points[points.length - 1][0];
    const place = ([images], index) => `${(60 * images / last).toFixed(1)},${(14 - 12 * (values[index] - low) / (high - low || 1)).toFixed(1)}`;
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("viewBox", "0 0 62 16"); svg.setAttribute("width", "62"); svg.setAttribute("height", "16"); svg.setAttribute("aria-hidden", "true");
    const line = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
    line.setAttribute("points", points.map(place).join(" ")); line.setAttribute("fill", "none"); line.setAttribute("stroke", "currentColor");
    svg.append(line);
    return svg;
  }

  let listText = "";
  function drawList() {
    const list = byId("list");
    list.hidden = Boolean(frozen) && listed.length < 2 || hidden("list");
    byId("frame").classList.toggle("alone", list.hidden);
    const text = JSON.stringify([listed, state.runs]);
    if (text === listText) return;
    listText = text;
    const focused = document.activeElement && document.activeElement.value;
    const items = listed.map((run) => {
      const last = run.sheets && run.sheets[run.sheets.length - 1];
      const score = run.scores && run.scores.length ? `fd-judge ${number(run.scores[run.scores.length - 1][1])}` : "";
      const box = make("input", { type: "checkbox", value: run.id, checked: state.runs.includes(run.id), on: { change: () => choose(run.id) } });
      return make("li", {}, make("label", {},
        box, last == null ? make("span") : make("img", { src: source.picture(run, last), alt: "", loading: "lazy", width: 48, height: 48 }),
        make("span", {}, make("b", {}, run.name), make("small", {}, `${run.state} · ${count(run.images)} of ${count(run.total)} ${score}`), sparkline(run.scores))));
    });
    list.replaceChildren(make("ul", {}, ...items));
    if (!listed.length) list.replaceChildren(make("p", {}, "No run here yet. Type: gander train quickstart"));
    const again = focused && list.querySelector(`input[value="${CSS.escape(focused)}"]`);
    if (again) again.focus();
  }

  function choose(id) {
    state.runs = state.runs.includes(id) ? state.runs.filter((each) => each !== id) : [...state.runs, id].slice(-MOST);
    writeAddress();
    drawList();
    refresh();
  }

  // Pictures and the scrubber -------------------------------------------------------------------------------
  const moments = () => [...new Set(shown().flatMap((run) => run.sheets))].sort((a, b) => a - b);
  const moment = () => state.at ?? moments().at(-1) ?? 0;
  const sheetAt = (run) => run.sheets.filter((images) => images <= moment()).at(-1) ?? run.sheets[0];

  let playing = null;
  function play(button) {
    if (playing) { clearInterval(playing); playing = null; button.textContent = "Play"; return; }
    button.textContent = "Pause";
    playing = setInterval(() => {
      const all = moments(), next = all[(all.indexOf(sheetMoment()) + 1) % all.length];
      moveTo(next);
    }, 600);
  }
  const sheetMoment = () => moments().filter((images) => images <= moment()).at(-1) ?? moments()[0];

  function moveTo(images) {
    state.at = images === moments().at(-1) ? null : images;
    writeAddress();
    drawMoment();
  }

  let pictureText = "";
  function drawPictures() {
    const section = byId("pictures"), all = moments();
    const text = JSON.stringify([state.runs, all, shown().map((run) => [run.name, run.state, run.error])]);
    section.hidden = hidden("pictures");
    if (text !== pictureText) {
      pictureText = text;
      const slide = make("input", { type: "range", min: 0, max: Math.max(all.length - 1, 0), step: 1, id: "slide", "aria-label": "Moment",
        on: { input: (event) => moveTo(moments()[event.target.value]) } });
      const figures = shown().map((run) => make("figure", { "data-id": run.id },
        make("h3", {}, run.name, " ", make("span", { className: `state ${run.state}` }, run.state)),
        make("p", { className: "faint" }, [run.title, run.problem || run.error].filter(Boolean).join(" · ")),
        run.sheets && run.sheets.length ? make("img", { alt: `Samples of ${run.name}` }) : make("p", {}, "No samples yet."),
        make("figcaption")));
      const withReals = shown().filter((run) => !frozen || run.pictures.reals);
      section.replaceChildren(
        all.length ? make("div", { className: "scrub" }, make("button", { type: "button", on: { click: (event) => play(event.target) } }, playing ? "Pause" : "Play"), slide, make("output", { id: "where" })) : "",
        make("div", { className: "beside" }, ...figures, ...(alone() ? withReals.map(reals) : [])),
        withReals.length && !alone() ? make("details", {}, make("summary", {}, "Real images"), make("div", { className: "beside" },
          ...withReals.map(reals))) : "");
    }
    drawMoment();
  }

  function reals(run) {
    return make("figure", {}, make("h3", {}, "Real images"), make("p", { className: "faint" }, run.data),
      make("img", { src: source.picture(run, "reals"), alt: `Real images of ${run.data}`, loading: "lazy" }), make("figcaption", {}, "as training sees them"));
  }

  function drawMoment() {
    const all = moments(), slide = byId("slide");
    if (slide) {
      slide.max = Math.max(all.length - 1, 0);
      slide.value = all.indexOf(sheetMoment());
      slide.setAttribute("aria-valuetext", `${count(sheetMoment())} images`);
      byId("where").textContent = `${count(sheetMoment())} images`;
    }
    for (const run of shown()) {
      const figure = document.querySelector(`#pictures figure[data-id="${CSS.escape(run.id)}"]`);
      const image = figure && figure.querySelector("img");
      if (!image) continue;
      const address = source.picture(run, sheetAt(run));
      if (image.getAttribute("src") !== address) image.src = address;
      figure.querySelector("figcaption").textContent = `after ${count(sheetAt(run))} images; each place keeps its latent`;
    }
    for (const { plot } of charts.values()) markMoment(plot);
  }

  // Curves --------------------------------------------------------------------------------------------------
  const ink = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const RUNS = ["--d", "--g", "--real", "--warn"];
  const hueOf = (column) => HUES[column.split("/").pop().split("_")[0]] || HUES[column.slice(-1)] || null;

  function panels() {
    const named = new Set(PANELS.flatMap(([, , names]) => names));
    const there = new Set(shown().flatMap((run) => Object.keys((logs.get(run.id) || { columns: {} }).columns)));
    const scores = new Set(shown().flatMap((run) => Object.keys(run.columns || {})));
    const all = PANELS.filter(([, , names]) => names.some((name) => there.has(name))).map((panel) => [...panel, "log"]);
    for (const name of ["fd-judge", "precision", "recall", "coverage", "label-fidelity"]) {
      if (scores.has(name)) all.push([name, name, scores.has(`${name}/floor`) ? [name, `${name}/floor`] : [name], name === "fd-judge" ? "lower is better" : "higher is better", "scores"]);
    }
    const skip = new Set(["images", "step", "seconds", ...named]);
    const rest = [...there].filter((name) => !skip.has(name)).sort();
    return { all, rest };
  }

  function smoothed(values) {
    if (!state.smooth) return values;
    let mean = null;
    return values.map((value) => value == null ? null : (mean = mean == null ? value : state.smooth * mean + (1 - state.smooth) * value));
  }

  function seriesOf([, , names, , kind]) {
    const lines = [];
    shown().forEach((run, index) => {
      const columns = kind === "scores" ? run.columns : (logs.get(run.id) || { columns: {} }).columns;
      names.forEach((name, place) => {
        if (!columns[name] || !columns[name].some((value) => value != null)) return;
        const x = [], y = [];
        smoothed(columns[name]).forEach((value, row) => { if (value != null) { x.push(columns.images[row]); y.push(value); } });
        const colour = alone() ? hueOf(name) || RUNS[place % 4] : RUNS[index];
        const label = alone() ? name.replace(/^probe\//, "") : names.length > 1 ? `${run.name} ${name.replace(/^probe\//, "")}` : run.name;
        lines.push({ label, colour, dash: DASH[(alone() ? place : names.length > 1 ? place : index) % 4], x, y });
      });
    });
    return lines;
  }

  function markMoment(plot) {
    const at = moment();
    const left = plot.valToPos(at, "x");
    if (at && Number.isFinite(left)) plot.setCursor({ left, top: plot.over.clientHeight / 2 }, false);
  }

  function draw(panel, box) {
    const [id, title, , about] = panel, lines = seriesOf(panel);
    if (!lines.length) return;
    const old = charts.get(id);
    if (old) old.plot.destroy();
    const all = uPlot.join(lines.map(({ x, y }) => [x, y]));
    const values = all.slice(1).flat().filter((value) => value != null);
    const low = values.reduce((a, b) => Math.min(a, b), Infinity), high = values.reduce((a, b) => Math.max(a, b), -Infinity);
    const logarithmic = low > 0 && high / low > 50;
    const said = lines.map(({ label, y }) => `${label} from ${number(y[0])} to ${number(y[y.length - 1])}`).join("; ");
    const legend = make("ul", { className: "legend" }, ...lines.map(({ label, colour, dash, y }) => {
      const mark = make("i"); mark.style.borderTopColor = ink(colour); mark.style.borderTopStyle = dash.length ? "dashed" : "solid";
      return make("li", {}, mark, `${label} ${number(y[y.length - 1])}`);
    }));
    const holder = make("div", { className: "plot", role: "img", "aria-label": `${title}: ${said}` });
    const node = make("div", { className: "chart", "data-panel": id }, make("h3", {}, title), make("div", { className: "faint" }, about), holder, legend);
    if (old && old.node.isConnected) old.node.replaceWith(node); else box.append(node);
    const axis = { stroke: () => ink("--faint"), grid: { stroke: () => ink("--line"), width: 1 }, ticks: { stroke: () => ink("--line") }, font: "12px system-ui" };
    const since = shown().flatMap((run) => (run.findings || []).filter((each) => each.severity !== "note").map((each) => each.since));
    const plot = new uPlot({
      width: holder.clientWidth || 320, height: 200, pxAlign: false,
      cursor: { sync: { key: "clock" }, drag: { x: true, y: false }, y: false, points: { show: false } },
      scales: { x: { time: false }, y: logarithmic ? { distr: 3 } : {} },
      axes: [{ ...axis, values: (_, at) => at.map((each) => each >= 1e6 ? `${each / 1e6}M` : each >= 1e3 ? `${each / 1e3}k` : each) }, { ...axis, size: 56, values: (_, at) => at.map((each) => each == null ? "" : number(each)) }],
      series: [{}, ...lines.map(({ label, colour, dash, y }) => ({ label, stroke: () => ink(colour), width: 1.6, dash, spanGaps: true, points: { show: y.length < 3 } }))],
      hooks: { draw: [(at) => {
        at.ctx.save(); at.ctx.strokeStyle = ink("--warn"); at.ctx.setLineDash([3, 3]);
        for (const images of since) {
          const x = at.valToPos(images, "x", true);
          if (x >= at.bbox.left && x <= at.bbox.left + at.bbox.width) { at.ctx.beginPath(); at.ctx.moveTo(x, at.bbox.top); at.ctx.lineTo(x, at.bbox.top + at.bbox.height); at.ctx.stroke(); }
        }
        at.ctx.restore();
      }] },
    }, all, holder);
    charts.set(id, { plot, node });
    markMoment(plot);
  }

  let opened = new Set();
  function drawCharts() {
    const section = byId("charts");
    section.hidden = hidden("charts");
    const { all, rest } = panels();
    const wanted = new Set([...all.map(([id]) => id), ...opened]);
    for (const [id, { plot, node }] of charts) if (!wanted.has(id) || !state.runs.length) { plot.destroy(); node.remove(); charts.delete(id); }
    if (!section.firstChild) {
      const smooth = make("input", { type: "range", min: 0, max: 0.98, step: 0.02, value: state.smooth, "aria-label": "Smoothing",
        on: { input: (event) => { state.smooth = Number(event.target.value); writeAddress(); drawCharts(); } } });
      section.append(make("h2", {}, "Curves"), make("label", { className: "faint" }, "smoothing ", smooth),
        make("div", { className: "charts", id: "boxes" }), make("details", { id: "more" }, make("summary", {}, "More columns of the log"), make("p", { id: "columns" })));
    }
    const box = byId("boxes");
    for (const panel of all) draw(panel, box);
    for (const id of opened) if (rest.includes(id)) draw([id, id, [id], "", "log"], box);
    byId("more").hidden = !rest.length;
    byId("columns").replaceChildren(...rest.map((name) => make("button", { type: "button", "aria-pressed": String(opened.has(name)),
      on: { click: () => { if (opened.has(name)) opened.delete(name); else opened.add(name); drawCharts(); } } }, name)));
  }

  // Findings, recipes, facts --------------------------------------------------------------------------------
  function copyable(text) {
    const button = make("button", { type: "button", on: { click: async () => {
      try { await navigator.clipboard.writeText(text); button.textContent = "Copied"; } catch { button.textContent = "Select and copy"; }
    } } }, "Copy");
    return make("div", { className: "copy" }, make("pre", { tabIndex: 0 }, text), button);
  }

  function finding(run, each) {
    const remedy = (each.remedy || [])[0], causes = (each.causes || []).filter((cause) => cause !== each.code).join(", ");
    const exact = (each.causes || []).includes(each.code);
    const since = each.since ? `since ${count(each.since)} images` : "before the first step";
    const evidence = (each.evidence || []).map(({ column, value, healthy }) =>
      make("tr", {}, make("td", {}, make("code", {}, column)), make("td", {}, typeof value === "number" ? number(value) : String(value)), make("td", {}, `healthy: ${healthy}`)));
    const typed = remedy ? `gander train ${each.since ? `--from ${run.place}` : `${run.place}/recipe.toml`} ${remedy.map((edit) => /[\s'"{}[\]]/.test(edit) ? `'${edit}'` : edit).join(" ")}` : "";
    const { column, direction, bound, within } = each.prediction || {};
    return make("article", { className: `finding ${each.severity}` },
      make("h3", {}, each.code, " ", make("span", { className: "faint" }, `${each.severity}, ${Math.round(100 * each.confidence)} % sure, ${since}`)),
      make("p", {}, each.says || ""),
      causes ? make("p", {}, `likely because of: ${causes}`) : exact ? null : make("p", { className: "faint" }, "cause unknown"),
      evidence.length ? make("div", { className: "scroll" }, make("table", {}, make("tbody", {}, ...evidence))) : null,
      typed ? copyable(typed) : null,
      each.prediction ? make("p", { className: "faint" }, `If that is right, ${column} will be ${direction} ${number(bound)} within ${count(within)} images.`) : null,
      writes && remedy ? make("button", { type: "button", on: { click: () => write(`/api/runs/${run.id}/branch`, { edits: remedy }) } }, "Branch with this remedy") : null,
      make("p", { className: "faint" }, `gander explain ${each.code}`));
  }

  function drawFindings() {
    const section = byId("findings");
    section.hidden = hidden("findings") || !shown().length;
    section.replaceChildren(make("h2", {}, "Findings"), ...shown().map((run) => make("div", {},
      alone() ? null : make("h3", {}, run.name),
      ...(run.findings || []).map((each) => finding(run, each)),
      (run.findings || []).length ? null : make("p", { className: "faint" }, "The doctor has nothing to say."))));
  }

  function drawRecipes() {
    const section = byId("difference"), runs = shown();
    section.hidden = hidden("recipes") || !runs.length;
    if (section.hidden) return;
    const paths = [...new Set(runs.flatMap((run) => Object.keys(run.settings || {})))];
    const differs = (path) => new Set(runs.map((run) => (run.settings || {})[path])).size > 1;
    const row = (path) => make("tr", { className: differs(path) ? "differs" : "" }, make("th", { scope: "row" }, make("code", {}, path)), ...runs.map((run) => make("td", {}, (run.settings || {})[path] ?? "")));
    const table = (which) => make("div", { className: "scroll" }, make("table", {}, make("thead", {}, make("tr", {}, make("th", {}, "setting"), ...runs.map((run) => make("th", { scope: "col" }, run.name)))), make("tbody", {}, ...which.map(row))));
    const open = new Set([...section.querySelectorAll("details[open]")].map((each) => each.dataset.what));
    const fold = (what, title, ...inside) => make("details", { "data-what": what, open: open.has(what) }, make("summary", {}, title), ...inside);
    section.replaceChildren(...[make("h2", {}, "Recipe"),
      runs.length > 1 ? table(paths.filter(differs).filter((path) => !["title"].includes(path))) : null,
      fold("all", "Every setting", table(paths)),
      runs.length === 1 ? fold("toml", "recipe.toml", copyable(runs[0].recipe || "")) : null].filter(Boolean));
  }

  function drawAbout() {
    const section = byId("about"), runs = shown();
    section.hidden = hidden("about") || !runs.length;
    const rows = (given) => Object.entries(given || {}).filter(([, value]) => typeof value !== "object").map(([name, value]) => make("tr", {}, make("th", { scope: "row" }, name), make("td", {}, String(value))));
    const open = new Set([...section.querySelectorAll("details[open]")].map((each) => each.dataset.what));
    section.replaceChildren(make("h2", {}, "Data and machine"), ...runs.map((run) => make("details", { "data-what": run.id, open: open.has(run.id) }, make("summary", {}, run.name),
      make("div", { className: "scroll" }, make("table", {}, make("tbody", {}, ...rows(run.facts), ...rows(run.machine)))))));
  }

  // Writes: the only ones, and only where the server takes any ----------------------------------------------
  async function write(path, body) {
    const answer = await fetch(path, { method: "POST", credentials: "same-origin", headers: { "Content-Type": "application/json", "X-Gander": "page" }, body: JSON.stringify(body) });
    const given = await answer.json().catch(() => ({}));
    say(given.says || `refused: ${answer.status}`);
    refresh();
  }
  function drawActions() {
    const section = byId("actions"), run = shown()[0];
    section.hidden = !writes || hidden("actions");
    if (section.hidden || section.dataset.of === `${run && run.id} ${run && run.state}`) return;
    section.dataset.of = `${run && run.id} ${run && run.state}`;
    const edits = make("input", { type: "text", id: "edits", placeholder: "shapes-dcgan train.batch=32", "aria-label": "Recipe and edits", size: 32 });
    section.replaceChildren(make("h2", {}, "Start"), make("p", {}, edits, " ",
      make("button", { type: "button", on: { click: () => write("/api/start", { words: edits.value }) } }, "Train"), " ",
      run && run.state === "running" ? make("button", { type: "button", on: { click: () => write(`/api/runs/${run.id}/stop`, {}) } }, `Stop and save ${run.name}`) : null));
  }

  // ---------------------------------------------------------------------------------------------------------
  const say = (text) => { if (byId("said").textContent !== text) byId("said").textContent = text; };
  let busy = false, again = false;
  async function refresh() {
    if (busy) { again = true; return; }
    busy = true;
    try {
      const answer = await source.runs();
      listed = answer.runs; writes = Boolean(answer.writes);
      if (!state.runs.length && listed.length && !location.hash.includes("runs=")) state.runs = [listed[0].id];
      drawList();
      let fresh = false;
      for (const id of [...state.runs]) {
        const [view, log] = await Promise.all([source.view(id), source.log(id, (logs.get(id) || { after: 0 }).after)]);
        fresh = (log && merge(id, log)) || JSON.stringify(view) !== JSON.stringify(views.get(id)) || fresh;
        views.set(id, view);
      }
      const drawn = state.runs.join();
      if (fresh || drawn !== refresh.drawn) {
        refresh.drawn = drawn;
        drawActions(); drawPictures(); drawFindings(); drawCharts(); drawRecipes(); drawAbout();
        document.title = shown().length ? `${shown().map((run) => run.name).join(", ")} · gander` : "gander";
      }
      say(frozen ? "" : `${listed.length} ${listed.length === 1 ? "run" : "runs"}`);
    } catch (error) {
      say(`the server does not answer (${error.message}); trying again`);
    }
    busy = false;
    if (again) { again = false; refresh(); }
  }

  readAddress();
  addEventListener("hashchange", () => { readAddress(); drawList(); refresh(); });
  addEventListener("resize", () => { for (const { plot, node } of charts.values()) plot.setSize({ width: node.querySelector(".plot").clientWidth, height: 200 }); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawCharts());
  addEventListener("keydown", (event) => {
    if (/INPUT|SELECT|TEXTAREA/.test(event.target.tagName) || event.ctrlKey || event.metaKey || event.altKey) return;
    const all = moments(), here = all.indexOf(sheetMoment());
    if (event.key === "ArrowLeft" && here > 0) moveTo(all[here - 1]);
    if (event.key === "ArrowRight" && here < all.length - 1) moveTo(all[here + 1]);
  });
  refresh();
  if (!frozen) setInterval(() => { if (!document.hidden) refresh(); }, POLL);
})();
