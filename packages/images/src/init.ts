/** The first line the guest's init prints, on the console. */
export const INIT_LINE = "queztl: init";

/** The line the guest prints when its shell is about to start: modules are loaded, the network asked for. */
export const READY_LINE = "queztl: ready";

/**
 * Process 1 until the machine is set up; busybox's init takes over, because it reaps orphans and turns
 * poweroff and reboot into what they say.
 */
const INIT = `#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
echo "${INIT_LINE}"
/bin/busybox --install -s && rm -f /linuxrc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts -o mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o mode=1777 tmpfs /tmp
ln -sf /proc/self/fd /dev/fd
hostname -F /etc/hostname
ip link set lo up

# Loads the drivers of the devices that are there. A new bus brings new devices: three rounds reach
# from PCI or ACPI over virtio to input.
for round in 1 2 3; do
  aliases=$(cat /sys/bus/pci/devices/*/modalias /sys/bus/acpi/devices/*/modalias \\
    /sys/bus/platform/devices/*/modalias /sys/bus/virtio/devices/*/modalias \\
    /sys/class/input/input*/modalias 2>/dev/null | sort -u)
  [ "$aliases" = "$known" ] && break
  known=$aliases
  modprobe -abq $aliases 2>/dev/null
done

for nic in /sys/class/net/*; do
  nic=\${nic##*/}
  [ "$nic" = lo ] && continue
  ip link set "$nic" up
  # Goes on asking in the background when nobody answers the first three times.
  udhcpc -i "$nic" -b -t 3 -T 1 -S -x hostname:"$(hostname)" >/dev/null 2>&1
done

# The power button.
[ -e /dev/input/event0 ] && acpid -l /dev/null

echo "${READY_LINE}"
exec /sbin/init
`;

/** The shell gets a controlling terminal, so that Ctrl-C and jobs work; the machine goes off with it. */
const CONSOLE = `#!/bin/sh
cd /root
export HOME=/root PS1='\\u@\\h:\\w\\$ '
setsid cttyhack sh -l
poweroff
`;

const DHCP = `#!/bin/sh
case $1 in
  deconfig)
    ip addr flush dev "$interface"
    ip link set "$interface" up
    ;;
  bound | renew)
    ip addr replace "$ip/\${mask:-24}" dev "$interface"
    [ -n "$router" ] && ip route replace default via "\${router%% *}" dev "$interface"
    : >/etc/resolv.conf
    [ -n "$domain" ] && echo "search $domain" >>/etc/resolv.conf
    for server in $dns; do echo "nameserver $server" >>/etc/resolv.conf; done
    ;;
esac
`;

/** A file of the guest that is the same in every image. */
export interface GuestFile {
  readonly path: string;
  readonly mode: number;
  readonly data: string;
}

/** The scripts and settings of the guest. */
export const GUEST_FILES: readonly GuestFile[] = [
  { path: "init", mode: 0o755, data: INIT },
  { path: "etc/console", mode: 0o755, data: CONSOLE },
  {
    path: "etc/inittab",
    mode: 0o644,
    data: "::once:/etc/console\n::ctrlaltdel:/sbin/reboot\n::shutdown:/bin/umount -a -r 2>/dev/null\n",
  },
  { path: "etc/acpi/PWRF/00000080", mode: 0o755, data: "#!/bin/sh\npoweroff\n" },
  { path: "etc/udhcpc/default.script", mode: 0o755, data: DHCP },
  { path: "etc/hostname", mode: 0o644, data: "queztl\n" },
  { path: "etc/hosts", mode: 0o644, data: "127.0.0.1 localhost queztl\n::1 localhost\n" },
  { path: "etc/resolv.conf", mode: 0o644, data: "" },
  { path: "etc/passwd", mode: 0o644, data: "root:x:0:0:root:/root:/bin/sh\n" },
  { path: "etc/group", mode: 0o644, data: "root:x:0:\ntty:x:5:\n" },
];
