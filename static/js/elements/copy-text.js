/* Copies its <code>, whole even where only the ends are shown. Without JavaScript the text can be selected. */
const SHOWN_MS = 1600;

class CopyText extends HTMLElement {
  connectedCallback() {
    const button = this.querySelector('button');
    if (!button || !navigator.clipboard) return;
    button.hidden = false;
    button.addEventListener('click', () => this.#copy());
  }

  async #copy() {
    const code = this.querySelector('code');
    await navigator.clipboard.writeText(code.dataset.value ?? code.textContent);
    const said = this.querySelector('[role=status]');
    said.hidden = false;
    setTimeout(() => { said.hidden = true; }, SHOWN_MS);
  }
}

customElements.define('copy-text', CopyText);
