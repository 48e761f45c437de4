/**
 * What codegen/ uses of ts-morph, for a page: ts-morph itself brings the TypeScript compiler, of 9 MB. The
 * bundle of the page has this module in its place; a test compares what both print.
 *
 * @module
 */

import CodeBlockWriter from "code-block-writer";
import type { FunctionDeclarationStructure, StatementStructures } from "ts-morph";

/** The kinds of structures that the generator makes. */
export const StructureKind = {
  Function: 13,
  ImportDeclaration: 16,
  SourceFile: 36,
} as const;

/** A file of statements. */
interface SourceFile {
  readonly kind: number;
  readonly statements: readonly (StatementStructures | string)[];
}

/** Prints a file as ts-morph does. */
export function printStructure(
  { statements }: SourceFile,
  options: { readonly indentNumberOfSpaces: number },
): string {
  const writer = new CodeBlockWriter({
    ...options,
    newLine: "\n",
    useTabs: false,
  });
  let previous: StatementStructures | string | undefined;
  for (const statement of statements) {
    if (previous !== undefined) {
      const isApart = isFunction(previous) || isFunction(statement);
      if (isApart) writer.blankLineIfLastNot();
      else writer.newLineIfLastNot();
    }
    print(writer, statement);
    previous = statement;
  }
  writer.newLineIfLastNot();
  return writer.toString();
}

function isFunction(statement: StatementStructures | string): boolean {
  return typeof statement !== "string" &&
    Number(statement.kind) === StructureKind.Function;
}

function print(
  writer: CodeBlockWriter,
  statement: StatementStructures | string,
): void {
  if (typeof statement === "string") {
    writer.write(statement);
  } else if (isFunction(statement)) {
    printFunction(writer, statement as FunctionDeclarationStructure);
  } else if ("moduleSpecifier" in statement && "namedImports" in statement) {
    const { isTypeOnly, namedImports, moduleSpecifier } = statement;
    const names = (namedImports as readonly string[]).join(", ");
    writer.write(
      `import ${isTypeOnly ? "type " : ""}{ ${names} } from "${moduleSpecifier}";`,
    );
  } else {throw new TypeError(
      `Cannot print a structure of kind ${statement.kind}`,
    );}
}

function printFunction(
  writer: CodeBlockWriter,
  { name, docs = [], parameters = [], returnType, statements }: FunctionDeclarationStructure,
): void {
  for (const doc of docs) writer.writeLine(`/** ${doc} */`);
  const list = parameters.map(({ name, type }) => `${name}: ${type}`).join(
    ", ",
  );
  writer.write(`function ${name}(${list}): ${returnType}`).space().inlineBlock(
    () => {
      (statements as (writer: CodeBlockWriter) => void)(writer);
    },
  );
}
