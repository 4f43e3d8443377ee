/* The time axis of a report: lanes and series over one axis that is zoomed for all of them. Reads the JSON in #run, draws with ECharts.
   Pointer, touch and keyboard move one cursor; what it meets is told beside it, and to screen readers. Without this file a still drawing
   stands in its place. */
(() => {
  "use strict";
  const run = JSON.parse(document.getElementById("run").textContent);
  const host = document.getElementById("chart");
  const still = document.getElementById("still");
  const say = (word) => run.words[word] || word;
  const ROW = 30, TOP = 10, RATIO = 64, DELAY = 84, GAP = 26, SLIDER = 52;
  const narrow = () => host.clientWidth < 560;

  const make = (tag, attributes, text) => {
    const made = document.createElement(tag);
    Object.entries(attributes || {}).forEach(([name, value]) => made.setAttribute(name, value));
    if (text) made.textContent = text;
    return made;
  };

  /* --- figures as people read them ----------------------------------------------------------------------------------------- */

  const seconds = (value) =>
    value === null || value === undefined ? "–" : value < 1 ? `${Number((value * 1000).toPrecision(3))} ms` : `${Number(value.toPrecision(3))} s`;
  const clock = (value) => `${value.toFixed(value < 600 ? 2 : 1)} s`;
  const percent = (share) => (share === null ? "–" : `${Number((share * 100).toPrecision(4))} %`);

  /* --- the page's parts ---------------------------------------------------------------------------------------------------- */

  const bar = make("div", { class: "chart-bar", role: "group", "aria-label": "Zoom" });
  const buttons = {};
  ["Zoom in", "Zoom out", "Whole run", "Previous event", "Next event"].forEach((name) => {
    buttons[name] = make("button", { type: "button" }, say(name));
    bar.append(buttons[name]);
  });
  const frame = make("div", {
    class: "chart-frame", tabindex: "0", role: "application", "aria-label":
      say("Time axis. Arrow keys go from event to event, plus and minus zoom, Home shows the whole run, Enter opens the table row."),
  });
  const canvas = make("div", { class: "chart-canvas", "aria-hidden": "true" });
  const cursor = make("div", { class: "chart-cursor", hidden: "", "aria-hidden": "true" });
  const box = make("div", { class: "chart-box", hidden: "", "aria-hidden": "true" });
  const heard = make("div", { class: "unseen", "aria-live": "polite" });
  frame.append(canvas, cursor, box);
  host.append(bar, frame, heard);
  host.hidden = false;

  /* --- what ECharts draws -------------------------------------------------------------------------------------------------- */

  const laneHeight = run.lanes.length * ROW;
  const height = TOP + laneHeight + run.services.length * (RATIO + DELAY + 2 * GAP) + SLIDER + 24;
  canvas.style.height = `${height}px`;
  const chart = window.echarts.init(canvas, null, { renderer: "svg" });
  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const COLOURS = { up: "up", down: "down", dead: "dead", paused: "paused", suspects: "paused", leader: "leader", in: "dns", fault: "fault", missing: "unknown" };

  const left = () => Math.min(24 + 7 * Math.max(...run.lanes.map((lane) => lane.name.length), ...run.services.map((each) => each.name.length + 12), 7), narrow() ? 96 : 200);
  const short = (text) => (text.length * 7 > left() - 16 ? `${text.slice(0, Math.floor((left() - 24) / 7))}…` : text);

  const options = () => {
    const ink = style("ink"), soft = style("soft"), line = style("line"), grid = style("grid");
    const grids = [{ top: TOP, height: laneHeight, left: left(), right: 16 }];
    const x = (index, labels) => ({
      gridIndex: index, type: "value", min: 0, max: run.duration_s, axisLine: { lineStyle: { color: line } }, axisTick: { show: false },
      splitLine: { lineStyle: { color: grid } }, axisLabel: { show: labels, color: soft, hideOverlap: true, formatter: (at) => `${Number(at.toFixed(3))} s` },
    });
    const xs = [x(0, run.services.length === 0)];
    const ys = [{
      gridIndex: 0, type: "value", min: 0, max: run.lanes.length, inverse: true, interval: 1, axisLine: { show: false }, axisTick: { show: false },
      splitLine: { lineStyle: { color: grid } }, axisLabel: { show: false },
    }];
    const lanes = run.lanes.flatMap((lane, row) => lane.marks.map((mark) => ({ value: [mark[0], mark[1], row], mark })));
    const series = [{
      type: "custom", name: "lanes", xAxisIndex: 0, yAxisIndex: 0, clip: true, animation: false, encode: { x: [0, 1], y: 2 }, data: lanes,
      markArea: run.baseline_s > 0
        ? { silent: true, itemStyle: { color: style("quiet") }, label: { show: false }, data: [[{ xAxis: 0 }, { xAxis: run.baseline_s }]] } : undefined,
      renderItem: (params, api) => {
        const mark = lanes[params.dataIndex].mark;
        const from = api.coord([mark[0], api.value(2)]), to = api.coord([mark[1], api.value(2)]);
        return {
          type: "rect", shape: { x: from[0], y: from[1] + (mark[2] * ROW) / 34, width: Math.max(to[0] - from[0], 1.5), height: (mark[3] * ROW) / 34 },
          style: { fill: style(COLOURS[mark[4]] || "up") },
        };
      },
    }];
    let top = TOP + laneHeight + GAP;
    run.services.forEach((service, place) => {
      const at = service.good.map((_, index) => index * service.step_s + service.step_s / 2);
      const ratio = service.good.map((good, index) => {
        const all = good + service.bad[index];
        return [at[index], all ? good / all : null];
      });
      [[RATIO, "ratio"], [DELAY, "delay"]].forEach(([tall, what]) => {
        const index = grids.length;
        const last = what === "delay" && place === run.services.length - 1;
        grids.push({ top, height: tall, left: left(), right: 16 });
        xs.push(x(index, last));
        ys.push({
          gridIndex: index, type: what === "delay" ? "log" : "value", min: what === "delay" ? undefined : 0, max: what === "delay" ? undefined : 1,
          splitNumber: 2, axisLabel: { color: soft, showMaxLabel: true, showMinLabel: true, formatter: what === "delay" ? seconds : (value) => percent(value) },
          axisLine: { show: false }, splitLine: { lineStyle: { color: grid } }, position: "right", show: true,
        });
        const add = (name, values, colour, dash, area) => series.push({
          type: "line", name, xAxisIndex: index, yAxisIndex: index, data: values, showSymbol: false, animation: false, step: area ? "middle" : false,
          silent: true, lineStyle: { color: colour, width: 1.3, type: dash }, areaStyle: area ? { color: colour, opacity: 0.16 } : undefined,
          connectNulls: false, sampling: area ? "min" : "max", clip: true,
        });
        if (what === "ratio") add("ratio", ratio, style("pass"), "solid", true);
        else {
          add("p99", service.p99_s.map((value, index2) => [at[index2], value || null]), style("fault"), "solid", false);
          add("p50", service.p50_s.map((value, index2) => [at[index2], value || null]), style("leader"), [4, 2], false);
        }
        top += tall + GAP;
      });
    });
    // Labels stand beside the grids, which must all begin and end at one place.
    grids.forEach((each) => { each.right = run.services.length ? 64 : 16; each.outerBoundsMode = "none"; });
    const all = xs.map((_, index) => index);
    const previous = chart.getOption();
    const zoom = previous && previous.dataZoom && previous.dataZoom[0] ? { start: previous.dataZoom[0].start, end: previous.dataZoom[0].end } : { start: 0, end: 100 };
    return {
      animation: false, textStyle: { fontFamily: "inherit", color: ink }, grid: grids, xAxis: xs, yAxis: ys, series,
      dataZoom: [
        { type: "slider", xAxisIndex: all, bottom: 6, height: 26, left: left(), right: grids[0].right, filterMode: "weakFilter", brushSelect: false,
          borderColor: line, fillerColor: style("band"), handleStyle: { color: style("card"), borderColor: soft }, moveHandleStyle: { color: soft },
          dataBackground: { lineStyle: { color: line }, areaStyle: { color: grid } }, labelFormatter: (at) => clock(at), textStyle: { color: soft }, ...zoom },
        { type: "inside", xAxisIndex: all, filterMode: "weakFilter", zoomOnMouseWheel: "ctrl", moveOnMouseWheel: false, preventDefaultMouseMove: false, ...zoom },
      ],
    };
  };

  const labels = make("div", { class: "chart-labels", "aria-hidden": "true" });
  frame.append(labels);
  const name = () => {
    const at = (text, middle) => {
      const label = make("span", { title: text }, short(text));
      label.style.top = `${middle - 9}px`;
      return label;
    };
    const below = TOP + laneHeight + GAP;
    labels.replaceChildren(
      ...run.lanes.map((lane, row) => at(lane.name, TOP + row * ROW + ROW / 2)),
      ...run.services.flatMap((service, place) => {
        const top = below + place * (RATIO + DELAY + 2 * GAP);
        return [at(`${service.name} ${say("ok")}`, top + RATIO / 2), at(`${service.name} p50 ┄ p99 ─`, top + RATIO + GAP + DELAY / 2)];
      }),
    );
  };
  const draw = () => {
    if (host.clientWidth < 160) return; // not shown, as on paper
    chart.setOption(options(), true);
    name();
  };

  /* --- one cursor for pointer, touch and keys ------------------------------------------------------------------------------- */

  const events = run.lanes
    .flatMap((lane, row) => lane.marks.filter((mark) => ["down", "fault", "dead", "paused", "missing"].includes(mark[4])).map((mark) => ({ at: mark[0], mark, row })))
    .sort((one, other) => one.at - other.at || one.row - other.row);
  let chosen = -1;

  const met = (at) => {
    const lines = run.lanes.flatMap((lane) => {
      const found = lane.marks.filter((mark) => mark[0] <= at && at < mark[1] && !["up", "in"].includes(mark[4]));
      return found.map((mark) => `${mark[5]}: ${clock(mark[0])} – ${clock(mark[1])}`);
    });
    run.services.forEach((service) => {
      const index = Math.floor(at / service.step_s);
      if (index < 0 || index >= service.good.length) return;
      const all = service.good[index] + service.bad[index];
      const ratio = all ? service.good[index] / all : null;
      lines.push(`${service.name}: ${percent(ratio)} ok, p50 ${seconds(service.p50_s[index])}, p99 ${seconds(service.p99_s[index])}`);
    });
    return [clock(at), ...lines];
  };

  const show = (at, aloud) => {
    const pixel = chart.convertToPixel({ xAxisIndex: 0 }, at);
    const width = host.clientWidth;
    if (!Number.isFinite(pixel) || pixel < left() - 1 || pixel > width) return hide();
    const lines = met(at);
    cursor.hidden = box.hidden = false;
    cursor.style.left = `${pixel}px`;
    box.replaceChildren(...lines.map((text, index) => make(index ? "div" : "strong", {}, text)));
    box.style.left = `${Math.max(0, pixel + 12 + box.offsetWidth > width ? pixel - box.offsetWidth - 12 : pixel + 12)}px`;
    if (aloud) heard.textContent = lines.join(". ");
  };
  const hide = () => { cursor.hidden = box.hidden = true; };
  const timeAt = (event) => {
    const inside = event.clientX - canvas.getBoundingClientRect().left;
    return inside < left() ? null : chart.convertFromPixel({ xAxisIndex: 0 }, inside);
  };
  const pointed = (event) => { const at = timeAt(event); if (at === null || at < 0 || at > run.duration_s) hide(); else show(at, false); };
  canvas.addEventListener("pointermove", pointed);
  canvas.addEventListener("pointerdown", pointed);
  canvas.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") hide(); });

  const range = () => {
    const zoom = chart.getOption().dataZoom[0];
    return [(zoom.start / 100) * run.duration_s, (zoom.end / 100) * run.duration_s];
  };
  const zoomTo = (from, to) => {
    const least = Math.min(run.duration_s, 0.5);
    const width = Math.min(Math.max(to - from, least), run.duration_s);
    const start = Math.min(Math.max((from + to - width) / 2, 0), run.duration_s - width);
    chart.dispatchAction({ type: "dataZoom", dataZoomIndex: 0, startValue: start, endValue: start + width });
    chart.dispatchAction({ type: "dataZoom", dataZoomIndex: 1, startValue: start, endValue: start + width });
    if (chosen >= 0) show(events[chosen].at, false); else hide();
  };
  const scale = (factor) => {
    const [from, to] = range();
    const middle = chosen >= 0 && events[chosen].at >= from && events[chosen].at <= to ? events[chosen].at : (from + to) / 2;
    zoomTo(middle - ((to - from) * factor) / 2, middle + ((to - from) * factor) / 2);
  };
  const step = (by) => {
    if (!events.length) { heard.textContent = say("no event"); return; }
    chosen = Math.min(Math.max(chosen + by, 0), events.length - 1);
    const at = events[chosen].at, [from, to] = range();
    if (at < from || at > to) zoomTo(at - (to - from) / 2, at + (to - from) / 2);
    show(Math.min(at + 1e-6, run.duration_s), true);
  };
  const open = (place) => {
    const row = place && document.getElementById(place);
    if (!row) return;
    for (let outer = row.parentElement; outer; outer = outer.parentElement) if (outer.tagName === "DETAILS") outer.open = true;
    window.location.hash = place;
  };

  buttons["Zoom in"].addEventListener("click", () => scale(0.5));
  buttons["Zoom out"].addEventListener("click", () => scale(2));
  buttons["Whole run"].addEventListener("click", () => zoomTo(0, run.duration_s));
  buttons["Previous event"].addEventListener("click", () => step(-1));
  buttons["Next event"].addEventListener("click", () => step(1));
  chart.on("click", (item) => { if (item.data && item.data.mark) open(item.data.mark[6]); });
  chart.on("datazoom", () => { if (chosen < 0) hide(); });
  frame.addEventListener("keydown", (event) => {
    const keys = {
      ArrowRight: () => step(1), ArrowLeft: () => step(-1), "+": () => scale(0.5), "=": () => scale(0.5), "-": () => scale(2),
      Home: () => zoomTo(0, run.duration_s), Escape: () => { chosen = -1; hide(); }, Enter: () => chosen >= 0 && open(events[chosen].mark[6]),
    };
    if (!keys[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    keys[event.key]();
  });
  window.addEventListener("hashchange", () => open(window.location.hash.slice(1)));

  draw();
  still.classList.add("print-only");
  new ResizeObserver(() => {
    if (host.clientWidth < 160) return;
    chart.resize();
    draw();
    hide();
  }).observe(host);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
})();
