/**
 * The buttons, and what the page says of the training run.
 *
 * @module
 */

import { byId, setText } from "../dom.ts";
import { percent, speed } from "../format.ts";
import type { Phase, Session } from "./session.ts";

/** Milliseconds from one change of the status to the next, which readers of screens hear. */
const PERIOD = 2000;

/**
 * Connects the buttons and the status with a session.
 *
 * @param session What they are of.
 * @param canTrain Whether the net is one that can be trained.
 * @returns Shows which buttons can be pressed, when that has changed.
 */
export function showControls(session: Session, canTrain: () => boolean): () => void {
  const train = byId("train", HTMLButtonElement), pause = byId("pause", HTMLButtonElement);
  const stop = byId("stop", HTMLButtonElement), reset = byId("reset", HTMLButtonElement);
  const status = byId("status", HTMLElement), bar = byId("progress", HTMLProgressElement);
  train.addEventListener("click", () => session.train());
  pause.addEventListener("click", () => session.pause());
  stop.addEventListener("click", () => session.stop());
  reset.addEventListener("click", () => session.reset());

  const showButtons = () => {
    const { phase } = session, isRunning = phase === "training" || phase === "paused";
    // A button that is focused and turns off would lose the focus to nothing.
    const focused = document.activeElement;
    train.disabled = phase === "training" || !canTrain();
    pause.disabled = phase !== "training";
    stop.disabled = !isRunning;
    reset.disabled = phase === "idle";
    if (focused === train && train.disabled) pause.focus();
    for (const button of [pause, stop]) if (focused === button && button.disabled) train.focus();
  };

  let last = -Infinity, timer: number | undefined, isFirst = true;
  const showStatus = () => {
    clearTimeout(timer);
    timer = undefined;
    last = performance.now();
    setText(status, statusOf(session));
  };
  const showStatusSoon = () => {
    timer ??= setTimeout(
      showStatus,
      Math.max(0, last + PERIOD - performance.now()),
    ) as unknown as number;
  };
  const showFigures = () => {
    const { progress, evaluation, history } = session, loss = history.losses.at(-1);
    setText(byId("figure-loss", HTMLElement), loss === undefined ? "–" : loss.toFixed(3));
    const accuracy = evaluation === undefined ? "–" : percent(evaluation.accuracy);
    setText(byId("figure-accuracy", HTMLElement), accuracy);
    const images = progress === undefined ? "–" : speed(progress.imagesPerSecond);
    setText(byId("figure-speed", HTMLElement), images);
    bar.value = progress === undefined ? 0 : progress.iteration / progress.iterations;
  };
  session.phaseChanged.listen(() => {
    isFirst = true;
    showButtons();
    showStatus();
    showFigures();
  });
  session.progressed.listen(() => {
    showFigures();
    // That it has begun is news.
    if (isFirst) showStatus();
    else showStatusSoon();
    isFirst = false;
  });
  session.evaluated.listen(() => {
    showFigures();
    if (session.phase === "training") showStatusSoon();
    else showStatus();
  });
  session.netChanged.listen(showButtons);
  showButtons();
  showStatus();
  return showButtons;
}

const PHASES: Readonly<Record<Phase, string>> = {
  idle: "Ready",
  training: "Training",
  paused: "Paused",
  done: "Done",
};

/** What the status says. */
function statusOf({ phase, progress, evaluation, set }: Session): string {
  const parts: string[] = [];
  if (phase === "idle") parts.push(`Ready to learn ${set.name}`);
  else if (progress === undefined) parts.push(phase === "training" ? "Starting" : PHASES[phase]);
  else {
    const { iteration, iterations, epochs } = progress;
    const epoch = Math.min(Math.floor(iteration * epochs / iterations) + 1, epochs);
    parts.push(phase === "done" ? PHASES.done : `${PHASES[phase]}: epoch ${epoch} of ${epochs}`);
  }
  if (evaluation !== undefined) {
    parts.push(`validation accuracy ${percent(evaluation.accuracy)}`);
  }
  if (progress !== undefined) parts.push(`${speed(progress.imagesPerSecond)} images/s`);
  return parts.join(" · ");
}
