import type { Bus, BusHandler, Claim, Clock, MsiSink, Snapshottable } from "@queztl/memory";
import { AcpiPm } from "./acpi-pm.ts";
import type { AcpiPmState } from "./acpi-pm.ts";
import { debugConsole, debugExit, panicDevice } from "./debug-ports.ts";
import type { PanicEvent } from "./debug-ports.ts";
import { KeyboardController } from "./i8042.ts";
import type { KeyboardControllerState } from "./i8042.ts";
import { InterruptLines } from "./interrupt-lines.ts";
import { createMsiSink } from "./interrupt-message.ts";
import type { InterruptMessageSink } from "./interrupt-message.ts";
import { IoApic } from "./io-apic.ts";
import type { IoApicState } from "./io-apic.ts";
import { pcPlatform } from "./pc-platform.ts";
import { PciHost } from "./pci/host.ts";
import type { PciHostState } from "./pci/host.ts";
import { Pic } from "./pic-8259.ts";
import type { PicState } from "./pic-8259.ts";
import { Pit8254 } from "./pit-8254.ts";
import type { PitState } from "./pit-8254.ts";
import { ResetControl } from "./reset-control.ts";
import { Rtc } from "./rtc.ts";
import type { RtcState } from "./rtc.ts";
import { list, record, stateLayout } from "./state.ts";
import { SystemControl } from "./system-control.ts";
import type { SystemControlState } from "./system-control.ts";
import { Uart16550 } from "./uart-16550.ts";
import type { UartState } from "./uart-16550.ts";

/** One serial port's other side; see `UartOptions`. */
export interface SerialPort {
  readonly output: (bytes: Uint8Array) => boolean | void;
  readonly onInputRoom?: () => void;
}

/** What the board is built into. */
export interface PcOptions {
  readonly ports: Bus;
  readonly mmio: Bus;
  readonly clock: Clock;
  /** Guest RAM in bytes. */
  readonly ramBytes: number;
  /** The local APICs: messages of the IOAPIC and of MSI writes. */
  readonly interrupts: InterruptMessageSink;
  /** The PIC's INTR pin, which goes to the boot processor's LINT0; answered by `pc.pic.acknowledge()`. */
  readonly onInterruptRequest: (asserted: boolean) => void;
  /** The serial ports, ttyS0 first; at most two. */
  readonly serial?: readonly SerialPort[];
  /** The guest asks for a reset, by any of the four ways a PC has. */
  readonly onReset: () => void;
  /** The guest entered S5. */
  readonly onPowerOff: () => void;
  /** A guest that wrote to the debug-exit port; without it there is no such port. */
  readonly onExit?: (status: number) => void;
  /** Bytes written to the debug console at port 0xE9; without it there is no such port. */
  readonly onDebugOutput?: (bytes: Uint8Array) => void;
  /** Adds a `pvpanic` device. */
  readonly onPanic?: (event: PanicEvent) => void;
}

/** The saved state of the whole board, with the config spaces of PCI functions; the functions save what else they have. */
export interface PcState {
  readonly version: 1;
  readonly pit: PitState;
  readonly systemControl: SystemControlState;
  readonly rtc: RtcState;
  readonly pm: AcpiPmState;
  readonly keyboard: KeyboardControllerState;
  readonly uarts: readonly UartState[];
  readonly pci: PciHostState;
  readonly pic: PicState;
  readonly ioApic: IoApicState;
}

const VERSION = 1;

/**
 * The standard board, wired to the addresses and interrupts of `pcPlatform`.
 *
 * To restore a machine: devices and PCI functions first, then the board, then the processors with their
 * local APICs; what restored devices drive in between is overwritten by the controllers' own states.
 */
export class Pc implements Snapshottable<PcState> {
  readonly platform = pcPlatform;
  readonly pic: Pic;
  readonly ioApic: IoApic;
  /** For boards' own devices: drivers of ISA interrupts. */
  readonly lines: InterruptLines;
  /** Where MSI writes go. */
  readonly msi: MsiSink;
  readonly pit: Pit8254;
  readonly systemControl: SystemControl;
  readonly rtc: Rtc;
  readonly pm: AcpiPm;
  readonly keyboard: KeyboardController;
  readonly uarts: readonly Uart16550[];
  readonly pci: PciHost;
  readonly #claims: Claim[] = [];

  /** @throws QZ_MEMORY_OVERLAP when something else has one of the board's addresses. */
  constructor(options: PcOptions) {
    const { ports, mmio, clock, onReset, onPowerOff } = options;
    const p = pcPlatform;
    this.pic = new Pic(options);
    this.ioApic = new IoApic(options.interrupts);
    this.lines = new InterruptLines(this.ioApic, this.pic);
    this.msi = createMsiSink(options.interrupts);
    this.pit = new Pit8254({ clock, interrupt: this.lines.isa(p.pit.irq) });
    this.systemControl = new SystemControl({ clock, pit: this.pit, onReset });
    this.rtc = new Rtc({
      clock,
      interrupt: this.lines.isa(p.rtc.irq),
      ramBytes: options.ramBytes,
    });
    this.pm = new AcpiPm({ clock, interrupt: this.lines.isa(p.acpi.sciIrq), onPowerOff });
    this.keyboard = new KeyboardController(onReset);
    this.uarts = (options.serial ?? []).slice(0, p.uarts.length).map((serial, i) => {
      const interrupt = this.lines.isa((p.uarts[i] as { irq: number }).irq);
      return new Uart16550({ clock, interrupt, ...serial });
    });
    const { lines, msi } = this;
    const resetPort = new ResetControl(onReset).port;
    this.pci = new PciHost({ ports, mmio, lines, msi, resetPort });

    const port = (base: number, length: number, name: string, handler: BusHandler) =>
      this.#claims.push(ports.claim(base, length, name, handler));
    port(p.pic.master, p.pic.length, "master PIC", this.pic.masterPorts);
    port(p.pic.slave, p.pic.length, "slave PIC", this.pic.slavePorts);
    port(p.pic.edgeLevel, p.pic.length, "edge/level control", this.pic.edgeLevelPorts);
    port(p.pit.port, 4, "PIT", this.pit.ports);
    port(p.systemControl.portA, 1, "system control A", this.systemControl.portA);
    port(p.systemControl.portB, 1, "system control B", this.systemControl.portB);
    port(p.rtc.port, 2, "RTC", this.rtc.ports);
    port(p.keyboard.dataPort, 1, "keyboard data", this.keyboard.dataPort);
    port(p.keyboard.commandPort, 1, "keyboard command", this.keyboard.commandPort);
    port(p.acpi.pm1EventPort, p.acpi.pm1EventLength, "PM1a event", this.pm.eventPorts);
    port(p.acpi.pm1ControlPort, p.acpi.pm1ControlLength, "PM1a control", this.pm.controlPorts);
    port(p.acpi.pmTimerPort, p.acpi.pmTimerLength, "PM timer", this.pm.timerPorts);
    this.uarts.forEach((uart, i) =>
      port((p.uarts[i] as { port: number }).port, 8, `ttyS${i}`, uart.ports),
    );
    const { onExit, onDebugOutput, onPanic } = options;
    if (onExit) port(p.debugExit.port, p.debugExit.length, "debug exit", debugExit(onExit));
    if (onDebugOutput) port(p.debugConsole.port, 1, "debug console", debugConsole(onDebugOutput));
    if (onPanic) port(p.panic.port, 1, "pvpanic", panicDevice(onPanic));
    this.#claims.push(mmio.claim(p.ioApic.address, p.ioApic.length, "IOAPIC", this.ioApic.mmio));
  }

  /** Every chip as after a hardware reset; time, the RTC and CMOS RAM go on. */
  reset(): void {
    this.pit.reset();
    this.systemControl.reset();
    this.rtc.reset();
    this.pm.reset();
    this.keyboard.reset();
    for (const uart of this.uarts) uart.reset();
    this.pci.reset();
    this.pic.reset();
    this.ioApic.reset();
  }

  save(): PcState {
    return {
      version: VERSION,
      pit: this.pit.save(),
      systemControl: this.systemControl.save(),
      rtc: this.rtc.save(),
      pm: this.pm.save(),
      keyboard: this.keyboard.save(),
      uarts: this.uarts.map((uart) => uart.save()),
      pci: this.pci.save(),
      pic: this.pic.save(),
      ioApic: this.ioApic.save(),
    };
  }

  /** @throws QZ_CHIPSET_STATE, after which the board is to be thrown away: chips before the bad one are restored. */
  restore(state: PcState): void {
    const object = record({});
    const s = stateLayout("the board", VERSION, {
      pit: object,
      systemControl: object,
      rtc: object,
      pm: object,
      keyboard: object,
      uarts: list(object, this.uarts.length),
      pci: object,
      pic: object,
      ioApic: object,
    });
    s.check(state);
    this.pit.restore(state.pit);
    this.systemControl.restore(state.systemControl);
    this.rtc.restore(state.rtc);
    this.pm.restore(state.pm);
    this.keyboard.restore(state.keyboard);
    this.uarts.forEach((uart, i) => uart.restore(state.uarts[i] as UartState));
    this.pci.restore(state.pci);
    // Last: the chips above drove their lines.
    this.pic.restore(state.pic);
    this.ioApic.restore(state.ioApic);
  }

  /** Gives all claimed addresses back. */
  release(): void {
    this.pci.release();
    for (const claim of this.#claims.splice(0)) claim.release();
  }
}

/** Builds the standard board. @throws QZ_MEMORY_OVERLAP when one of its addresses is taken. */
export function createPc(options: PcOptions): Pc {
  return new Pc(options);
}
