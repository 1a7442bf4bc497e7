/* Which columns of a table are shown, and how close its rows stand: kept in this browser, for whoever sits here. */
const KEY = 'aims:log-columns';

class ViewChoice extends HTMLElement {
  connectedCallback() {
    this.hidden = false;
    const hidden = this.#kept();
    for (const box of this.#boxes) box.checked = box.value === 'dense' ? hidden.includes('dense') : !hidden.includes(box.value);
    this.#apply();
    this.addEventListener('change', () => this.#keep());
  }

  get #boxes() {
    return [...this.querySelectorAll('input[type=checkbox]')];
  }

  #kept() {
    try {
      const kept = JSON.parse(localStorage.getItem(KEY) ?? '[]');
      return Array.isArray(kept) ? kept : [];
    } catch {
      return [];
    }
  }

  #keep() {
    const chosen = this.#boxes.filter((box) => box.checked === (box.value === 'dense')).map((box) => box.value);
    try {
      localStorage.setItem(KEY, JSON.stringify(chosen));
    } catch {
      // Private browsing: the choice lasts as long as the page.
    }
    this.#apply();
  }

  #apply() {
    const table = document.getElementById(this.getAttribute('for'));
    if (!table) return;
    const chosen = this.#boxes.filter((box) => box.checked === (box.value === 'dense')).map((box) => box.value);
    table.dataset.hidden = chosen.filter((name) => name !== 'dense').join(' ');
    table.toggleAttribute('data-dense', chosen.includes('dense'));
  }
}

customElements.define('view-choice', ViewChoice);
