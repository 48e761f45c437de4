/**
 * What every runtime and every bundle runs of the installed package: each tier on whole numbers, and a
 * training run whose every bit is known. Node and Bun print the report; a page sends it to where it
 * came from, and continues to the page that the answer names.
 *
 * @module
 */

import * as lib from "@cnn-layers/cnn-layers";
import { reportTraining, type TrainingReport } from "../support/reproducible.ts";
import { reportTiers, type TierReport } from "../support/tiers.ts";

/** What a program says of the package. */
export interface Report {
  readonly tiers: readonly TierReport[];
  readonly training: TrainingReport;
}

async function report(): Promise<Report> {
  return { tiers: reportTiers(lib), training: await reportTraining(lib) };
}

async function main(): Promise<void> {
  if (!("location" in globalThis) || !location.protocol.startsWith("http")) {
    console.log(JSON.stringify(await report()));
    return;
  }
  const body = JSON.stringify(await report().catch((error) => ({ error: `${error.stack}` })));
  const answer = await fetch(location.href, { method: "POST", body });
  const next = await answer.text();
  if (next !== "") location.href = next;
}

if (typeof Deno === "undefined") main();
