/* Keeps the words of a <time> fresh: "4 min ago". With format="countdown" it counts down: "4:12", and says
   `aims:time-over` when nothing is left. One timer serves all of them. */
import { countdown, relative } from 'aims/lib/spans.js';

const all = new Set();
let timer = null;

function tick() {
  for (const element of all) element.refresh();
}

class RelativeTime extends HTMLElement {
  #isOver = false;

  connectedCallback() {
    all.add(this);
    timer ??= setInterval(tick, 1000);
    this.refresh();
  }

  disconnectedCallback() {
    all.delete(this);
    if (all.size === 0) timer = clearInterval(timer) ?? null;
  }

  refresh() {
    const time = this.querySelector('time');
    const at = Date.parse(time?.dateTime ?? '');
    if (Number.isNaN(at)) return;
    const words = this.getAttribute('format') === 'countdown'
      ? countdown(at, Date.now())
      : relative(at, Date.now(), document.documentElement.lang);
    if (words !== null && time.textContent !== words) time.textContent = words;
    if (at <= Date.now() && !this.#isOver && this.getAttribute('format') === 'countdown') {
      this.#isOver = true;
      this.dispatchEvent(new CustomEvent('aims:time-over', { bubbles: true }));
    }
  }
}

customElements.define('relative-time', RelativeTime);
