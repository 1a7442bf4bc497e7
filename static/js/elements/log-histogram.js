/* Draws the table of entries over time as stacked bars (uPlot). A drag over them narrows the query to that time; the table
   beside it says the same, with a link a row. Without uPlot the table alone stays. */
import { covered, named, spelled, stacked } from 'aims/lib/bars.js';

const HEIGHT = 110;
const HOUR_S = 3600;
const DAY_S = 24 * HOUR_S;
const STEPS_S = [1, 2, 3, 6, 12].map((n) => n * HOUR_S).concat([1, 2, 7, 14, 28, 91, 365].map((n) => n * DAY_S));
const COLOURS = ['--bar', '--yes', '--waiting', '--danger'];

class LogHistogram extends HTMLElement {
  #plot = null;
  #rows = [];
  #resize = new ResizeObserver(() => this.#plot?.setSize({ width: this.#chart.clientWidth, height: HEIGHT }));
  #scheme = matchMedia('(prefers-color-scheme: dark)');
  #redraw = () => { if (this.#plot) { this.#plot.destroy(); this.#draw(); } };

  connectedCallback() {
    this.#scheme.addEventListener('change', this.#redraw);
    // uPlot is deferred and comes before modules in the order of the document; a page put in later finds it there.
    if (window.uPlot) this.#draw();
    else document.addEventListener('DOMContentLoaded', () => window.uPlot && this.#draw(), { once: true });
  }

  disconnectedCallback() {
    this.#scheme.removeEventListener('change', this.#redraw);
    this.#resize.disconnect();
    this.#plot?.destroy();
    this.#plot = null;
  }

  get #chart() {
    return this.querySelector('[data-chart]');
  }

  #draw() {
    this.#rows = [...this.querySelectorAll('tbody tr')].map((row) => {
      const [n, yes, waiting, no] = [...row.querySelectorAll('[data-n]')].map((cell) => Number(cell.dataset.n));
      const [start, end] = [row.dataset.start, row.dataset.end].map((at) => Date.parse(at) / 1000);
      return { start, end, n, yes, waiting, no };
    });
    if (this.#rows.length < 2) return;
    this.#chart.hidden = false;
    this.#plot = new window.uPlot(this.#options(), stacked(this.#rows), this.#chart);
    this.#resize.observe(this.#chart);
  }

  #options() {
    const style = getComputedStyle(this);
    const labels = [...this.querySelectorAll('th[data-series]')].map((head) => head.textContent);
    const paths = window.uPlot.paths.bars({ size: [0.86, 60], align: 1 });
    const ink = style.getPropertyValue('--ink-faint');
    const axis = { stroke: ink, grid: { show: false }, ticks: { show: false }, font: '11px Inter, system-ui, sans-serif' };
    const series = COLOURS.map((name, at) => {
      const colour = style.getPropertyValue(name);
      return { label: labels[at], fill: colour, stroke: colour, width: 0, paths, points: { show: false } };
    });
    const { zone } = this.dataset;
    const lang = document.documentElement.lang;
    const isHourly = this.#rows[0].end - this.#rows[0].start < DAY_S;
    const times = { ...axis, incrs: STEPS_S, space: 70, values: (_plot, moments) => named(moments, { lang, zone, isHourly }) };
    return {
      tzDate: (at) => window.uPlot.tzDate(new Date(at * 1000), zone),
      width: this.#chart.clientWidth,
      height: HEIGHT,
      legend: { show: false },
      cursor: { y: false, drag: { x: true, y: false, setScale: false } },
      scales: { x: { time: true, range: () => [this.#rows[0].start, this.#rows.at(-1).end] }, y: { range: (_plot, _low, high) => [0, Math.max(1, high)] } },
      axes: [times, { ...axis, size: 52, grid: { show: true, stroke: style.getPropertyValue('--line'), width: 1 } }],
      series: [{}, ...series],
      hooks: { setSelect: [(plot) => this.#onDrag(plot)] },
    };
  }

  #onDrag(plot) {
    if (plot.select.width < 2) return;
    const [from, to] = [plot.select.left, plot.select.left + plot.select.width].map((at) => plot.posToVal(at, 'x'));
    const span = covered(this.#rows, from, to);
    if (!span) return;
    const { rest, address } = this.dataset;
    const query = `${rest ? `${rest} ` : ''}after:${spelled(span.start)} before:${spelled(span.end)}`;
    window.location.assign(`${address}?${new URLSearchParams({ q: query })}`);
  }
}

customElements.define('log-histogram', LogHistogram);
