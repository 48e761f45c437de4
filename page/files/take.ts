/**
 * Weights and programs that one can take along, and weights that come back.
 *
 * @module
 */

import type { LayerDescription, NetDescription } from "../../mod.ts";
import { decodeSafetensors, encodeSafetensors } from "../../io/safetensors.ts";
import { byId, setText } from "../dom.ts";
import { messageOf, shapeText } from "../format.ts";
import type { Session } from "../learn/session.ts";
import { showError, showMessage } from "../messages.ts";
import { cellsOf, notebookOf, type ProgramParts } from "../net/notebook.ts";
import { planNet } from "../net/plan.ts";
import { download } from "./download.ts";

/** Where a file of weights holds the description of its net. */
const NET_KEY = "cnn-layers net";

/** Connects the buttons. */
export function showTake(session: Session, onNet: () => void): void {
  const onClick = (id: string, act: () => void | Promise<void>) =>
    byId(id, HTMLButtonElement).addEventListener("click", async () => {
      try {
        await act();
      } catch (error) {
        showError(error);
      }
    });
  const input = byId("weights-file", HTMLInputElement);
  onClick("save-weights", () => {
    const metadata = { [NET_KEY]: JSON.stringify(session.description) };
    const bytes = encodeSafetensors(session.net.state(), metadata);
    download(`${session.set.id}.safetensors`, bytes, "application/octet-stream");
  });
  onClick("load-weights", () => input.click());
  input.addEventListener("change", async () => {
    const [file] = input.files ?? [];
    // The same file may be chosen again.
    input.value = "";
    if (file !== undefined) await loadWeights(session, file, onNet);
  });
  onClick("export-onnx", async () => {
    const { toOnnx } = await import("../../io/onnx.ts");
    download(`${session.set.id}.onnx`, toOnnx(session.net), "application/octet-stream");
  });
  onClick("save-notebook", () => {
    const notebook = notebookOf(partsOf(session));
    download(`${session.set.id}.ipynb`, notebook, "application/x-ipynb+json");
  });
  onClick("copy-code", async () => {
    await navigator.clipboard.writeText(codeOf(session));
    showMessage("The code is in the clipboard.");
  });
}

/** Shows the program of the net and the settings of now. */
export function showCode(session: Session): void {
  setText(byId("code", HTMLElement), codeOf(session));
}

function partsOf({ layers, set, settings }: Session): ProgramParts {
  return { layers, inputDim: set.shape, classes: set.classes.length, settings, set: set.id };
}

function codeOf(session: Session): string {
  return cellsOf(partsOf(session)).join("\n\n");
}

/**
 * Takes weights, and the net that they are of if the file says which.
 *
 * @param session Where to.
 * @param file The file.
 * @param onNet Called when the net has changed.
 */
export async function loadWeights(session: Session, file: File, onNet: () => void): Promise<void> {
  try {
    const bytes = new Uint8Array(await file.arrayBuffer());
    const { tensors, metadata } = decodeSafetensors(bytes);
    const net = metadata[NET_KEY];
    const layers = net === undefined ? session.layers : layersOf(JSON.parse(net), session);
    session.load(layers, tensors);
    onNet();
    showMessage(`${file.name} is loaded.`);
  } catch (error) {
    showError(new Error(`${file.name} cannot be loaded: ${messageOf(error)}`, { cause: error }));
  }
}

/** The layers of a net that was saved, without the last one; it must suit the images. */
function layersOf(net: NetDescription, { set }: Session): readonly LayerDescription[] {
  const plan = planNet(net), { shape, classes, name } = set;
  if ("wrong" in plan) throw new Error(`its net has a wrong layer: ${plan.message}`);
  const outputs = plan.total.outShape[0];
  if (shapeText(net.inputDim) !== shapeText(shape) || outputs !== classes.length) {
    throw new Error(
      `its net takes images of ${shapeText(net.inputDim)} and ${outputs} classes, ` +
        `those of ${name} are ${shapeText(shape)} and ${classes.length}`,
    );
  }
  return net.layers.slice(0, -1);
}
