/**
 * How a net is trained: what the solver is told.
 *
 * @module
 */

/** The settings of a training run. */
export interface Settings {
  readonly updateRule: "adam" | "adamw" | "sgd" | "sgdMomentum" | "rmsprop";
  readonly learningRate: number;
  /** Whether the learning rate falls along half a cosine wave. */
  readonly schedule: "cosine" | "constant";
  readonly batchSize: number;
  readonly epochs: number;
  /** Strength of the L2 penalty. */
  readonly reg: number;
  /** How many pixels images are shifted at most. */
  readonly shift: number;
  /** Whether half of the images are mirrored. */
  readonly mirror: boolean;
}

/** What the page begins with. */
export const DEFAULT_SETTINGS: Settings = {
  updateRule: "adam",
  learningRate: 0.003,
  schedule: "cosine",
  batchSize: 100,
  epochs: 4,
  reg: 0.0003,
  shift: 0,
  mirror: false,
};
