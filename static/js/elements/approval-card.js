/* The ceremony of one card. It takes the options that the server prepared, asks for the passkey, posts the answer and
   goes where the server says. It decides nothing and holds no secret; every text it shows was written by the server.
   When the card has changed (a colleague, the clock, a withdrawal) it says aims:refresh to the htmx part around it,
   but never while a passkey is being asked for. */
import { waitMs } from 'aims/lib/backoff.js';
import { getAssertion, isSupported } from 'aims/lib/webauthn.js';

const STALE_MARGIN_MS = 5000;
const TIMER_MAX_MS = 2 ** 31 - 1;

class ApprovalCard extends HTMLElement {
  #isAsking = false;
  #timer = 0;
  #settling = 0;
  #onBell = () => this.#look();

  connectedCallback() {
    document.body.addEventListener('aims:bell:inbox', this.#onBell);
    this.addEventListener('aims:time-over', () => this.#look());
    this.addEventListener('click', (event) => this.#pressed(event));
    for (const element of this.querySelectorAll('[data-needs-script]')) element.hidden = false;
    this.#watchContext();
    this.#awaitLog(0);
  }

  disconnectedCallback() {
    clearTimeout(this.#timer);
    clearTimeout(this.#settling);
    document.body.removeEventListener('aims:bell:inbox', this.#onBell);
  }

  // A key that was enrolled a moment ago may sign as soon as the log has its enrolment.
  #awaitLog(attempt) {
    if (!this.isConnected || !this.hasAttribute('is-settling')) return;
    this.#settling = setTimeout(() => this.#look().then(() => this.#awaitLog(attempt + 1)), waitMs(attempt));
  }

  // A context lives ten minutes at most; a card that stays open gets a new one before it ends.
  #watchContext() {
    const left = Date.parse(this.getAttribute('stale-at') ?? '') - Date.now();
    if (!(left > 0)) return;
    this.#timer = setTimeout(() => this.#look(), Math.min(TIMER_MAX_MS, Math.max(STALE_MARGIN_MS, left - STALE_MARGIN_MS)));
  }

  async #look() {
    if (this.#isAsking) return;
    const answer = await fetch(this.getAttribute('part-href'), { method: 'HEAD' }).catch(() => null);
    if (!answer || this.#isAsking || answer.headers.get('ETag') === this.getAttribute('etag')) return;
    this.parentElement?.dispatchEvent(new CustomEvent('aims:refresh'));
  }

  #pressed(event) {
    const what = event.target.closest('[data-decide]')?.dataset.decide;
    if (what === 'approve') this.#decide('yes-options', 'approve-href');
    else if (what === 'signed-deny') this.#decide('no-options', 'deny-href');
  }

  async #decide(options, href) {
    if (this.#isAsking) return;
    this.#isAsking = true;
    this.#show(null);
    try {
      const assertion = await this.#ask(this.getAttribute(options));
      if (assertion) await this.#send(this.getAttribute(href), assertion);
    } finally {
      this.#isAsking = false;
    }
  }

  async #ask(options) {
    if (!isSupported()) return this.#show('unsupported');
    try {
      return await getAssertion(JSON.parse(options));
    } catch {
      return this.#show('cancelled');
    }
  }

  async #send(href, assertion) {
    const headers = {
      'Content-Type': 'application/json',
      'X-CSRFToken': this.querySelector('input[name=csrfmiddlewaretoken]').value,
    };
    const answer = await fetch(href, { method: 'POST', headers, body: JSON.stringify(assertion) }).catch(() => null);
    const said = await answer?.json().catch(() => null);
    if (!said) return this.#show('network');
    if (said.next) location.assign(said.next);
    else this.#show('server', said.text);
  }

  #show(error, text) {
    for (const words of this.querySelectorAll('[data-error]')) words.hidden = words.dataset.error !== error;
    if (text) this.querySelector('[data-error=server]').textContent = text;
  }
}

customElements.define('approval-card', ApprovalCard);
