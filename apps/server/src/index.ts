export { serverErrors } from "./errors.ts";
export { type GivenSettings } from "./config/load-config.ts";
export {
  type SettingKey,
  type SettingRow,
  SETTINGS,
  type SettingValue,
} from "./config/settings-table.ts";
export {
  type Farewell,
  type RunningServer,
  type ServerOptions,
  startServer,
  VERSION,
} from "./server.ts";
export type * from "./vms/vm-host.ts";
