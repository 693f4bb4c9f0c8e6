// Has Microsoft's own parser and binder of KQL read queries: {tables: {name: {column: type}}, queries: [text]} on stdin,
// [{refused: [message], columns: [[name, type]]}] on stdout, in the order of the queries.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
require("@kusto/language-service-next/bridge.min.js"); // the second fills what the first declares
require("@kusto/language-service-next/Kusto.Language.Bridge.min.js");

const { GlobalState, KustoCode, Symbols } = globalThis.Kusto.Language;
const list = (found) => (found ? globalThis.Bridge.toArray(found) : []);

const { tables, queries } = JSON.parse(readFileSync(0, "utf8"));
const column = ([name, type]) => new Symbols.ColumnSymbol(name, Symbols.ScalarTypes.GetSymbol(type));
// Constructors are overloaded by number, and a wrong one declares nothing without a word: the caller asks for the tables.
const declared = Object.entries(tables).map(
  ([name, columns]) => new Symbols.TableSymbol.$ctor4(name, Object.entries(columns).map(column)),
);
const globals = GlobalState.Default.WithDatabase(new Symbols.DatabaseSymbol.ctor("resource graph", declared));

const answers = queries.map((query) => {
  const code = KustoCode.ParseAndAnalyze(query, globals);
  return {
    refused: list(code.GetDiagnostics()).map((entry) => `${entry.Start}: ${entry.Message}`),
    columns: list(code.ResultType?.Columns).map((entry) => [entry.Name, entry.Type.Name]),
  };
});
process.stdout.write(JSON.stringify(answers));
