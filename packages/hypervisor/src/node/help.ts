/** `queztl-vm --help`. */
export const GENERAL_HELP = `queztl-vm: runs virtual PCs

In this terminal:
  queztl-vm run --kernel FILE [options]   boot a kernel
  queztl-vm run --help                    all options, with examples
  queztl-vm --version

VMs in processes of their own, which outlive this one (COMMAND --help tells more):
`;

/** `queztl-vm run --help`. */
export const RUN_HELP = `Boots a kernel in a virtual PC. The guest's first serial port is this terminal.

Usage: queztl-vm run --kernel FILE [options]

What to boot:
  --kernel FILE        a bzImage (unpacked on the host), an ELF kernel (PVH or Linux), or a
                       multiboot 1 kernel, for x86; may be compressed (gzip, xz, lz4, zstd)
  --initrd FILE        the initial RAM disk; several times for the modules of a multiboot kernel
  --append STRING      the kernel's command line; default: console=ttyS0

The machine:
  --memory MIB         RAM in MiB, 1 to 15872 (above 3584 with Node.js 24); default
                       512
  --cpus N             processors, 1 to 64; default 1
  --disk FILE[,format=raw|qcow2][,overlay=FILE][,readonly]
                       a virtio disk (vda, vdb, ... in this order); raw unless said, never guessed;
                       with an overlay, what the guest writes goes there and FILE stays as it is
  --net none|user[,option]...|switch,listen=SOCKET|switch,connect=SOCKET
                       a virtio network card; several times for several (eth0, eth1, ...)
                       user: a network of its own: DHCP, DNS, and TCP and UDP to public addresses
                         hostfwd=tcp|udp:HOSTPORT:GUESTPORT leads a port of 127.0.0.1 to the guest
                         allow=RULE, deny=RULE open and close addresses: 10.1.2.0/24, 127.0.0.1:8080
                       switch: joins machines through a Unix socket; one listens, others connect
                       mac=MAC sets the card's address
  --console stdio|FILE|none
                       a virtio console (hvc0); default none; with stdio the serial port goes nowhere
  --balloon            free memory of the guest goes back to this computer (Linux, with koffi)
  --debug-exit         add a port at 0xf4 whose written value ends the run with (value << 1) | 1
  --engine emulator|kvm|auto
                       what runs the guest's code; default auto
  --tier 0|auto        the emulator: interpret everything, or translate hot code to WebAssembly;
                       the guest sees no difference; default auto

The run:
  --serial stdio|FILE|none
                       where the serial port leads; default stdio
  --seed N             a run that repeats: time passes by executed instructions
  --timeout SECONDS    end the run after that time
  --stats FILE.json    write instructions, exits by cause and times when the run ends

Keys, when standard input is a terminal:
  Ctrl-A x             end the run
  Ctrl-A h             show these keys
  Ctrl-A Ctrl-A        send Ctrl-A to the guest (Ctrl-A a does the same)

Exit status:
  0    the guest turned itself off, or Ctrl-A x
  1    the run could not be finished: the monitor failed
  2    the arguments or files do not do; nothing was started
  3    triple fault
  124  timeout
  130, 143   interrupted (SIGINT), terminated (SIGTERM)
  (value << 1) | 1     the guest wrote value to the debug-exit port

Examples:
  queztl-vm run --kernel vmlinuz --initrd initrd.img
  queztl-vm run --kernel vmlinux --initrd initramfs.cpio --cpus 2 --memory 1024 \\
    --disk root.img --net user,hostfwd=tcp:2222:22 --append "console=ttyS0 root=/dev/vda"
  queztl-vm run --kernel test.elf --debug-exit --serial none --timeout 10; echo $?
`;
