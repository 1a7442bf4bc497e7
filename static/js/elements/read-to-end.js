/* Around what has to be read. When its last line has been on screen it sets data-read and says `aims:read`.
   Inside it an element with data-when="unread" is shown before, and data-when="read" after. It marks the end
   itself, so content that is swapped in later has to be read too (call reset()). */
class ReadToEnd extends HTMLElement {
  #end = null;
  #watcher = null;

  connectedCallback() {
    this.#watcher = new IntersectionObserver((seen) => {
      if (seen.some((one) => one.isIntersecting)) this.#finish();
    });
    this.reset();
  }

  disconnectedCallback() {
    this.#watcher.disconnect();
  }

  reset() {
    delete this.dataset.read;
    this.#end?.remove();
    this.#end = document.createElement('span');
    this.#end.setAttribute('aria-hidden', 'true');
    this.#end.className = 'end-mark';
    this.append(this.#end);
    this.#watcher.disconnect();
    this.#watcher.observe(this.#end);
  }

  #finish() {
    this.#watcher.disconnect();
    this.dataset.read = '';
    this.dispatchEvent(new CustomEvent('aims:read', { bubbles: true }));
  }
}

customElements.define('read-to-end', ReadToEnd);
