/* j and k move through a list, Enter (the browser's own) opens, "/" goes to search, "?" shows the keys.
   A row is a link with class "item" or "entry-title". No bare key ever decides anything. */
import { nextIndex } from 'aims/lib/moves.js';

const ROWS = '.item, .entry-title, [data-key-row]';
const TYPING = 'input, textarea, select, [contenteditable]';

class ListKeys extends HTMLElement {
  #onKey = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.(TYPING)) return;
    if (event.key === '?') this.#toggleHelp();
    else if (document.querySelector('dialog[open]')) return;
    else if (event.key === 'j') this.#move(1);
    else if (event.key === 'k') this.#move(-1);
    else if (event.key === '/') this.#search(event);
  };

  connectedCallback() {
    document.addEventListener('keydown', this.#onKey);
  }

  disconnectedCallback() {
    document.removeEventListener('keydown', this.#onKey);
  }

  #toggleHelp() {
    const dialog = this.querySelector('dialog');
    if (dialog.open) dialog.close();
    else if (!document.querySelector('dialog[open]')) dialog.showModal();
  }

  #move(step) {
    const rows = [...document.querySelectorAll(ROWS)].filter((row) => row.checkVisibility());
    const at = rows.findIndex((row) => row === document.activeElement);
    const current = rows.findIndex((row) => row.hasAttribute('aria-current'));
    const next = nextIndex({ at, current, count: rows.length, step });
    rows[next]?.focus();
    rows[next]?.scrollIntoView({ block: 'nearest' });
  }

  #search(event) {
    const field = document.querySelector('input[type=search]');
    if (!field) return;
    event.preventDefault();
    field.focus();
  }
}

customElements.define('list-keys', ListKeys);
