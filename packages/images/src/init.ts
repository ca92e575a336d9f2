/** The first line the guest's init prints, on the console. */
export const INIT_LINE = "queztl: init";

/** The line the guest prints when its shell is about to start: modules are loaded, the network asked for. */
export const READY_LINE = "queztl: ready";

/**
 * Process 1 until the root is there: the initramfs itself, or the disk that the kernel's command line names
 * with root=. What of Queztl the guest needs lies in /run/queztl either way, so that a disk can hold any
 * userland, even one without a shell.
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
ln -sf /proc/self/fd /dev/fd

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

mode=rw
for word in $(cat /proc/cmdline); do
  case $word in
    root=*) root=\${word#root=} ;;
    rootfstype=*) type=\${word#rootfstype=} ;;
    ro | rw) mode=$word ;;
  esac
done
if [ -z "$root" ]; then
  mount -t tmpfs -o mode=1777 tmpfs /tmp
  ln -s /queztl /run/queztl
  exec /run/queztl/start
fi

# Some disks take a moment to appear.
for try in $(seq 100); do
  [ -b "$root" ] && break
  usleep 50000
done
modprobe -q "\${type:-ext4}"
mkdir -p /newroot
if ! mount -t "\${type:-ext4}" -o "$mode" "$root" /newroot; then
  echo "queztl: the root $root cannot be mounted"
  poweroff -f
fi
# The initramfs goes with the switch, its memory is freed.
rm -r /queztl/bin /queztl/busybox
cp -a /queztl /run/queztl
cp /bin/busybox /run/queztl/busybox
mkdir /run/queztl/bin
cp -a /lib/modules /run/queztl/modules
for path in dev proc run sys; do mount -o move "/$path" "/newroot/$path"; done
exec switch_root /newroot /run/queztl/start
`;

/**
 * Process 1 in the final root. Busybox's init takes over from it, because it reaps orphans and turns
 * poweroff and reboot into what they say.
 */
const START = `#!/run/queztl/busybox sh
if [ ! -e /run/queztl/bin/sh ]; then
  /run/queztl/busybox --install -s /run/queztl/bin
  # As container runtimes do: a disk need not have what we need of it.
  export PATH=/run/queztl/bin
  mount -o bind /run/queztl/inittab /etc/inittab
  [ -d "/lib/modules/$(uname -r)" ] || mount -o bind /run/queztl/modules /lib/modules
  echo /run/queztl/bin/modprobe >/proc/sys/kernel/modprobe
fi
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/run/queztl/bin
name=$(cat /etc/hostname 2>/dev/null)
hostname "\${name:-queztl}"

# The host orders its disks' requests: a second scheduler has each one wait for a thread of the kernel.
for scheduler in /sys/block/vd*/queue/scheduler; do
  [ -e "$scheduler" ] && echo none >"$scheduler"
done

ip=/run/queztl/bin/ip
$ip link set lo up
for nic in /sys/class/net/*; do
  nic=\${nic##*/}
  [ "$nic" = lo ] && continue
  $ip link set "$nic" up
  # Goes on asking in the background when nobody answers the first three times.
  udhcpc -i "$nic" -s /run/queztl/dhcp -b -t 3 -T 1 -S -x hostname:"$(hostname)" >/dev/null 2>&1
done

# The power button.
[ -e /dev/input/event0 ] && acpid -l /dev/null -c /run/queztl/acpi

# What else an image wants to have running before it is ready.
for script in /run/queztl/start.d/*; do [ -x "$script" ] && "$script"; done

echo "${READY_LINE}"
exec /run/queztl/bin/init
`;

/** The shell gets a controlling terminal, so that Ctrl-C and jobs work; the machine goes off with it. */
const CONSOLE = `#!/run/queztl/busybox sh
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/run/queztl/bin
[ -d /root ] && cd /root
export HOME=/root PS1='\\u@\\h:\\w\\$ '
shell=/run/queztl/bin/sh
[ -x /bin/sh ] && shell=/bin/sh
[ -x /bin/bash ] && shell=/bin/bash
setsid cttyhack "$shell" -l
/run/queztl/bin/poweroff
`;

const DHCP = `#!/run/queztl/busybox sh
# The address comes as $ip.
set_ip=/run/queztl/bin/ip
case $1 in
  deconfig)
    $set_ip addr flush dev "$interface"
    $set_ip link set "$interface" up
    ;;
  bound | renew)
    $set_ip addr replace "$ip/\${mask:-24}" dev "$interface"
    [ -n "$router" ] && $set_ip route replace default via "\${router%% *}" dev "$interface"
    : >/etc/resolv.conf
    [ -n "$domain" ] && echo "search $domain" >>/etc/resolv.conf
    for server in $dns; do echo "nameserver $server" >>/etc/resolv.conf; done
    ;;
esac
`;

const INITTAB = `::once:/run/queztl/console
::ctrlaltdel:/run/queztl/bin/reboot
::shutdown:/run/queztl/shutdown
`;

/** A script, because busybox's init hands a line with a redirection to /bin/sh, which a disk need not have. */
const SHUTDOWN = `#!/run/queztl/busybox sh
/run/queztl/bin/umount -a -r 2>/dev/null
`;

/** A file of the guest that is the same in every image. */
export interface GuestFile {
  readonly path: string;
  readonly mode: number;
  readonly data: string;
}

/** The scripts and settings of the guest. Further executables go into queztl/start.d. */
export const GUEST_FILES: readonly GuestFile[] = [
  { path: "init", mode: 0o755, data: INIT },
  { path: "queztl/start", mode: 0o755, data: START },
  { path: "queztl/console", mode: 0o755, data: CONSOLE },
  { path: "queztl/dhcp", mode: 0o755, data: DHCP },
  { path: "queztl/inittab", mode: 0o644, data: INITTAB },
  { path: "queztl/shutdown", mode: 0o755, data: SHUTDOWN },
  {
    path: "queztl/acpi/PWRF/00000080",
    mode: 0o755,
    data: "#!/run/queztl/busybox sh\n/run/queztl/bin/poweroff\n",
  },
  { path: "etc/inittab", mode: 0o644, data: INITTAB },
  { path: "etc/hostname", mode: 0o644, data: "queztl\n" },
  { path: "etc/hosts", mode: 0o644, data: "127.0.0.1 localhost queztl\n::1 localhost\n" },
  { path: "etc/resolv.conf", mode: 0o644, data: "" },
  { path: "etc/passwd", mode: 0o644, data: "root:x:0:0:root:/root:/bin/sh\n" },
  { path: "etc/group", mode: 0o644, data: "root:x:0:\ntty:x:5:\n" },
];
