/**
 * Which kernels run, on how many threads, and how many images a second that makes.
 *
 * @module
 */

import { byId, element, setText } from "../dom.ts";
import { speed } from "../format.ts";
import type { Session } from "./session.ts";

/** The tiers, as people are told of them. */
const TIERS = { auto: "SIMD", generated: "Generated TypeScript", naive: "Naive loops" } as const;

type Choice = keyof typeof TIERS;

/** Reports that are left out after a change: they hold some of what was before, and compiling. */
const WARM_UP = 2;

/** Shows the choices and the table of a session. */
export function showSpeeds(session: Session, hasSimd: boolean): void {
  const note = byId("speed-note", HTMLElement), body = byId("speeds", HTMLTableSectionElement);
  const measured = new Map<string, number>();
  let since = 0, last = "";
  const most = globalThis.crossOriginIsolated ? navigator.hardwareConcurrency || 1 : 1;
  let kernels: Choice = hasSimd ? "auto" : "generated", threads = most;

  const report = (error: unknown) => session.failed.emit(error);
  addChoices("kernels", Object.entries(TIERS), kernels, (value) => {
    kernels = value as Choice;
    session.setKernels(kernels).catch(report);
  }, hasSimd ? [] : ["auto"]);
  const counts = [...new Set([1, 2, 4, 8, 16, most].filter((n) => n <= most))].sort((a, b) =>
    a - b
  );
  addChoices("threads", counts.map((n) => [String(n), String(n)]), String(threads), (value) => {
    threads = Number(value);
    session.setThreads(threads).then((reason) => setText(note, reason ?? "")).catch(report);
  });
  session.setKernels(kernels).catch(report);
  session.setThreads(threads).catch(report);
  setText(note, most > 1 ? "" : "one thread; see the notes above");

  const show = () => {
    const fastest = Math.max(...measured.values());
    const rows = [...measured].sort(([, a], [, b]) => b - a).map(([key, value]) => {
      const [tier, count] = key.split("|"), bar = element("span", { class: "bar" });
      bar.style.width = `${Math.max(100 * value / fastest, 0.5)}%`;
      const track = element("span", { class: "bar-track", "aria-hidden": "true" }, bar);
      return element(
        "tr",
        {},
        element("th", { scope: "row" }, tier),
        element("td", {}, count),
        element("td", { class: "bar-cell" }, track, element("span", {}, speed(value))),
      );
    });
    body.replaceChildren(...rows);
  };
  const empty = element("td", { colspan: 3, class: "muted" }, "Train, and switch between them.");
  body.append(element("tr", {}, empty));
  session.netChanged.listen(() => {
    measured.clear();
    body.replaceChildren(element("tr", {}, empty));
  });
  session.progressed.listen(({ kernels: ran, threads: count, imagesPerSecond }) => {
    const tier = TIERS[ran as Choice] ?? ran, key = `${tier}|${count}`;
    since = key === last ? since + 1 : 0;
    last = key;
    // Slow kernels report rarely: what there is counts if there is nothing yet.
    const isEarly = since < WARM_UP && measured.has(key);
    if (isEarly || !(imagesPerSecond > 0)) return;
    measured.set(key, imagesPerSecond);
    show();
  });
}

/** A row of radio buttons. */
function addChoices(
  id: string,
  choices: readonly (readonly [value: string, label: string])[],
  chosen: string,
  onChoice: (value: string) => void,
  disabled: readonly string[] = [],
): void {
  const place = byId(id, HTMLFieldSetElement);
  for (const [value, label] of choices) {
    const input = element("input", { type: "radio", name: id, value });
    input.checked = value === chosen;
    input.disabled = disabled.includes(value);
    input.addEventListener("change", () => onChoice(value));
    place.append(element("label", {}, input, element("span", {}, label)));
  }
}
