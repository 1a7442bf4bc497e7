/* A message that leaves by itself, unless it is a warning or someone points at it. */
const STAYS_MS = 6000;

class ToastNote extends HTMLElement {
  connectedCallback() {
    const button = this.querySelector('button');
    if (button) {
      button.hidden = false;
      button.addEventListener('click', () => this.remove());
    }
    if (!['error', 'warning'].includes(this.dataset.tone)) this.#leaveLater();
  }

  #leaveLater() {
    setTimeout(() => (this.matches(':hover, :focus-within') ? this.#leaveLater() : this.remove()), STAYS_MS);
  }
}

customElements.define('toast-note', ToastNote);
