/**
 * "How a kernel is made": a shape that is typed in, and what becomes of it.
 *
 * @module
 */

import { byId, el } from "./dom.ts";
import { EXAMPLES, FieldError, FIELDS, type Fields, fieldsOf, hashOf, requestOf } from "./form.ts";
import type { KernelReport, KernelRequest } from "./report.ts";
import * as sections from "./sections.ts";
import type { Answer } from "./worker.ts";

const form = byId("shape") as HTMLFormElement;
const status = byId("status"), problem = byId("problem");

/** Milliseconds that typing must rest. */
const REST = 200;

let worker: Worker | undefined;
let timer: number | undefined;

/** What the form holds. */
function readFields(): Fields {
  const data = new FormData(form);
  const entries = Object.keys(FIELDS).map((
    name,
  ) => [name, String(data.get(name) ?? "")]);
  return Object.fromEntries(entries);
}

function writeFields(fields: Fields): void {
  for (const [name, text] of Object.entries(fields)) {
    const control = form.elements.namedItem(name);
    if (
      control instanceof RadioNodeList || control instanceof HTMLInputElement ||
      control instanceof HTMLSelectElement
    ) control.value = text;
  }
}

/** Says what is wrong; nothing if all is well. The last report stays, but is said to be another's. */
function complain(message: string, field?: keyof Fields): void {
  problem.textContent = message;
  document.body.classList.toggle("stale", message !== "");
  for (const name of Object.keys(FIELDS)) {
    const control = form.elements.namedItem(name);
    if (control instanceof HTMLElement) {
      control.setAttribute("aria-invalid", `${name === field}`);
    }
  }
}

/** Makes the report of what the form holds, a little later if more may come. */
function ask(rest = REST): void {
  clearTimeout(timer);
  worker?.terminate();
  timer = setTimeout(() => {
    const fields = readFields();
    try {
      const request = requestOf(fields);
      complain("");
      history.replaceState(null, "", `#${hashOf(fields)}`);
      report(request);
    } catch (error) {
      if (!(error instanceof FieldError)) throw error;
      status.textContent = "";
      complain(error.message, error.field);
    }
  }, rest);
}

/** Asks a worker of its own, which has compiled nothing yet: so that all modules are seen. */
function report(request: KernelRequest): void {
  status.textContent = "Computing …";
  const asked = worker = new Worker("kernel_worker.js", { type: "module" });
  const end = (words: string) => {
    asked.terminate();
    status.textContent = words;
  };
  asked.onmessage = ({ data }: MessageEvent<Answer>) => {
    if ("report" in data) {
      show(data.report, request);
      const { name, tier } = data.report.explanation;
      return end(`${name} runs, of the ${tier} tier.`);
    }
    end("");
    complain(
      "refused" in data ? data.refused : `This shape cannot be computed here: ${data.failed}`,
    );
  };
  asked.onerror = (event) => {
    event.preventDefault();
    end("");
    complain(
      `The page's worker does not run: ${event.message || "its file does not load"}`,
    );
  };
  asked.postMessage(request);
}

function show(report: KernelReport, { direction }: KernelRequest): void {
  const parts = {
    geometry: sections.geometry(report),
    passes: sections.passes(report, direction),
    tiers: sections.tiers(report),
    schedules: sections.schedules(report),
    typescript: sections.typescript(report),
    wasm: sections.wasm(report, direction),
  };
  for (const [id, content] of Object.entries(parts)) {
    byId(id).replaceChildren(...content);
  }
  byId("report").hidden = false;
}

const examples = byId("example") as HTMLSelectElement;
for (const { name } of EXAMPLES) examples.append(el("option", {}, name));
examples.addEventListener("change", () => {
  const chosen = EXAMPLES.find(({ name }) => name === examples.value);
  if (chosen === undefined) return;
  writeFields({
    ...FIELDS,
    direction: readFields().direction,
    ...chosen.fields,
  });
  ask(0);
});
form.addEventListener("submit", (event) => {
  event.preventDefault();
  ask(0);
});
form.addEventListener("input", ({ target }) => target === examples || ask());
addEventListener("hashchange", () => {
  writeFields(fieldsOf(location.hash));
  ask(0);
});
writeFields(fieldsOf(location.hash));
ask(0);
