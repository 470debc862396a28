'use strict';
// Draws the plots, answers the choices and enlarges pictures. Tables and pictures are there without it.
(() => {
  const data = JSON.parse(document.getElementById('data').textContent);
  document.documentElement.classList.add('js');
  const $ = id => document.getElementById(id);
  const SVG = 'http://www.w3.org/2000/svg';
  const colour = index => `c${index % 10}${index >= 10 ? ' more' : ''}`;
  const words = name => name.replaceAll('_', ' ').replace('rgb', 'RGB');

  function element(name, attributes = {}, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  }
  function shape(name, attributes = {}, text = null) {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== null) made.textContent = text;
    return made;
  }
  function fill(select, options) {
    select.replaceChildren(...options.map(([value, text]) => element('option', { value }, text)));
  }

  // ---- numbers and scales ----
  function short(value) {
    if (value === null || value === undefined || !Number.isFinite(value)) return '–';
    const size = Math.abs(value);
    const places = size >= 1000 || value === 0 ? 0 : size >= 100 ? 1 : size >= 10 ? 2 : 3;
    return value.toLocaleString('en', { maximumFractionDigits: places }).replace('-', '−');
  }
  const clock = (s, span) => span < 180 ? short(s) + ' s'
    : `${Math.floor(s / 3600) ? Math.floor(s / 3600) + ':' : ''}${String(Math.floor(s / 60) % 60).padStart(span >= 3600 ? 2 : 1, '0')}:${String(Math.floor(s % 60)).padStart(2, '0')}`;
  function steps(low, high, about) {
    const raw = (high - low) / about, power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 2.5, 5, 10].map(x => x * power).find(x => x >= raw);
    const ticks = [];
    for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) ticks.push(+(i * step).toPrecision(12));
    return ticks;
  }
  function timeSteps(low, high, about) {
    const raw = (high - low) / about;
    const step = raw <= 10 ? null : [15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400].find(x => x >= raw);
    if (!step) return steps(low, high, about);
    const ticks = [];
    for (let t = Math.ceil(low / step) * step; t <= high; t += step) ticks.push(t);
    return ticks;
  }
  function logSteps(low, high) {
    if (high / low < 12) return steps(low, high, 5);
    const ticks = [], wide = Math.log10(high / low) > 2.2;
    for (let p = Math.floor(Math.log10(low)); p <= Math.ceil(Math.log10(high)); p++) {
      for (const m of wide ? [1] : [1, 2, 5]) if (m * 10 ** p >= low * 0.999 && m * 10 ** p <= high * 1.001) ticks.push(m * 10 ** p);
    }
    return ticks;
  }
  function scale(low, high, from, to, log) {
    const f = log ? Math.log10 : x => x;
    const a = f(low), k = (to - from) / ((f(high) - a) || 1);
    return value => from + k * (f(value) - a);
  }

  // ---- a plot over time ----
  // lines: [{name, css, points: [[time, mean, least, largest, position], ...]}]
  const plots = new Set();
  class Plot {
    constructor(parent, { title, unit = '', note = '', log = false, range = null, zero = false, lines, modes = null, span, stills }) {
      Object.assign(this, { log, range, zero, lines, modes, span, stills });
      this.legend = element('ul', { class: 'legend' });
      const caption = element('figcaption', {}, element('b', {}, title + (unit ? ` [${unit}]` : '')));
      if (note) caption.append(element('span', {}, note));
      this.svg = shape('svg', { role: 'img', tabindex: '0', 'aria-label': `${title}, ${this.moment(span[0])} to ${this.moment(span[1])}: ` + lines.map(line => `${line.name} ${this.summary(line)}`).join('; ') });
      this.figure = element('figure', { class: 'plot' }, caption, this.legend, this.svg);
      parent.append(this.figure);
      this.cursor = null;
      this.svg.addEventListener('pointermove', event => {
        const box = this.svg.getBoundingClientRect();
        const share = (event.clientX - box.left - this.left) / (this.width - this.left - this.right);
        point(this.span[0] + Math.min(Math.max(share, 0), 1) * (this.span[1] - this.span[0]));
      });
      this.svg.addEventListener('pointerleave', () => point(null));
      this.svg.addEventListener('blur', () => point(null));
      this.svg.addEventListener('keydown', event => {
        const way = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
        if (!way) return;
        event.preventDefault();
        point(this.neighbour(way));
      });
      plots.add(this);
    }
    moment(t) { return this.stills ? `pair ${Math.round(t).toLocaleString('en')}` : clock(t, this.span[1] - this.span[0]); }
    summary(line) {
      const means = line.points.map(p => p[1]);
      if (!means.length) return 'no value';
      return `mean ${short(means.reduce((a, b) => a + b, 0) / means.length)}`;
    }
    neighbour(way) {
      const times = [...new Set(this.lines.flatMap(line => line.points.map(p => p[0])))].sort((a, b) => a - b);
      if (this.cursor === null) return way > 0 ? times[0] : times.at(-1);
      const at = times.findIndex(t => t >= this.cursor - 1e-9);
      return times[Math.min(Math.max((at < 0 ? times.length - 1 : at) + way, 0), times.length - 1)];
    }
    draw() {
      const height = this.modes ? 196 : 180, bottom = this.modes ? 38 : 22, top = 6;
      this.width = this.figure.clientWidth - 32;
      this.left = 46; this.right = 10;
      let low = Infinity, high = -Infinity;
      for (const line of this.lines) for (const p of line.points) { low = Math.min(low, p[2]); high = Math.max(high, p[3]); }
      if (this.log) { low = Math.max(low, 0.05); high = Math.max(high, low * 2); }
      if (low > high) [low, high] = [0, 1];
      if (this.range) [low, high] = this.range;
      else if (low === high && this.zero) { low = Math.min(low - 1, -1); high = Math.max(high + 1, 1); } else if (this.log) { low /= 1.3; high *= 1.3; } else {
        if (this.zero) { low = Math.min(low, 0); high = Math.max(high, 0); }
        const pad = (high - low) * 0.06 || Math.abs(high) * 0.05 || 1;
        low = this.zero && low === 0 ? 0 : low - pad; high += pad;
      }
      const x = this.x = scale(this.span[0], this.span[1] > this.span[0] ? this.span[1] : this.span[0] + 1, this.left, this.width - this.right);
      const y = this.y = scale(low, high, height - bottom, top, this.log);
      this.svg.replaceChildren();
      this.svg.setAttribute('viewBox', `0 0 ${this.width} ${height}`);
      this.svg.setAttribute('height', height);
      for (const tick of this.log ? logSteps(low, high) : steps(low, high, 4)) {
        this.svg.append(shape('line', { class: 'grid', x1: this.left, x2: this.width - this.right, y1: y(tick), y2: y(tick) }),
          shape('text', { x: this.left - 6, y: y(tick) + 4, 'text-anchor': 'end' }, short(tick)));
      }
      const width = this.span[1] - this.span[0];
      for (const tick of (this.stills ? steps : timeSteps)(this.span[0], this.span[0] + (width || 1), Math.max(2, this.width / 85))) {
        if (tick > this.span[1] || (this.stills && !Number.isInteger(tick))) continue;
        const at = x(tick);
        this.svg.append(shape('text', { x: at, y: height - 4, 'text-anchor': at > this.width - 40 ? 'end' : 'middle' }, this.moment(tick)));
      }
      this.svg.append(shape('line', { class: 'axis', x1: this.left, x2: this.width - this.right, y1: height - bottom, y2: height - bottom }));
      for (const line of this.lines) this.drawLine(line, x, y, low, high);
      if (this.modes) this.drawModes(x, height - bottom + 6);
      this.mark = shape('g');
      this.svg.append(this.mark);
      this.show(this.cursor);
    }
    drawLine(line, x, y, low, high) {
      const inside = value => y(Math.min(Math.max(value, low), high)).toFixed(1);
      const gaps = line.points.slice(1).map((p, i) => p[0] - line.points[i][0]).sort((a, b) => a - b);
      const longest = gaps.length ? gaps[gaps.length >> 1] * 6 : Infinity;
      const runs = [];
      line.points.forEach((p, i) => {
        if (i && p[0] - line.points[i - 1][0] <= longest) runs.at(-1).push(p); else runs.push([p]);
      });
      for (const run of runs) {
        if (run.some(p => p[2] !== p[3])) {
          const over = run.map(p => `${x(p[0]).toFixed(1)},${inside(p[3])}`), under = run.map(p => `${x(p[0]).toFixed(1)},${inside(p[2])}`);
          this.svg.append(shape('polygon', { class: `band ${line.css}`, points: [...over, ...under.reverse()].join(' ') }));
        }
        if (run.length > 1) this.svg.append(shape('polyline', { class: `curve ${line.css}`, points: run.map(p => `${x(p[0]).toFixed(1)},${inside(p[1])}`).join(' ') }));
        if (run.length === 1 || line.points.length <= 40) for (const p of run) this.svg.append(shape('circle', { class: `spot ${line.css}`, cx: x(p[0]).toFixed(1), cy: inside(p[1]), r: 2.4 }));
      }
    }
    drawModes(x, top) {
      const { t, mode } = this.modes;
      let start = 0;
      const bars = [];
      for (let i = 1; i <= t.length; i++) {
        if (i < t.length && mode[i] === mode[start]) continue;
        const from = x(t[start]), to = x(t[Math.min(i, t.length - 1)]);
        const bar = shape('rect', { class: `segment m-${mode[start]}`, x: from, y: top, width: Math.max(to - from, 2), height: 9 });
        bar.append(shape('title', {}, words(mode[start])));
        if (mode[start] === 'fused') bars.unshift(bar); else bars.push(bar);
        start = i;
      }
      // What is rare and narrow comes on top.
      this.svg.append(...bars);
    }
    show(time) {
      this.cursor = time;
      this.mark.replaceChildren();
      const inside = time !== null && time >= this.span[0] && time <= this.span[1];
      if (inside) this.mark.append(shape('line', { class: 'cursor', x1: this.x(time), x2: this.x(time), y1: 6, y2: 158 }));
      const items = this.lines.map(line => {
        const item = element('li', { class: line.css }, element('i'), line.name);
        const near = inside ? nearest(line.points, time) : null;
        if (near) {
          item.append(' ', element('b', {}, short(near[1])));
          if (near[2] !== near[3]) item.append(` (${short(near[2])} to ${short(near[3])})`);
          this.mark.append(shape('circle', { class: `spot ${line.css}`, cx: this.x(near[0]), cy: this.y(near[1]), r: 3.5 }));
        }
        return item;
      });
      if (this.modes) {
        const near = inside ? nearest(this.modes.t.map((t, i) => [t, i]), time) : null;
        const shown = near ? [this.modes.mode[near[1]]] : [...new Set(this.modes.mode)];
        items.push(...shown.map(mode => element('li', { class: `mode m-${mode}` }, element('i'), words(mode))));
      }
      if (inside) items.push(element('li', {}, 'at ', element('b', {}, this.moment(time))));
      this.legend.replaceChildren(...items);
    }
  }
  function nearest(points, time) {
    let best = null;
    for (const p of points) if (!best || Math.abs(p[0] - time) < Math.abs(best[0] - time)) best = p;
    return best;
  }
  function point(time) { for (const plot of plots) plot.show(time); }

  function pointsOf(curve, key) {
    const series = curve && curve.s[key];
    if (!series) return [];
    const [mean, least = mean, largest = mean] = series, points = [];
    mean.forEach((value, i) => { if (value !== null) points.push([curve.t[i], value, least[i], largest[i]]); });
    return points;
  }

  // ---- plots over time ----
  const parent = $('plots');
  if (parent) {
    const METRICS = [...data.metrics.metric.map(m => ['metric', ...m]), ...data.metrics.registration.map(m => ['registration', ...m])];
    fill($('plot-recording'), data.recordings.map(name => [name, name]));
    fill($('plot-method'), [...(data.methods.length > 1 ? [['', 'all methods']] : []), ...data.methods.map(name => [name, name])]);
    fill($('plot-metric'), METRICS.map(([group, key, title]) => [`${group}:${key}`, `${key}: ${title.toLowerCase()}${group === 'registration' ? ' (registration)' : ''}`]));
    if (METRICS.some(([group, key]) => group === 'metric' && key === 'VIF')) $('plot-metric').value = 'metric:VIF';
    $('plot-metric-label').hidden = !METRICS.length;
    const render = () => {
      parent.replaceChildren();
      plots.clear();
      const curves = data.curves[$('plot-recording').value] || {};
      const chosen = $('plot-method').value;
      const shown = chosen ? [chosen] : data.methods.filter(method => curves[method]);
      const one = chosen || shown[0], curve = curves[one];
      if (!curve) {
        parent.append(element('p', { class: 'empty' }, `${chosen || 'No method'} has no result for this recording.`));
        return;
      }
      const times = shown.flatMap(method => curves[method].t);
      const span = times.reduce(([low, high], t) => [Math.min(low, t), Math.max(high, t)], [Infinity, -Infinity]);
      if (span[0] > 0 && span[0] < 0.05 * span[1]) span[0] = 0;
      const stills = data.stills.includes($('plot-recording').value);
      const css = method => colour(data.methods.indexOf(method));
      const byMethod = key => shown.map(method => ({ name: method, css: css(method), points: pointsOf(curves[method], key) })).filter(line => line.points.length);
      const single = (key, name, style) => [{ name, css: style, points: pointsOf(curve, key) }].filter(line => line.points.length);
      const merged = Math.max(...shown.map(method => curves[method].n));
      const note = merged > 1 ? `each point: ${merged} pairs` : '';
      const own = shown.length > 1 ? `with ${one}` : '';
      const add = options => { if (options.lines.length) new Plot(parent, { span, stills, ...options }); };
      const metric = METRICS.find(([group, key]) => `${group}:${key}` === $('plot-metric').value);
      if (metric) add({ title: metric[2], unit: metric[3], note, lines: byMethod(`${metric[0]}:${metric[1]}`) });
      if (shown.length > 1) {
        const stage = curve.s['latency:fusion'] ? 'fusion' : data.stages.at(-1);
        add({ title: `Latency of ${words(stage || '')}`, unit: 'ms', log: true, note, lines: byMethod(`latency:${stage}`) });
      } else {
        add({ title: 'Latency by stage', unit: 'ms', log: true, note, lines: data.stages.map((stage, i) => ({ name: words(stage), css: colour(i), points: pointsOf(curve, `latency:${stage}`) })).filter(line => line.points.length) });
      }
      if (!stills) add({ title: 'Skew: thermal minus RGB stamp', unit: 'ms', zero: true, note: own, lines: single('skew', 'skew', 'c3'), modes: curve });
      add({ title: 'Confidence in the registration', range: [0, 1], note: own, lines: single('confidence', 'confidence', 'c2').filter(line => line.points.some(p => p[3] > 0)) });
      add({ title: 'Expected error of the registration', unit: 'px', zero: true, note: own, lines: single('expected', 'expected error', 'c9') });
      add({ title: 'Objects found', zero: true, note: own, lines: ['rgb', 'thermal', 'fused'].flatMap((name, i) => single(`found:${name}`, name === 'rgb' ? 'RGB only' : name === 'thermal' ? 'thermal only' : 'fused', ['c0', 'c1', 'c2'][i])) });
      // Only now is it known how wide a plot is.
      for (const plot of plots) plot.draw();
    };
    for (const id of ['plot-recording', 'plot-method', 'plot-metric']) $(id).addEventListener('change', render);
    render();
    let width = parent.clientWidth;
    addEventListener('resize', () => { if (parent.clientWidth !== width) { width = parent.clientWidth; plots.forEach(plot => plot.draw()); histogram(); } });
  }

  // ---- latency histogram ----
  function histogram() {
    const parent = $('histogram');
    if (!parent) return;
    const stage = $('histogram-stage').value;
    const edge = i => 10 ** (i / data.bins_per_decade);
    const drawn = data.methods.map((method, i) => {
      const [first, ...counts] = (data.histograms[method] || {})[stage] || [0];
      const all = counts.reduce((a, b) => a + b, 0);
      return { method, css: colour(i), first, shares: counts.map(n => 100 * n / all), all };
    }).filter(one => one.shares.length);
    const title = `Latency of ${words(stage)}`;
    const legend = element('ul', { class: 'legend' }, ...drawn.map(one => element('li', { class: one.css }, element('i'), `${one.method}, ${one.all.toLocaleString('en')} pairs`)));
    const svg = shape('svg', { role: 'img', 'aria-label': `Histogram: ${title}; the percentiles stand in the table above` });
    const figure = element('figure', { class: 'plot' }, element('figcaption', {}, element('b', {}, `${title} [ms]`), element('span', {}, 'share of the pairs in bins of 10 % width')), legend, svg);
    parent.replaceChildren(figure);
    if (!drawn.length) return;
    const width = figure.clientWidth - 32, height = 230, left = 46, bottom = 24;
    const low = Math.min(...drawn.map(one => one.first)) - 1, high = Math.max(...drawn.map(one => one.first + one.shares.length)) + 1;
    const top = Math.max(...drawn.flatMap(one => one.shares)) * 1.06;
    const x = scale(low, high, left, width - 10), y = scale(0, top, height - bottom, 8);
    svg.setAttribute('viewBox', `0 0 ${width} ${height}`);
    svg.setAttribute('height', height);
    for (const tick of steps(0, top, 4)) svg.append(shape('line', { class: 'grid', x1: left, x2: width - 10, y1: y(tick), y2: y(tick) }), shape('text', { x: left - 6, y: y(tick) + 4, 'text-anchor': 'end' }, `${short(tick)} %`));
    for (const tick of logSteps(edge(low), edge(high))) {
      const at = x(Math.log10(tick) * data.bins_per_decade);
      svg.append(shape('line', { class: 'grid', x1: at, x2: at, y1: 8, y2: height - bottom }), shape('text', { x: at, y: height - 6, 'text-anchor': 'middle' }, short(tick)));
    }
    svg.append(shape('line', { class: 'axis', x1: left, x2: width - 10, y1: height - bottom, y2: height - bottom }));
    for (const one of drawn) {
      let outline = `${x(one.first)},${y(0)}`;
      one.shares.forEach((share, i) => { outline += ` ${x(one.first + i).toFixed(1)},${y(share).toFixed(1)} ${x(one.first + i + 1).toFixed(1)},${y(share).toFixed(1)}`; });
      outline += ` ${x(one.first + one.shares.length)},${y(0)}`;
      svg.append(shape('polygon', { class: `area ${one.css}`, points: outline }), shape('polyline', { class: `curve ${one.css}`, points: outline }));
    }
  }
  if ($('histogram')) {
    fill($('histogram-stage'), data.stages.map(stage => [stage, words(stage)]));
    if (data.stages.includes('fusion')) $('histogram-stage').value = 'fusion';
    $('histogram-stage').addEventListener('change', histogram);
    histogram();
  }

  // ---- tables to choose from ----
  for (const select of document.querySelectorAll('select[data-shows]')) {
    const choose = () => {
      for (const part of document.querySelectorAll(`[data-group="${select.dataset.shows}"]`)) part.hidden = part.dataset.value !== select.value;
    };
    select.addEventListener('change', choose);
    choose();
  }

  // ---- frames ----
  const frames = [...document.querySelectorAll('.frame')].map(node => ({
    node, recording: node.dataset.recording, methods: JSON.parse(node.dataset.ranks), kinds: JSON.parse(node.dataset.kinds),
    pictures: [...node.querySelectorAll('img')], title: node.querySelector('h3').textContent.trim().replace(/\s+/g, ' ') }));
  if (frames.length) {
    const choose = () => {
      const recording = $('frame-recording').value, method = $('frame-method').value, kind = $('frame-kind').value;
      for (const frame of frames) {
        frame.node.hidden = (recording && frame.recording !== recording)
          || !frame.methods.some((name, i) => (!method || name === method) && (!kind || frame.kinds[i] === kind));
      }
      const n = frames.filter(frame => !frame.node.hidden).length;
      $('frame-count').textContent = n === 1 ? '1 frame' : `${n} frames`;
    };
    for (const id of ['frame-recording', 'frame-method', 'frame-kind']) $(id).addEventListener('change', choose);
    if (frames.length > 12) $('frame-recording').value = frames[0].recording;
    choose();

    const viewer = $('viewer'), image = viewer.querySelector('img'), caption = viewer.querySelector('figcaption');
    let frame = frames[0], picture = 0;
    const show = () => {
      const source = frame.pictures[picture];
      image.src = source.src;
      image.alt = source.alt;
      caption.textContent = `${frame.title} – ${source.closest('figure').querySelector('figcaption').textContent.trim()} (${picture + 1} of ${frame.pictures.length})`;
    };
    const step = by => { picture = (picture + by + frame.pictures.length) % frame.pictures.length; show(); };
    const jump = by => {
      const list = frames.filter(one => !one.node.hidden && one.pictures.length);
      frame = list[(list.indexOf(frame) + by + list.length) % list.length];
      picture = Math.min(picture, frame.pictures.length - 1);
      show();
    };
    for (const one of frames) {
      one.pictures.forEach((img, i) => img.parentElement.addEventListener('click', () => {
        frame = one; picture = i; show(); viewer.showModal();
      }));
    }
    viewer.querySelector('.previous').addEventListener('click', () => step(-1));
    viewer.querySelector('.next').addEventListener('click', () => step(1));
    viewer.addEventListener('click', event => { if (event.target.tagName === 'FIGURE') viewer.close(); });
    viewer.addEventListener('close', () => frame.pictures[picture].parentElement.focus());
    viewer.addEventListener('keydown', event => {
      const act = { ArrowLeft: () => step(-1), ArrowRight: () => step(1), ArrowUp: () => jump(-1), ArrowDown: () => jump(1) }[event.key];
      if (!act) return;
      event.preventDefault();
      act();
    });
  }

  // ---- tooltips stay inside the window; print shows everything ----
  for (const tip of document.querySelectorAll('.tip')) {
    const bubble = tip.querySelector('.bubble');
    const place = () => {
      const box = tip.getBoundingClientRect(), wide = document.documentElement.clientWidth;
      bubble.style.left = `${Math.max(8, Math.min(box.left, wide - bubble.offsetWidth - 8))}px`;
      bubble.style.top = `${box.bottom + 6}px`;
      bubble.style.margin = 0;
    };
    tip.addEventListener('pointerenter', place);
    tip.addEventListener('focus', place);
  }
  addEventListener('beforeprint', () => document.querySelectorAll('details').forEach(part => { part.open = true; }));
})();
