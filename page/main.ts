/**
 * The page: its parts, and how they hear of each other.
 *
 * @module
 */

import { ConvolutionView } from "./convolution/view.ts";
import { type BundledSet, openBundled } from "./data/bundled.ts";
import type { ImageSet } from "./data/image_set.ts";
import { ImagesPanel } from "./data/panel.ts";
import { byId, setText } from "./dom.ts";
import { showAnswer } from "./draw/answer.ts";
import { Pad } from "./draw/pad.ts";
import { Probe } from "./draw/probe.ts";
import { type DroppedFile, readOwnImages } from "./files/own_images.ts";
import { loadWeights, showCode, showTake } from "./files/take.ts";
import { reportHost } from "./host.ts";
import { showControls } from "./learn/controls.ts";
import { showCurves } from "./learn/curves.ts";
import { type Kept, Session } from "./learn/session.ts";
import { SettingsForm } from "./learn/settings_form.ts";
import { showSpeeds } from "./learn/speeds.ts";
import { showActivations } from "./look/activations.ts";
import { showConfusion } from "./look/confusion.ts";
import { showFilters } from "./look/filters.ts";
import { showMistakes } from "./look/mistakes.ts";
import { showError, showMessage, showNote } from "./messages.ts";
import { Editor } from "./net/editor.ts";
import { netDescription, planNet } from "./net/plan.ts";
import { PRESETS } from "./net/presets.ts";
import { goOffline } from "./offline.ts";
import { forget, load, save } from "./store.ts";

/** Where a training run is kept. */
const KEPT = "training";

/** Milliseconds from one time that it is kept to the next. */
const KEEP = 5000;

/** The sets that the page brings along. */
const sets = document.querySelector<HTMLMetaElement>("meta[name=sets]")!.content.split(",");

/** Sets that have been opened, so that their images are loaded once. */
const opened = new Map<string, Promise<BundledSet>>();

/** Images that have arrived, by set. */
const arrived = new Map<ImageSet, number>();

const host = reportHost();
const panel = new ImagesPanel(sets), editor = new Editor(), form = new SettingsForm();

async function main(): Promise<void> {
  setText(byId("host", HTMLElement), host.summary);
  for (const note of host.notes) showNote(note);
  const kept = await load<Kept>(KEPT).catch(() => undefined);
  const first = kept !== undefined && sets.includes(kept.set) ? kept.set : sets[0];
  const { set } = await open(first);
  const session = new Session(set, editor.layers);
  begin(session, kept?.set === first ? kept : undefined);
  // Once it is isolated, it has threads; a training run that has begun goes on without.
  await goOffline(() => session.phase !== "training").catch((error) => {
    console.warn("The page cannot be kept for use without a connection:", error);
  });
}

/** Opens a set, and loads the rest of it meanwhile. */
function open(id: string): Promise<BundledSet> {
  const known = opened.get(id);
  if (known !== undefined) return known;
  const opening = openBundled(id);
  opened.set(id, opening);
  // What could not be loaded is tried again when it is wanted again.
  opening.catch(() => opened.delete(id));
  opening.then((bundled) => arrived.set(bundled.set, bundled.arrived)).catch(() => {});
  return opening;
}

/** Connects all parts. */
function begin(session: Session, kept: Kept | undefined): void {
  session.failed.listen(showError);
  const probe = new Probe(session), pad = new Pad(probe);
  const showButtons = showControls(session, () => editor.isRight);
  showCurves(session);
  showAnswer(session, probe);
  showFilters(session);
  showActivations(probe);
  showConfusion(session);
  showMistakes(session, probe);
  showSpeeds(session, host.hasSimd);
  new ConvolutionView(session, probe);
  connectNet(session, showButtons);
  connectImages(session, pad);
  keepTraining(session);
  if (kept !== undefined) restore(session, kept);
  else session.evaluate();
  panel.show(session.set, arrived.get(session.set) ?? Infinity);
  loadRest(session.set.id);
}

/** Loads the rest of a set. */
async function loadRest(id: string): Promise<void> {
  const bundled = await open(id), { set } = bundled;
  if (arrived.get(set) !== bundled.arrived) return;
  try {
    await bundled.loadRest((count) => {
      arrived.set(set, count);
      if (set.id === id) panel.showArrived(set, count);
    });
  } catch (error) {
    showError(error);
  }
}

/** What changes the net and how it is trained. */
function connectNet(session: Session, showButtons: () => void): void {
  const show = () => {
    editor.show(planNet(session.description));
    showCode(session);
  };
  const showNet = () => {
    editor.layers = session.layers;
    show();
  };
  editor.changed.listen((layers) => {
    const { set } = session;
    const plan = planNet({ ...session.description, layers: [...layers, scoresOf(session)] });
    // A net that cannot be is shown with what is wrong; the one before stays in use.
    editor.show(plan);
    if (editor.isRight) session.use(set, layers);
    showButtons();
  });
  form.changed.listen((settings) => {
    session.settings = settings;
    showCode(session);
  });
  session.phaseChanged.listen((phase) => {
    const isRunning = phase === "training" || phase === "paused";
    editor.enabled = form.enabled = !isRunning;
    setText(
      byId("learning-note", HTMLElement),
      isRunning ? "Stop or reset to change the net and the settings." : "",
    );
  });
  showTake(session, showNet);
  session.netChanged.listen(showNet);
  showNet();
}

/** The last layer of a session's net. */
function scoresOf({ set }: Session) {
  return { type: "affine", args: [set.classes.length] };
}

/** What changes the images. */
function connectImages(session: Session, pad: Pad): void {
  const use = (set: ImageSet) => {
    const { classes, shape } = set, { layers } = session;
    const plan = planNet(netDescription(layers, shape, classes.length, 0));
    pad.clear();
    session.use(set, "wrong" in plan ? PRESETS.Linear : layers);
    if ("wrong" in plan) showMessage("The net did not suit these images: this is a linear one.");
    panel.show(set, arrived.get(set) ?? Infinity);
  };
  const orError = async (work: () => Promise<void>) => {
    try {
      await work();
    } catch (error) {
      panel.show(session.set, arrived.get(session.set) ?? Infinity);
      showError(error);
    }
  };
  panel.chosen.listen((id) =>
    orError(async () => {
      panel.note = "Loading …";
      use((await open(id)).set);
      loadRest(id);
    })
  );
  panel.dropped.listen((files) =>
    orError(async () => {
      const weights = files.find(({ path }) => /\.safetensors$/i.test(path));
      if (weights !== undefined) return await dropWeights(session, weights);
      use(await readOwnImages(files, (what) => panel.note = what));
      showMessage(`${session.set.name}: ${session.set.classes.length} classes.`);
    })
  );
}

async function dropWeights(session: Session, { path, bytes }: DroppedFile): Promise<void> {
  const file = new File([await bytes()], path);
  await loadWeights(session, file, () => {
    editor.layers = session.layers;
    editor.show(planNet(session.description));
  });
}

/** Keeps the training run, so that it continues after a reload. */
function keepTraining(session: Session): void {
  let isKeeping = false, isDue = false;
  const keep = async () => {
    isDue = true;
    if (isKeeping) return;
    isKeeping = true;
    while (isDue) {
      isDue = false;
      try {
        const kept = await session.keep();
        if (kept !== undefined) await save(KEPT, kept);
        else if (session.phase === "idle") await forget(KEPT);
      } catch (error) {
        console.warn("The training run cannot be kept:", error);
      }
    }
    isKeeping = false;
  };
  session.phaseChanged.listen(keep);
  // The iteration that was under way when it was paused.
  session.progressed.listen(() => session.phase === "paused" && keep());
  setInterval(() => session.phase === "training" && keep(), KEEP);
  addEventListener("visibilitychange", keep);
}

/** Continues a training run of an earlier visit. */
function restore(session: Session, kept: Kept): void {
  try {
    form.settings = kept.settings;
    session.restore(kept);
    if (session.phase === "paused") {
      showMessage("Your last training run is here again: press Train to continue it.");
    }
  } catch (error) {
    showError(new Error("The last training run cannot be continued", { cause: error }));
    session.reset();
  }
}

main().catch(showError);
