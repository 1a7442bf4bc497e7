/* A list that does not move under a hand. On a bell it looks whether there is something new; while somebody points
   at the list or is in it with the keyboard, it only says "3 new" on top, else it fetches itself (aims:refresh, which
   htmx listens for on [data-part]). The words come from the server. */
class CalmList extends HTMLElement {
  #onBell = () => this.#look();
  #onLeave = () => requestAnimationFrame(() => this.#catchUp());

  connectedCallback() {
    document.body.addEventListener('aims:bell:inbox', this.#onBell);
    this.addEventListener('pointerleave', this.#onLeave);
    this.addEventListener('focusout', this.#onLeave);
    this.#button.addEventListener('click', () => this.#refresh());
  }

  disconnectedCallback() {
    document.body.removeEventListener('aims:bell:inbox', this.#onBell);
  }

  get #button() {
    return this.querySelector('.fresh');
  }

  get #isBusy() {
    return this.matches(':hover') || this.contains(document.activeElement);
  }

  async #look() {
    if (!this.#isBusy) return this.#refresh();
    const answer = await fetch(this.getAttribute('href'), { headers: { Accept: 'text/html' } }).catch(() => null);
    if (answer?.ok) this.#say(this.#newIn(await answer.text()));
  }

  // Only counted, never inserted: htmx puts it into the page.
  #newIn(text) {
    const there = [...text.matchAll(/href="(\/inbox\/[^"]+)"/g)].map((match) => match[1]);
    const here = new Set([...this.querySelectorAll('a.item')].map((link) => link.getAttribute('href')));
    return there.filter((href) => !here.has(href)).length;
  }

  #say(count) {
    const { one, many, none } = this.#button.dataset;
    this.#button.textContent = count === 0 ? none : count === 1 ? one : many.replace('%s', count);
    this.#button.hidden = false;
  }

  #catchUp() {
    if (!this.#button.hidden && !this.#isBusy) this.#refresh();
  }

  #refresh() {
    this.#button.hidden = true;
    this.querySelector('[data-part]').dispatchEvent(new CustomEvent('aims:refresh'));
  }
}

customElements.define('calm-list', CalmList);
