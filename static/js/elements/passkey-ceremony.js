/* <passkey-ceremony kind="get|create|add" begin-href finish-href [autofill]> around a form. On submit it fetches
   options, asks the browser for the passkey, posts the form with the answer, and goes where the server says.
   "add" asks for an existing key first, then makes the new one. Its texts were written by the server: the element
   only shows the one whose data-error fits. It decides nothing. */
import { canAutofill, createPasskey, getAssertion, isSupported } from 'aims/lib/webauthn.js';

class PasskeyCeremony extends HTMLElement {
  #isAsking = false;
  #autofill = null;

  connectedCallback() {
    this.addEventListener('submit', (event) => this.#submitted(event));
    for (const element of this.querySelectorAll('[data-needs-script]')) element.hidden = false;
    this.#guessZone();
    if (!isSupported()) this.#show('unsupported');
    else if (this.hasAttribute('autofill')) this.#offerAutofill();
  }

  disconnectedCallback() {
    this.#autofill?.abort();
  }

  get #form() {
    return this.querySelector('form');
  }

  // The browser knows the zone; a person corrects it. Only an untouched UTC is replaced.
  #guessZone() {
    const field = this.querySelector('[data-guess=time-zone]');
    const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
    const isOffered = field && [...field.options].some((option) => option.value === zone);
    if (isOffered && field.value === 'UTC') field.value = zone;
  }

  async #offerAutofill() {
    if (!(await canAutofill()) || this.#isAsking) return;
    const options = await this.#begin();
    if (!options || this.#isAsking) return;
    this.#autofill = new AbortController();
    const more = { mediation: 'conditional', signal: this.#autofill.signal };
    const credential = await getAssertion(options, more).catch(() => null);
    if (!credential || this.#isAsking) return;
    this.#isAsking = true; // a button pressed now must not begin a second one
    await this.#finish({ credential }).finally(() => (this.#isAsking = false));
  }

  async #submitted(event) {
    event.preventDefault();
    if (this.#isAsking || !isSupported()) return;
    this.#isAsking = true;
    this.#autofill?.abort();
    this.#show(null);
    try {
      const options = await this.#begin();
      const answers = options && (await this.#ask(options));
      if (answers) await this.#finish(answers);
    } finally {
      this.#isAsking = false;
    }
  }

  async #ask(options) {
    try {
      switch (this.getAttribute('kind')) {
        case 'get': return { credential: await getAssertion(options) };
        case 'create': return { credential: await createPasskey(options) };
        default: return { assertion: await getAssertion(options.get), credential: await createPasskey(options.create) };
      }
    } catch (error) {
      return this.#show(error.name === 'InvalidStateError' ? 'known' : 'cancelled');
    }
  }

  #begin() {
    return this.#post(this.getAttribute('begin-href'), new FormData(this.#form));
  }

  async #finish(answers) {
    const body = new FormData(this.#form);
    for (const [name, value] of Object.entries(answers)) body.set(name, JSON.stringify(value));
    const said = await this.#post(this.getAttribute('finish-href'), body);
    if (said) location.assign(said.next);
  }

  async #post(href, body) {
    const answer = await fetch(href, { method: 'POST', body: new URLSearchParams(body) }).catch(() => null);
    const said = await answer?.json().catch(() => null);
    if (answer?.ok && said) return said;
    return said?.text ? this.#show('server', said.text) : this.#show('network');
  }

  #show(error, text) {
    for (const words of this.querySelectorAll('[data-error]')) words.hidden = words.dataset.error !== error;
    if (text) this.querySelector('[data-error=server]').textContent = text;
  }
}

customElements.define('passkey-ceremony', PasskeyCeremony);
