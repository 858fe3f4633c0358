// What tslab overlooks in the text of a cell.

/**
 * `code` with every shorthand property written out: tslab finds the variables of earlier cells by their symbols, and in
 * `{ name }` the symbol is the property's; in `{ name: name }` it is found. Lines stay where they are.
 */
function expandShorthand(ts, code) {
  const names = [];
  visitNodes(ts, code, (node) => {
    if (ts.isShorthandPropertyAssignment(node)) names.push(node.name);
    return true;
  });
  return names.reduceRight((text, name) => `${text.slice(0, name.end)}: ${name.text}${text.slice(name.end)}`, code);
}

/** Whether `code` has a `for await` outside of functions: it makes the cell asynchronous as an `await` does. */
function loopsWithAwait(ts, code) {
  let found = false;
  visitNodes(ts, code, (node) => {
    found ||= ts.isForOfStatement(node) && node.awaitModifier !== undefined;
    return !ts.isFunctionLike(node) && !ts.isClassStaticBlockDeclaration(node);
  });
  return found;
}

/** Calls `visit` for every node from the outside in; what is below one is left out where it returns false. */
function visitNodes(ts, code, visit) {
  const walk = (node) => {
    if (visit(node)) ts.forEachChild(node, walk);
  };
  walk(ts.createSourceFile('cell.ts', code, ts.ScriptTarget.Latest));
}

module.exports = { expandShorthand, loopsWithAwait };
