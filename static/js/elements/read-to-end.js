/* Around what has to be read. When every part of it has been on screen, each over its whole height and not under the
   bars that stick to the window's edges, it sets data-read and says `aims:read`. A jump to the end passes parts by and
   does not count; when the end was reached that way it sets data-skipped.
   Its parts are its children, of a list the rows, of <details> the summary; what it does not know has to be seen too.
   Inside it data-when="unread", "skipped" and "read" name what is shown then, and [data-show-unseen] leads to the first
   part that was passed by, focus included: for the keyboard, and for those who are read to. */
import { firstUnseen, withStretch } from 'aims/lib/seen.js';

const NOT_TO_READ = '.bar, [data-errors], noscript';
const SLACK_PX = 2; // rounding of fractions of a pixel
const AIR_PX = 8;

class ReadToEnd extends HTMLElement {
  #end = null;
  #watcher = null;
  #unseen = new Map(); // part -> the stretches of it that were on screen
  #onScreen = new Set();
  #sizes = new ResizeObserver(() => this.#watch());

  connectedCallback() {
    this.#markEnd();
    this.#unseen = new Map(this.#parts().map((part) => [part, []]));
    document.addEventListener('scroll', this.#scrolled, { capture: true, passive: true });
    this.addEventListener('click', this.#pressed);
    for (const sized of [this, this.#bar, this.#topbar, document.documentElement]) if (sized) this.#sizes.observe(sized);
  }

  disconnectedCallback() {
    this.#rest();
    this.removeEventListener('click', this.#pressed);
    document.documentElement.style.removeProperty('scroll-padding-block-end');
  }

  get #bar() {
    return this.querySelector('.bar');
  }

  get #topbar() {
    return document.querySelector('.topbar');
  }

  #markEnd() {
    this.#end = document.createElement('span');
    this.#end.setAttribute('aria-hidden', 'true');
    this.#end.className = 'end-mark';
    this.insertBefore(this.#end, [...this.children].find((child) => child.matches(NOT_TO_READ)) ?? null);
  }

  #parts() {
    const shown = [...this.children].filter((child) => !child.matches(NOT_TO_READ) && child.checkVisibility());
    return shown.flatMap((child) => {
      if (child.matches('dl')) return [...child.children];
      return child.matches('details') ? [child.querySelector('summary')] : [child];
    });
  }

  // The browser says what lies inside the window less its bars; when a size changes it has to be asked anew.
  #watch() {
    if (this.hasAttribute('data-read')) return;
    const [top, bottom] = [covered(this.#topbar), covered(this.#bar)];
    document.documentElement.style.setProperty('scroll-padding-block-end', `${bottom + AIR_PX}px`);
    this.#watcher?.disconnect();
    this.#onScreen.clear();
    this.#watcher = new IntersectionObserver((seen) => this.#saw(seen), { rootMargin: `-${top}px 0px -${bottom}px 0px` });
    for (const part of this.#unseen.keys()) this.#watcher.observe(part);
  }

  // It speaks when a part comes or goes. While one moves through the window it is asked again.
  #scrolled = () => {
    for (const part of this.#onScreen) {
      this.#watcher?.unobserve(part);
      this.#watcher?.observe(part);
    }
  };

  #saw(entries) {
    for (const { target, isIntersecting, intersectionRect, boundingClientRect: whole } of entries) {
      if (!isIntersecting || !this.#unseen.has(target)) {
        this.#onScreen.delete(target);
        continue;
      }
      this.#onScreen.add(target);
      const height = whole.height || 1;
      const slack = SLACK_PX / height;
      const stretch = [(intersectionRect.top - whole.top) / height, (intersectionRect.bottom - whole.top) / height];
      const stretches = withStretch(this.#unseen.get(target), whole.height ? stretch : [0, 1], slack);
      if (firstUnseen(stretches, slack) === 1) this.#done(target);
      else this.#unseen.set(target, stretches);
    }
    if (this.#unseen.size === 0) this.#finish();
    else this.toggleAttribute('data-skipped', !this.#unseen.has(this.#end));
  }

  #done(part) {
    this.#unseen.delete(part);
    this.#onScreen.delete(part);
    this.#watcher.unobserve(part);
  }

  #finish() {
    this.#rest();
    this.removeAttribute('data-skipped');
    this.dataset.read = '';
    this.dispatchEvent(new CustomEvent('aims:read', { bubbles: true }));
  }

  #rest() {
    this.#watcher?.disconnect();
    this.#sizes.disconnect();
    document.removeEventListener('scroll', this.#scrolled, { capture: true });
  }

  #pressed = (event) => {
    if (!event.target.closest('[data-show-unseen]')) return;
    const [part, stretches] = this.#unseen.entries().next().value ?? [];
    if (!part) return;
    const { top, height } = part.getBoundingClientRect();
    scrollBy({ top: top + firstUnseen(stretches) * height - covered(this.#topbar) - AIR_PX });
    part.tabIndex = -1;
    part.focus({ preventScroll: true });
  };
}

function covered(bar) {
  return bar && getComputedStyle(bar).position === 'sticky' ? Math.round(bar.getBoundingClientRect().height) : 0;
}

customElements.define('read-to-end', ReadToEnd);
