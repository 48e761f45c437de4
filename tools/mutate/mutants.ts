/**
 * Faults to plant: every small change of a source file that a test should notice.
 *
 * @module
 */

import { Node, Project, type SourceFile, SyntaxKind, ts } from "ts-morph";

/** What kind of change a mutant is. */
export type Operator = "operator" | "constant" | "condition" | "negation" | "statement";

/** One change of one file. */
export interface Mutant {
  /** The file, from the root. */
  readonly file: string;
  readonly operator: Operator;
  /** Where the text that is replaced begins and ends. */
  readonly start: number;
  readonly end: number;
  /** What stands there, and what takes its place. */
  readonly from: string;
  readonly to: string;
  /** The line that it begins on, from 1, and that line without its indentation. */
  readonly line: number;
  readonly snippet: string;
  /** The same as long as the line is, wherever it moves within its file. */
  readonly id: string;
}

/** Operators that take each other's place. */
const SWAPS: ReadonlyMap<string, string> = new Map([
  ["+", "-"],
  ["-", "+"],
  ["*", "/"],
  ["/", "*"],
  ["%", "*"],
  ["**", "*"],
  ["<", "<="],
  ["<=", "<"],
  [">", ">="],
  [">=", ">"],
  ["===", "!=="],
  ["!==", "==="],
  ["&&", "||"],
  ["||", "&&"],
  ["??", "&&"],
  ["&", "|"],
  ["|", "&"],
  ["^", "&"],
  ["<<", ">>"],
  [">>", "<<"],
  [">>>", "<<"],
  ["+=", "-="],
  ["-=", "+="],
  ["*=", "/="],
  ["/=", "*="],
  ["|=", "&="],
  ["&=", "|="],
  ["^=", "|="],
  ["??=", "="],
  ["++", "--"],
  ["--", "++"],
]);

const isText = (node: Node) =>
  Node.isStringLiteral(node) || Node.isTemplateExpression(node) ||
  Node.isNoSubstitutionTemplateLiteral(node);

/** A change as the node's visitor finds it. */
type Change = readonly [operator: Operator, start: number, end: number, to: string];

/** The changes of one node, without those of the nodes in it. */
function* changesOf(node: Node): Generator<Change> {
  const whole = (operator: Operator, to: string): Change => //
  [operator, node.getStart(), node.getEnd(), to];

  if (Node.isBinaryExpression(node)) {
    const token = node.getOperatorToken();
    const to = SWAPS.get(token.getText());
    const joinsText = isText(node.getLeft()) || isText(node.getRight());
    if (to !== undefined && !joinsText) {
      yield ["operator", token.getStart(), token.getEnd(), to];
    }
  } else if (Node.isPrefixUnaryExpression(node) || Node.isPostfixUnaryExpression(node)) {
    const operand = node.getOperand(), token = ts.tokenToString(node.getOperatorToken())!;
    const to = SWAPS.get(token);
    if (token === "!") yield whole("negation", operand.getText());
    else if (token === "-" && !Node.isNumericLiteral(operand)) {
      yield whole("negation", operand.getText());
    } else if (token === "++" || token === "--") {
      yield whole(
        "operator",
        Node.isPrefixUnaryExpression(node)
          ? `${to}${operand.getText()}`
          : `${operand.getText()}${to}`,
      );
    }
  } else if (Node.isNumericLiteral(node)) {
    yield whole("constant", node.getLiteralValue() === 0 ? "1" : `(${node.getText()} + 1)`);
  } else if (Node.isTrueLiteral(node) || Node.isFalseLiteral(node)) {
    yield whole("constant", Node.isTrueLiteral(node) ? "false" : "true");
  } else if (Node.isExpressionStatement(node) || Node.isThrowStatement(node)) {
    yield whole("statement", ";");
  } else if (Node.isContinueStatement(node) || Node.isBreakStatement(node)) {
    if (node.getFirstAncestorByKind(SyntaxKind.SwitchStatement) === undefined) {
      yield whole("statement", ";");
    }
  } else if (Node.isReturnStatement(node)) {
    // The last statement's return of a value is what its callers are made for.
    if (node.getExpression() === undefined) yield whole("statement", ";");
  }

  for (const [condition, values] of conditionsOf(node)) {
    if (Node.isTrueLiteral(condition) || Node.isFalseLiteral(condition)) continue;
    for (const value of values) {
      yield ["condition", condition.getStart(), condition.getEnd(), value];
    }
  }
}

/** The conditions that a node decides by, and what may take their place. */
function conditionsOf(node: Node): [Node, readonly string[]][] {
  const both = ["true", "false"];
  if (Node.isIfStatement(node)) return [[node.getExpression(), both]];
  if (Node.isConditionalExpression(node)) return [[node.getCondition(), both]];
  // A loop without an end would be noticed by any test.
  if (Node.isWhileStatement(node)) return [[node.getExpression(), ["false"]]];
  const condition = Node.isForStatement(node) ? node.getCondition() : undefined;
  return condition === undefined ? [] : [[condition, ["false"]]];
}

/** What is not code that runs, or is a message for people. */
function isSkipped(node: Node): boolean {
  return Node.isImportDeclaration(node) || Node.isExportDeclaration(node) ||
    Node.isTypeNode(node) || Node.isTypeAliasDeclaration(node) ||
    Node.isInterfaceDeclaration(node) || Node.isTypeParameterDeclaration(node);
}

function* walk(node: Node): Generator<Change> {
  if (isSkipped(node)) return;
  yield* changesOf(node);
  if (Node.isThrowStatement(node)) return;
  // A loop that counts backwards has no end: it would be noticed by any test, after a long time.
  const step = Node.isForStatement(node) ? node.getIncrementor() : undefined;
  for (const child of node.forEachChildAsArray()) if (child !== step) yield* walk(child);
}

const project = new Project({ useInMemoryFileSystem: true, skipLoadingLibFiles: true });

function parse(path: string, text: string): SourceFile {
  return project.createSourceFile(path, text, { overwrite: true });
}

/**
 * Every mutant of a file.
 *
 * @param file The file, from the root.
 * @param text What it holds.
 * @returns The mutants, in the order of the text; those that do not parse are left out.
 */
export function mutantsOf(file: string, text: string): Mutant[] {
  const source = parse("original.ts", text);
  const lines = text.split("\n");
  const mutants: Mutant[] = [];
  const seen = new Map<string, number>();
  for (const [operator, start, end, to] of walk(source)) {
    const from = text.slice(start, end);
    const { line } = source.getLineAndColumnAtPos(start);
    const snippet = lines[line - 1].trim();
    // Changes that read alike on lines that read alike are numbered.
    const key = `${file}|${snippet}|${from}|${to}`;
    const count = seen.get(key) ?? 0;
    seen.set(key, count + 1);
    const id = `${key}|${count}`;
    mutants.push({ file, operator, start, end, from, to, line, snippet, id });
  }
  return mutants;
}

/** The text of a file with a mutant in it. */
export function mutate(text: string, { start, end, to }: Mutant): string {
  return text.slice(0, start) + to + text.slice(end);
}

/** Whether a text is TypeScript at all. */
export function parses(text: string): boolean {
  const { diagnostics } = ts.transpileModule(text, {
    reportDiagnostics: true,
    compilerOptions: { target: ts.ScriptTarget.ESNext, module: ts.ModuleKind.ESNext },
  });
  return (diagnostics ?? []).length === 0;
}

/** A whole number below 2^32 that a text and a seed decide. */
export function hash(text: string, seed: number): number {
  let h = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) >>> 0;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193) >>> 0;
  h = Math.imul(h ^ (h >>> 16), 0x7feb352d) >>> 0;
  h = Math.imul(h ^ (h >>> 15), 0x846ca68b) >>> 0;
  return (h ^ (h >>> 16)) >>> 0;
}

/**
 * Draws mutants evenly over files: one of each file in turn, as long as it has any. Which ones depends
 * on the seed and on the lines themselves, so that a change elsewhere leaves the draw as it is.
 *
 * @param mutants All mutants.
 * @param count How many to draw.
 * @param seed The seed.
 * @returns The drawn mutants; all of them if there are no more.
 */
export function draw(mutants: readonly Mutant[], count: number, seed: number): Mutant[] {
  const byFile = Map.groupBy(mutants, ({ file }) => file);
  const order = <T>(values: Iterable<T>, text: (value: T) => string) =>
    [...values].sort((a, b) => hash(text(a), seed) - hash(text(b), seed));
  const files = order(byFile.keys(), (file) => file);
  const queues = files.map((file) => order(byFile.get(file)!, ({ id }) => id));
  const drawn: Mutant[] = [];
  for (let turn = 0; drawn.length < count; turn++) {
    const round = queues.filter((queue) => turn < queue.length).map((queue) => queue[turn]);
    if (round.length === 0) break;
    drawn.push(...round.slice(0, count - drawn.length));
  }
  return drawn;
}
