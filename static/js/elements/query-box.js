/* The query bar as an editable combobox (ARIA 1.2): the server says what may come next, arrows choose, Enter or Tab takes,
   Escape closes. Enter with nothing chosen sends the form, as without JavaScript. */
import { replaced, stepped } from 'aims/lib/suggesting.js';

const WAIT_MS = 120;

class QueryBox extends HTMLElement {
  #timer = 0;
  #asked = 0;
  #at = -1;
  #found = [];

  connectedCallback() {
    const input = this.#input;
    for (const [name, value] of [['role', 'combobox'], ['aria-autocomplete', 'list'], ['aria-expanded', 'false'], ['aria-controls', this.#list.id]]) {
      input.setAttribute(name, value);
    }
    input.addEventListener('input', () => this.#askSoon());
    input.addEventListener('keydown', (event) => this.#onKey(event));
    input.addEventListener('blur', () => this.#close());
    this.#list.addEventListener('pointerdown', (event) => this.#onPointer(event));
  }

  get #input() {
    return this.querySelector('input[type=search]');
  }

  get #list() {
    return this.querySelector('[role=listbox]');
  }

  #askSoon() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#ask(), WAIT_MS);
  }

  async #ask() {
    const asked = ++this.#asked;
    const text = this.#input.value.slice(0, this.#input.selectionStart);
    const address = `${this.getAttribute('href')}?${new URLSearchParams({ q: text })}`;
    const answer = await fetch(address, { headers: { Accept: 'application/json' } }).catch(() => null);
    if (!answer?.ok || asked !== this.#asked || document.activeElement !== this.#input) return;
    this.#show((await answer.json()).suggestions);
  }

  #show(found) {
    this.#found = found;
    this.#at = -1;
    this.#list.replaceChildren(...found.map((each, at) => this.#option(each, at)));
    this.#list.hidden = found.length === 0;
    this.#input.setAttribute('aria-expanded', String(found.length > 0));
    this.#input.removeAttribute('aria-activedescendant');
  }

  #option({ insert, label }, at) {
    const option = document.createElement('li');
    option.id = `${this.#list.id}-${at}`;
    option.role = 'option';
    option.ariaSelected = 'false';
    const value = document.createElement('span');
    value.className = 'mono';
    value.dir = 'ltr';
    value.textContent = insert;
    option.append(value);
    if (label) {
      const name = document.createElement('span');
      name.className = 'faint';
      name.textContent = label;
      option.append(name);
    }
    return option;
  }

  #onKey(event) {
    if (this.#list.hidden || event.isComposing) return;
    if (event.key === 'ArrowDown' || event.key === 'ArrowUp') this.#choose(stepped({ at: this.#at, count: this.#found.length, step: event.key === 'ArrowDown' ? 1 : -1 }));
    else if (event.key === 'Escape') this.#close();
    else if ((event.key === 'Enter' || event.key === 'Tab') && this.#at >= 0) this.#take(this.#at);
    else return;
    event.preventDefault();
  }

  #onPointer(event) {
    const at = [...this.#list.children].indexOf(event.target.closest('[role=option]'));
    event.preventDefault(); // the field keeps the focus
    if (at >= 0) this.#take(at);
  }

  #choose(at) {
    this.#at = at;
    [...this.#list.children].forEach((option, place) => option.setAttribute('aria-selected', String(place === at)));
    if (at < 0) return this.#input.removeAttribute('aria-activedescendant');
    this.#input.setAttribute('aria-activedescendant', this.#list.children[at].id);
    this.#list.children[at].scrollIntoView({ block: 'nearest' });
  }

  #take(at) {
    const input = this.#input;
    const done = replaced({ text: input.value, cursor: input.selectionStart, ...this.#found[at] });
    input.value = done.text;
    input.setSelectionRange(done.cursor, done.cursor);
    this.#close();
    if (done.text.slice(0, done.cursor).endsWith(':')) this.#ask();
  }

  #close() {
    clearTimeout(this.#timer);
    this.#asked += 1;
    this.#show([]);
  }
}

customElements.define('query-box', QueryBox);
