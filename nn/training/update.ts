/**
 * The update rule of a solver: one of ours by its name, or a function of the user's own. It updates all
 * parameters, or, if something throws, none.
 *
 * @module
 */

import { checkType, isFloatArray, isObject } from "../../kernels/check.ts";
import type { FloatArray, Tensor } from "../../kernels/tensor.ts";
import { checkTensorsLike } from "../checks.ts";
import {
  type OptimConfig,
  prepareStep,
  type UpdateRule,
  type UpdateRuleName,
  updateRules,
} from "./optim.ts";

type Tensors<A extends FloatArray> = Record<string, Tensor<A>>;
type Configs = Record<string, OptimConfig>;

/** Parameters after a step, and what the next step needs. */
export interface Updated<A extends FloatArray> {
  /** The parameters by name. */
  readonly params: Tensors<A>;
  /** The rule's settings and memory of each. */
  readonly configs: Configs;
}

/** An update rule as a solver knows it. */
export interface SolverRule {
  /** What checkpoints call it; empty if it has no name that tells it from others. */
  readonly name: string;
  /** Whether it may keep gradients beyond an update. */
  readonly keepsGradients: boolean;
  /** Updates every parameter. If it throws, parameters and configs are as they were. */
  update<A extends FloatArray>(
    params: Readonly<Tensors<A>>,
    grads: Readonly<Tensors<A>>,
    configs: Configs,
  ): Updated<A>;
  /** Checks the configs of parameters as far as the rule can tell. */
  check(params: Readonly<Record<string, Tensor>>, configs: Readonly<Configs>, name: string): void;
}

/**
 * Reads the option of an update rule.
 *
 * @param option What messages call it.
 * @param value A name, in the course's spelling too, or a function. Default: "sgd".
 * @returns The rule.
 * @throws {TypeError} If it is neither.
 */
export function readRule(option: string, value: unknown = "sgd"): SolverRule {
  if (typeof value === "function") {
    const { name } = value;
    if (isKnown(name) && updateRules[name] === value) return knownRule(name);
    // A function that is written where the option is gets the option's name.
    return ownRule(isKnown(name) || name === option ? "" : name, value as UpdateRule);
  }
  const name = typeof value === "string"
    ? value.replace(/_([a-z])/g, (_, letter) => letter.toUpperCase())
    : "";
  const known = Object.keys(updateRules).join(", ");
  checkType(isKnown(name), option, `be one of ${known}, or a function`, value);
  return knownRule(name);
}

function isKnown(name: string): name is UpdateRuleName {
  return Object.hasOwn(updateRules, name);
}

/** One of our rules: a step that passed its checks does not throw. */
function knownRule(name: UpdateRuleName): SolverRule {
  const prepare = prepareStep[name];
  return {
    name,
    keepsGradients: false,
    update(params, grads, configs) {
      const steps = Object.keys(params).map((key) =>
        prepare(params[key], grads[key], configs[key])
      );
      for (const step of steps) step();
      return { params, configs };
    },
    check(params, configs, name) {
      for (const [key, w] of Object.entries(params)) {
        prepare(w, w, configs[key], `${name}.${key}`);
      }
    },
  };
}

/** A rule of the user's own: it may throw when it has written already, so there is a copy. */
function ownRule(name: string, rule: UpdateRule): SolverRule {
  let copies = new Map<FloatArray, FloatArray>();

  /** Keeps the numbers that the rule may write to, in copies that are made once. */
  function keep(params: Readonly<Record<string, Tensor>>, configs: Configs): () => void {
    const kept = new Map<FloatArray, FloatArray>();
    const configsBefore = Object.values(configs).map((config) => [config, { ...config }] as const);
    const parts = [params, ...Object.values(configs)].flatMap((part) => Object.values(part));
    for (const data of parts.map(numbersOf)) {
      if (data === undefined) continue;
      const copy = copies.get(data) ?? data.slice();
      copy.set(data);
      kept.set(data, copy);
    }
    copies = kept;
    return () => {
      for (const [data, copy] of kept) data.set(copy);
      for (const [config, before] of configsBefore) {
        for (const key of Object.keys(config)) delete config[key as keyof OptimConfig];
        Object.assign(config, before);
      }
    };
  }

  return {
    name,
    keepsGradients: true,
    update<A extends FloatArray>(
      params: Readonly<Tensors<A>>,
      grads: Readonly<Tensors<A>>,
      configs: Configs,
    ) {
      const restore = keep(params, configs);
      try {
        const updated: Updated<A> = { params: {}, configs: {} };
        for (const key of Object.keys(params)) {
          const { nextW, config } = rule(params[key], grads[key], configs[key], key);
          updated.params[key] = nextW;
          updated.configs[key] = config;
          checkConfig(`The config that updateRule gives for ${key}`, config);
        }
        checkTensorsLike("nextW", updated.params, params, "the parameter");
        return updated;
      } catch (error) {
        restore();
        throw error;
      }
    },
    check(_, configs, name) {
      for (const [key, config] of Object.entries(configs)) checkConfig(`${name}.${key}`, config);
    },
  };
}

/** Checks that a value can be a rule's config. */
export function checkConfig(name: string, value: unknown): asserts value is OptimConfig {
  checkType(isObject(value) && !Array.isArray(value), name, "be an object", value);
}

/** The values of a tensor, or of an array of numbers. */
function numbersOf(value: unknown): FloatArray | undefined {
  const data = isObject(value) && "data" in value ? value.data : value;
  return isFloatArray(data) ? data : undefined;
}
