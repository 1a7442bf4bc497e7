/* Computes the commitment to the value that is shown, and says whether it is the entry's. */
import { commit } from 'aims/lib/commitment.js';

class CommitmentCheck extends HTMLElement {
  async connectedCallback() {
    if (!window.isSecureContext) return;
    this.#reveal(await this.#isSame() ? 'same' : 'other');
  }

  async #isSame() {
    try {
      const made = await commit({ salt: this.#text('salt'), field: this.#text('field'), value: this.#text('value') });
      return made === this.#text('commitment');
    } catch {
      return false;
    }
  }

  #text(name) {
    return this.querySelector(`[data-${name}]`).textContent;
  }

  #reveal(result) {
    for (const said of this.querySelectorAll('[data-result]')) said.hidden = said.dataset.result !== result;
    this.dataset.checked = result;
  }
}

customElements.define('commitment-check', CommitmentCheck);
