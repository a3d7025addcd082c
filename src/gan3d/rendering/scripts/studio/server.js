// The server of the page: what it serves, shapes as packed bits, files. Offline, `generator.js` takes its place.

import { decodeVector, encodeVector } from "./vectors.js";

class Refused extends Error {  // the server's sentence, with its status
  constructor(status, sentence) {
    super(sentence);
    this.status = status;
  }
}
export class Unreachable extends Error {  // ask again in `seconds`
  constructor(seconds) {
    super("The server does not answer.");
    this.seconds = seconds;
  }
}

export class Server {
  constructor(offers) {
    this.offers = offers;
    this.key = "";
    this.models = {};
  }

  // What is offered for a model, such as "/invert": the first model has the plain routes, others those of their name.
  route(model, path) {
    if (this.offers.routes.includes(`/models/{name}${path}`)) return `/models/${encodeURIComponent(model)}${path}`;
    return this.offers.routes.includes(path) && model === Object.keys(this.models)[0] ? path : null;
  }

  async ask(path, { signal, json, body } = {}) {
    const headers = this.key ? { Authorization: `Bearer ${this.key}` } : {};
    if (json) headers["Content-Type"] = "application/json";
    if (body) headers["Content-Type"] = "application/octet-stream";
    const method = json || body ? "POST" : "GET";
    let response;
    try {
      response = await fetch(path, { method, headers, signal, body: json ? JSON.stringify(json) : body });
    } catch (error) {
      throw error.name === "AbortError" ? error : new Unreachable(1);
    }
    if (response.ok) return response;
    if ([429, 502, 503, 504].includes(response.status)) throw new Unreachable(+response.headers.get("retry-after") || 1);
    const answer = await response.json().catch(() => ({}));
    throw new Refused(response.status, answer.detail || `The server answered with status ${response.status}.`);
  }

  async json(path, options) {
    return (await this.ask(path, options)).json();
  }

  async describe(signal) {
    this.models = await this.json("/models", { signal });
    return this.models;
  }

  async latents(model, seed, count, signal) {
    const path = `${this.route(model, "/latents")}?seed=${seed}&count=${count}`;
    return (await this.json(path, { signal })).latents.map(decodeVector);
  }

  // Packed bits of each shape, for latents of one class. A model that was replaced meanwhile is described anew.
  async shapes(model, asked, latents, signal) {
    const response = await this.ask(this.route(model, "/shapes"), { signal, json: this.request(asked, latents, "bits") });
    const bytes = new Uint8Array(await response.arrayBuffer()), each = bytes.length / latents.length;
    const version = decodeURIComponent(response.headers.get("x-model") || "");
    if (version && version !== this.models[model].model) await this.describe(signal);
    return latents.map((_, i) => bytes.subarray(i * each, (i + 1) * each));
  }

  async file(model, asked, latent, output, style, printable) {
    const json = { ...this.request(asked, [latent], output), style, ...(printable ? { printable } : {}) };
    return (await this.ask(this.route(model, "/shapes"), { json })).blob();
  }

  request({ class: name, truncation, threshold }, latents, output) {
    const request = { class: name, latents: latents.map(encodeVector), truncation, output };
    return threshold === null ? request : { ...request, threshold };
  }
}
