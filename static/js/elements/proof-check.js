/* Checks the proof of the entry that is shown, from the very bytes that are shown, and reveals the words for it. */
import { checkEntry, leafHash } from 'aims/lib/merkle.js';

class ProofCheck extends HTMLElement {
  async connectedCallback() {
    if (!window.isSecureContext) return;
    this.#reveal(await this.#check());
    const leaf = this.querySelector('[data-leaf]');
    leaf.textContent = [...await leafHash(this.#text('canon'))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  }

  async #check() {
    try {
      const policy = this.querySelector('[data-policy]') ? this.#text('policy') : '';
      return await checkEntry({ canon: this.#text('canon'), proof: this.#text('proof'), vkey: this.#text('vkey'), policy });
    } catch (error) {
      return error.code && this.querySelector(`[data-result="${error.code}"]`) ? error.code : 'malformed';
    }
  }

  #text(name) {
    return this.querySelector(`[data-${name}]`).textContent;
  }

  #reveal(result) {
    for (const said of this.querySelectorAll('[data-result]')) said.hidden = said.dataset.result !== result;
    this.dataset.checked = result;
    this.dispatchEvent(new CustomEvent('aims:proof', { bubbles: true, detail: { result } }));
  }
}

customElements.define('proof-check', ProofCheck);
