/* Draws the table of entries over time as stacked bars (uPlot). A drag over them narrows the query to that time; the table
   beside it says the same, with a link a row. Without uPlot the table alone stays. */
import { covered, spelled, stacked } from 'aims/lib/bars.js';

const HEIGHT = 110;
const COLOURS = ['--bar', '--yes', '--waiting', '--danger'];

class LogHistogram extends HTMLElement {
  #plot = null;
  #rows = [];
  #resize = new ResizeObserver(() => this.#plot?.setSize({ width: this.#chart.clientWidth, height: HEIGHT }));

  connectedCallback() {
    // uPlot is deferred and comes before modules in the order of the document; a page put in later finds it there.
    if (window.uPlot) this.#draw();
    else document.addEventListener('DOMContentLoaded', () => window.uPlot && this.#draw(), { once: true });
  }

  disconnectedCallback() {
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
    return {
      width: this.#chart.clientWidth,
      height: HEIGHT,
      legend: { show: false },
      cursor: { y: false, drag: { x: true, y: false, setScale: false } },
      scales: { x: { time: true, range: () => [this.#rows[0].start, this.#rows.at(-1).end] }, y: { range: (_plot, _low, high) => [0, Math.max(1, high)] } },
      axes: [axis, { ...axis, size: 52, grid: { show: true, stroke: style.getPropertyValue('--line'), width: 1 } }],
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
