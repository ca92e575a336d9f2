import { environmentName, settingRows } from "./settings-table.ts";

const lines = [...settingRows].map(([key, row]) => {
  const preset = row.default === undefined || row.default === "" ? "" : ` (${row.default})`;
  return `  --${key} VALUE\n      ${row.description}${preset}. ${environmentName(key, row)}`;
});

/** What `queztl-server --help` prints. */
export const HELP = `Usage: queztl-server [--config FILE] [--token NAME] [--SETTING VALUE]…

Starts a Queztl server and stays until SIGINT or SIGTERM. VMs go on without it; the next server takes
them over. Settings come from flags, then the environment, then the file (JSON), then what was stored.

  --token NAME
      Make an administrator's token of that name, in place of the one before, and show it once
  --config FILE
      Settings as JSON; HOME/server.json where there is one. Unknown keys are refused
${lines.join("\n")}
  --help, --version`;
