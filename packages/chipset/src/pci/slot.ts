import type { AccessSize, InterruptLine, MsiSink, Snapshottable } from "@queztl/memory";
import { chipsetError } from "../errors.ts";
import { bytes, flag, optional, record, stateLayout, u32 } from "../state.ts";
import { BaseAddressRegisters } from "./bars.ts";
import type { BarBuses, BarRange } from "./bars.ts";
import { CONFIG_BYTES, Command, ConfigSpace, Header, Status } from "./config-space.ts";
import type { PciFunctionDescription, PciInterrupts } from "./function.ts";
import { Msi } from "./msi.ts";
import { MsiX } from "./msix.ts";

/** The saved config space and interrupt state of one function. */
export interface PciSlotState {
  readonly version: 1;
  readonly config: Uint8Array;
  readonly interrupt: boolean;
  readonly msiPending: number;
  readonly msix: { readonly table: Uint8Array; readonly pending: Uint8Array } | undefined;
}

/** What a function is plugged into. */
export interface PciSlotOptions extends BarBuses {
  readonly device: number;
  readonly function: number;
  /** The wire of the function's INTx pin. */
  readonly interrupt: InterruptLine;
  /** What firmware would put in the interrupt line register. */
  readonly interruptLine: number;
  readonly msi: MsiSink;
  readonly place: (bar: BarRange) => number;
}

/** A plugged PCI function: its config space, BARs and interrupts. */
export class PciSlot implements Snapshottable<PciSlotState> {
  readonly name: string;
  readonly device: number;
  readonly function: number;
  readonly #description: PciFunctionDescription;
  readonly #options: PciSlotOptions;
  readonly #config: ConfigSpace;
  readonly #bars: BaseAddressRegisters;
  readonly #msix: MsiX | undefined;
  readonly #msi: Msi | undefined;
  readonly #fresh: Uint8Array;
  #interrupt = false;
  #plugged = true;

  /** @throws QZ_CHIPSET_PCI_LAYOUT for a description that does not fit a config space. */
  constructor(description: PciFunctionDescription, options: PciSlotOptions) {
    const { name, bars, capabilities, msixVectors, msiVectors = 0 } = description;
    this.name = name;
    this.device = options.device;
    this.function = options.function;
    this.#description = description;
    this.#options = options;
    const config = new ConfigSpace(description);
    this.#config = config;
    for (const capability of capabilities) config.addCapability(capability);
    if (msixVectors !== 0) {
      this.#msix = new MsiX(name, msixVectors, BaseAddressRegisters.free(bars));
      this.#msix.connect(config, config.addCapability(this.#msix.capability), options.msi);
    }
    if (msiVectors !== 0) {
      this.#msi = new Msi(name, msiVectors);
      this.#msi.connect(config, config.addCapability(this.#msi.capability), options.msi);
    }
    const all = this.#msix ? [...bars, this.#msix.bar] : bars;
    this.#bars = new BaseAddressRegisters(name, config, all, options);
    if (description.interruptPin !== 0) config.set(Header.InterruptLine, 1, options.interruptLine);
    this.#bars.assign(options.place);
    this.#fresh = config.save();
    description.connect(this.#interrupts());
  }

  /** The addresses its BARs say, mapped or not. */
  get ranges(): BarRange[] {
    return this.#bars.ranges();
  }

  /** Whether the guest lets the function access memory by itself. */
  get busMaster(): boolean {
    return (this.#config.get(Header.Command, 2) & Command.BusMaster) !== 0;
  }

  read(offset: number, size: AccessSize): number {
    return this.#config.read(offset, size);
  }

  write(offset: number, size: AccessSize, value: number): void {
    this.#config.write(offset, size, value);
    // A capability's handler may have unplugged the function.
    if (this.#plugged) this.#update();
  }

  /** Bus reset: config space as when plugged, then the function itself. */
  reset(): void {
    this.#config.restore(this.#fresh);
    this.#msix?.reset();
    if (this.#msi) this.#msi.pending = 0;
    this.#setInterrupt(false);
    this.#update();
    this.#description.reset?.();
  }

  /** Takes the function off the bus: its addresses are free, its interrupts lead nowhere. */
  unplug(): void {
    this.#plugged = false;
    this.#bars.release();
    this.#msix?.disconnect();
    this.#msi?.disconnect();
    this.#options.interrupt.set(false);
  }

  save(): PciSlotState {
    return {
      version: 1,
      config: this.#config.save(),
      interrupt: this.#interrupt,
      msiPending: this.#msi?.pending ?? 0,
      msix: this.#msix?.save(),
    };
  }

  /** Maps the BARs where they were and drives INTx; sends no message. */
  restore(state: PciSlotState): void {
    const chip = `PCI function ${this.name}`;
    const table = bytes(this.#msix?.tableBytes ?? 0);
    const pending = bytes(this.#msix?.pendingBytes ?? 0);
    const s = stateLayout(chip, 1, {
      config: bytes(CONFIG_BYTES),
      interrupt: flag,
      msiPending: u32,
      msix: optional(record({ table, pending })),
    }).check(state);
    const identity = this.#fresh.subarray(0, Header.Command);
    if (identity.some((byte, i) => byte !== s.config[i]))
      throw chipsetError("QZ_CHIPSET_STATE", { chip, reason: "it is of another device" });
    if ((s.msix === undefined) !== (this.#msix === undefined))
      throw chipsetError("QZ_CHIPSET_STATE", { chip, reason: "one of the two has no MSI-X" });
    this.#config.restore(s.config);
    if (s.msix) this.#msix?.restore(s.msix.table, s.msix.pending);
    if (this.#msi) this.#msi.pending = s.msiPending;
    this.#bars.update();
    this.#setInterrupt(s.interrupt);
  }

  #update(): void {
    this.#bars.update();
    this.#driveInterrupt();
    this.#msix?.update();
    this.#msi?.update();
  }

  #setInterrupt(asserted: boolean): void {
    this.#interrupt = asserted;
    const status = this.#config.get(Header.Status, 2);
    const others = status & ~Status.Interrupt;
    this.#config.set(Header.Status, 2, others | (asserted ? Status.Interrupt : 0));
    this.#driveInterrupt();
  }

  #driveInterrupt(): void {
    const disabled = this.#config.get(Header.Command, 2) & Command.InterruptDisable;
    const messages = this.#msix?.enabled === true || this.#msi?.enabled === true;
    this.#options.interrupt.set(this.#plugged && this.#interrupt && !disabled && !messages);
  }

  #interrupts(): PciInterrupts {
    // Arrow functions, so that the object can be handed on.
    const msix = this.#msix;
    const msi = this.#msi;
    return {
      get msixEnabled() {
        return msix?.enabled === true;
      },
      get msiEnabled() {
        return msi?.enabled === true;
      },
      notify: (vector) => {
        if (msix?.enabled) msix.notify(vector);
        else msi?.notify(vector);
      },
      line: { set: (asserted) => this.#setInterrupt(asserted) },
    };
  }
}
