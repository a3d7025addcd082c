// One question at a time, always the newest: while it is being answered, only the last of those that come is kept.

import { Unreachable } from "./server.js";

export class Latest {
  // answer(question, signal) returns what `show` gets; `trouble` gets errors, and null once all is well again.
  constructor(answer, show, trouble) {
    Object.assign(this, { answer, show, trouble, pending: null, running: false, controller: null, era: 0 });
  }

  ask(question) {
    this.pending = question;
    if (!this.running) this.run();
  }

  // Drop what is asked and what is being answered, such as for another class.
  forget() {
    this.era++;
    this.pending = null;
    this.controller?.abort();
  }

  async run() {
    this.running = true;
    while (this.pending !== null) {
      const question = this.pending, era = this.era;
      this.pending = null;
      this.controller = new AbortController();
      try {
        const answer = await this.answer(question, this.controller.signal);
        if (era !== this.era) continue;  // stale
        this.trouble(null);
        this.show(answer, question);
      } catch (error) {
        if (era !== this.era || error.name === "AbortError") continue;
        this.trouble(error);
        if (!(error instanceof Unreachable)) continue;
        await new Promise((resolve) => setTimeout(resolve, 1000 * error.seconds));
        if (era === this.era) this.pending ??= question;  // again, or what came meanwhile
      }
    }
    this.running = false;
  }
}
