// Starts `rnnc lsp` and leaves everything else to it.

const { workspace } = require("vscode");
const { LanguageClient } = require("vscode-languageclient/node");

let client;

function activate() {
  const [command, ...args] = workspace.getConfiguration("rnnc").get("command");
  const documentSelector = [
    { language: "rnn", scheme: "file" },
    { language: "rnn", scheme: "untitled" },
  ];
  client = new LanguageClient("rnnc", { command, args }, { documentSelector });
  return client.start();
}

function deactivate() {
  return client?.stop();
}

module.exports = { activate, deactivate };
