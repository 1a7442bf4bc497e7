/* Checks an export that is chosen or dropped here, and reveals the words for what was found. Nothing is sent anywhere. */
import { checkBundle } from 'aims/lib/bundle.js';

class BundleCheck extends HTMLElement {
  connectedCallback() {
    this.#input.addEventListener('change', () => this.#check(this.#input.files[0]));
    for (const field of this.querySelectorAll('textarea')) field.addEventListener('change', () => this.#check(this.#input.files[0]));
    document.addEventListener('dragover', this.#onDrag);
    document.addEventListener('drop', this.#onDrop);
  }

  disconnectedCallback() {
    document.removeEventListener('dragover', this.#onDrag);
    document.removeEventListener('drop', this.#onDrop);
  }

  get #input() {
    return this.querySelector('input[type="file"]');
  }

  #onDrag = (event) => event.preventDefault();

  #onDrop = (event) => {
    event.preventDefault();
    if (event.dataTransfer.files.length !== 1) return;
    this.#input.files = event.dataTransfer.files;
    this.#check(this.#input.files[0]);
  };

  async #check(file) {
    if (!file) return;
    this.#show('', [], '');
    const progress = this.querySelector('[data-progress]');
    progress.hidden = false;
    const onProgress = (share) => { progress.querySelector('meter').value = Math.round(share * 100); };
    const [vkeys, policy] = ['vkeys', 'policy'].map((name) => this.querySelector(`[data-${name}]`).value);
    const found = await checkBundle({ file, vkeys, policy, onProgress });
    progress.hidden = true;
    this.#show(found.result, found.said, found.why);
  }

  #show(result, said, why) {
    for (const notice of this.querySelectorAll('[data-result]')) notice.hidden = notice.dataset.result !== result;
    this.querySelector('[data-why]').textContent = why;
    const items = said.map((text) => Object.assign(document.createElement('li'), { textContent: text }));
    this.querySelector('[data-said]').replaceChildren(...items);
    if (result) this.dataset.checked = result;
    else delete this.dataset.checked;
  }
}

customElements.define('bundle-check', BundleCheck);
