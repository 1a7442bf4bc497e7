/* Listens at the socket for bells. A bell has no content: it says that there is something to fetch.
   On a bell <body> gets `aims:bell` and `aims:bell:<topic>`; parts of the page with
   hx-trigger="aims:bell:inbox from:body" then fetch themselves. After a reconnect everything is fetched once,
   because bells may have been lost. Its words come from the server and are revealed here. */
import { waitMs } from 'aims/lib/backoff.js';

const SESSION_ENDED = 4401; // close code of our consumer: signed out, or the session was ended elsewhere
const FIRST_DEAF_MS = 4000; // a short gap is not worth a word

class LiveBell extends HTMLElement {
  #socket = null;
  #attempt = 0;
  #wasOpen = false;
  #retry = 0;
  #deaf = 0;

  connectedCallback() {
    this.#connect();
    window.addEventListener('online', this.#again);
    document.addEventListener('visibilitychange', this.#again);
  }

  disconnectedCallback() {
    clearTimeout(this.#retry);
    clearTimeout(this.#deaf);
    window.removeEventListener('online', this.#again);
    document.removeEventListener('visibilitychange', this.#again);
    this.#socket?.close();
  }

  #again = () => {
    if (document.visibilityState === 'visible' && this.#socket?.readyState === WebSocket.CLOSED && this.#retry) {
      clearTimeout(this.#retry);
      this.#connect();
    }
  };

  #connect() {
    const address = new URL(this.getAttribute('href'), location.href);
    address.protocol = address.protocol === 'https:' ? 'wss:' : 'ws:';
    this.#socket = new WebSocket(address);
    this.#socket.addEventListener('open', () => this.#opened());
    this.#socket.addEventListener('message', (event) => this.#rang(event.data));
    this.#socket.addEventListener('close', (event) => this.#closed(event.code));
  }

  #opened() {
    clearTimeout(this.#deaf);
    this.#deaf = 0;
    this.#say('on');
    if (this.#wasOpen) this.#ring({ topic: 'reconnect' });
    this.#wasOpen = true;
    this.#attempt = 0;
  }

  #rang(text) {
    const bell = JSON.parse(text);
    this.#ring(bell);
  }

  #ring(bell) {
    document.body.dispatchEvent(new CustomEvent('aims:bell', { detail: bell }));
    const topics = bell.topic === 'reconnect' ? ['inbox', 'log', 'session'] : [bell.topic];
    for (const topic of topics) document.body.dispatchEvent(new CustomEvent(`aims:bell:${topic}`, { detail: bell }));
  }

  #closed(code) {
    if (!this.isConnected) return;
    if (code === SESSION_ENDED) {
      this.#retry = 0;
      this.#say('ended');
      return;
    }
    this.#deaf ||= setTimeout(() => this.#say('lost'), FIRST_DEAF_MS);
    this.#retry = setTimeout(() => this.#connect(), waitMs(this.#attempt++));
  }

  #say(state) {
    this.dataset.state = state;
    for (const words of this.querySelectorAll('[data-state]')) words.hidden = words.dataset.state !== state;
  }
}

customElements.define('live-bell', LiveBell);
