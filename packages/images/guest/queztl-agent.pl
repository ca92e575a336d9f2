#!/usr/bin/perl
# The Queztl guest agent: runs commands, moves files and sets the identity of a virtual machine for its host.
# It speaks version 1 of the agent protocol (docs/agent-protocol.md) over a virtio console port. All it needs is
# a perl interpreter with strict.pm and warnings.pm, on Linux x86-64: what Perl has no word for is a syscall.
#
#   queztl-agent --daemon   find the port, serve it in the background, restart when killed; returns when it is up
#   queztl-agent --stdio    serve standard input and output until they close
use strict;
use warnings;
no warnings 'exec';

my $VERSION = '1.1.0';
my $PROTOCOL = 1;
my $PORT_NAME = 'org.queztl.agent.0';

# --- The protocol's constants -------------------------------------------------------------------------------------

my $MARKER = "queztl agent v1\n" ^ ("\x80" x 16);
my ($REQUEST, $REPLY, $ENTRY, $CONTROL, $HELLO, $DATA, $END, $CREDIT) = 1 .. 8;
my ($STDIN, $STDOUT, $STDERR, $STREAM_BITS, $MORE) = (0, 1, 2, 0x07, 0x80);
my $MAX_PAYLOAD = 32_000;
my $WINDOW = 128 * 1024;
my $MAX_MESSAGE = 4 << 20;
my $MAX_JOBS = 256;
# Jobs stop producing when this much waits for the host, and requests are not read at twice as much.
my $OUT_FULL = 256 * 1024;

# --- System calls -------------------------------------------------------------------------------------------------

my %SYS = (
    close => 3, rt_sigprocmask => 14, dup2 => 33, wait4 => 61, fchmod => 91,
    fchown => 93, setsid => 112, setgroups => 116, setresuid => 117, setresgid => 119, statfs => 137, prctl => 157,
    sethostname => 170, clock_settime => 227, clock_gettime => 228, exit_group => 231,
    waitid => 247, mkdirat => 258, fchownat => 260, unlinkat => 263, symlinkat => 266, newfstatat => 262,
    utimensat => 280, signalfd4 => 289, openat2 => 437,
);
my ($O_RDWR, $O_CREAT, $O_EXCL, $O_NOCTTY, $O_NONBLOCK, $O_NOFOLLOW) = (2, 0100, 0200, 0400, 04000, 0400000);
my ($O_WRONLY, $O_DIRECTORY, $O_CLOEXEC) = (1, 0200000, 02000000);
my ($EPERM, $ENOENT, $EINTR, $EIO, $EAGAIN, $EEXIST, $EINVAL) = (1, 2, 4, 5, 11, 17, 22);
my ($TIOCSCTTY, $TIOCSWINSZ, $TIOCGPTN, $TIOCSPTLCK) = (0x540E, 0x5414, 0x80045430, 0x40045431);
my ($RNDADDENTROPY, $RNDRESEEDCRNG, $SIOCSIFHWADDR) = (0x40085203, 0x5207, 0x8924);
my ($SIGKILL, $SIGCHLD) = (9, 17);

sub sys { my $name = shift; return syscall($SYS{$name}, @_) }

sub refuse { my ($reason, $errno) = @_; die { reason => $reason, errno => $errno || 0 } }
sub refuse_os { my ($what) = @_; my $errno = $! + 0; refuse("$what: $!", $errno) }

sub monotonic_ns {
    my $time = pack 'qq', 0, 0;
    sys('clock_gettime', 1, $time);
    my ($seconds, $nanoseconds) = unpack 'qq', $time;
    return $seconds * 1_000_000_000 + $nanoseconds;
}

sub set_nonblocking {
    my ($handle) = @_;
    my $flags = fcntl $handle, 3, 0;
    fcntl $handle, 4, $flags | $O_NONBLOCK;
}

sub slurp {
    my ($path) = @_;
    open my $file, '<', $path or return '';
    local $/;
    my $text = <$file>;
    return defined $text ? $text : '';
}

sub spew {
    my ($path, $text) = @_;
    open my $file, '>', $path or return 0;
    my $written = syswrite $file, $text;
    return close($file) && defined $written;
}

# --- Frames -------------------------------------------------------------------------------------------------------

my ($port_in, $port_out);
my ($in, $out) = ('', '');
my $session = '';    # the marker's nonce of the host that is served
my $lost = 0;        # what comes makes no sense until the next marker
my %partial;         # id → a message that has not come whole
my %jobs;            # id → what is being done for the host
my %processes;       # pid → the job whose command it is
my ($cgroup_root, $cgroup_count, @cgroup_leftovers);
my $is_guest = 0;    # whether the machine is the agent's to set up

sub send_frames {
    my ($type, $id, $flags, $payload) = @_;
    my $at = 0;
    do {
        my $take = length($payload) - $at;
        $take = $MAX_PAYLOAD if $take > $MAX_PAYLOAD;
        # A marker never stands in a frame: one in the payload is cut in two.
        my $marker = index $payload, $MARKER, $at;
        $take = $marker + 8 - $at if $marker >= 0 && $marker + 16 <= $at + $take;
        my $more = $at + $take < length $payload ? $MORE : 0;
        $out .= pack('nNCC', $take, $id, $flags | $more, $type) . substr($payload, $at, $take) . "\0";
        $at += $take;
    } while $at < length $payload;
}

sub send_message { my ($type, $id, @fields) = @_; send_frames($type, $id, 0, pack '(N/a*)*', @fields) }
sub send_credit { my ($id, $bytes) = @_; send_frames($CREDIT, $id, $STDIN, pack 'N', $bytes) }

# Key, value, key, value … as a table from each key to its values.
sub fields {
    my @list = unpack '(N/a*)*', $_[0];
    my %table;
    while (@list) {
        my ($key, $value) = splice @list, 0, 2;
        push @{ $table{$key} }, $value;
    }
    return \%table;
}
sub field { my ($fields, $key, $default) = @_; return exists $fields->{$key} ? $fields->{$key}[0] : $default }

sub take_input {
    while (1) {
        my $marker = index $in, $MARKER;
        my $end = $marker < 0 ? length $in : $marker;
        my $at = 0;
        while (!$lost && $end - $at >= 9) {
            my ($length, $id, $flags, $type) = unpack 'nNCC', substr $in, $at, 8;
            if ($length > $MAX_PAYLOAD) { $lost = 1; last }
            last if $end - $at < $length + 9;
            if (substr($in, $at + 8 + $length, 1) ne "\0") { $lost = 1; last }
            take_frame($type, $id, $flags, substr $in, $at + 8, $length);
            $at += $length + 9;
        }
        if ($marker < 0) {
            # The last 15 bytes may be the beginning of a marker.
            $at = length($in) - 15 if $lost && length($in) - 15 > $at;
            substr $in, 0, $at, '';
            return;
        }
        if (length($in) < $marker + 32) {
            substr $in, 0, $marker, '';
            return;
        }
        my $nonce = substr $in, $marker + 16, 16;
        $lost = $nonce !~ /\A[0-9a-f]{16}\z/;
        substr $in, 0, $marker + ($lost ? 1 : 32), '';
        begin_session($nonce) unless $lost;
    }
}

sub begin_session {
    my ($nonce) = @_;
    if ($nonce ne $session) {
        $session = $nonce;
        $out = '';
        %partial = ();
        abandon($_) for values %jobs;
        %jobs = ();
    }
    $out .= $MARKER . $nonce;
    send_message($HELLO, 0, protocol => $PROTOCOL, agent => $VERSION, pid => $$, window => $WINDOW,
        'max-jobs' => $MAX_JOBS, map { (capability => $_) } capabilities());
}

sub capabilities {
    my $able = 'exec tty attach put get configure stats shutdown';
    return (split(' ', $able), defined $cgroup_root ? 'cgroup' : ());
}

sub take_frame {
    my ($type, $id, $flags, $payload) = @_;
    if ($type == $REQUEST || $type == $ENTRY || $type == $CONTROL) {
        my $size = length $payload;
        $payload = delete($partial{$id}) . $payload if exists $partial{$id};
        if (length $payload > $MAX_MESSAGE || keys %partial > $MAX_JOBS) { $lost = 1; return }
        if ($flags & $MORE) { $partial{$id} = $payload }
        elsif ($type == $REQUEST) { take_request($id, fields($payload)) }
        elsif (my $job = $jobs{$id}) {
            attempt($job, sub {
                if ($type == $CONTROL) { control($job, fields($payload)) }
                elsif ($job->{kind} eq 'put') { put_entry($job, fields($payload)) }
            });
        }
        send_credit($id, $size) if $type == $ENTRY && $jobs{$id};
        return;
    }
    # A request may have ended while this was on its way.
    my $job = $jobs{$id} or return;
    if ($type == $CREDIT) {
        $job->{credit}{ $flags & $STREAM_BITS } += unpack 'N', $payload;
    }
    elsif ($job->{kind} eq 'put') {
        attempt($job, sub { $type == $END ? put_end($job) : put_data($job, $payload) });
        send_credit($id, length $payload) if $type == $DATA && $jobs{$id};
    }
    elsif ($job->{kind} eq 'exec') {
        if ($type == $END) { $job->{stdin_ended} = 1 }
        elsif ($job->{stdin}) { $job->{input} .= $payload }
        else { send_credit($id, length $payload) }
        $lost = 1 if length $job->{input} > $WINDOW;
        feed($job);
    }
}

my %OPERATIONS = (
    ping => sub { reply($_[0]) },
    exec => \&start_exec,
    attach => \&attach,
    put => \&start_put,
    get => \&start_get,
    configure => \&configure,
    stats => \&stats,
    shutdown => \&shut_down,
);

sub take_request {
    my ($id, $fields) = @_;
    my $operation = field($fields, 'op', '');
    my $job = { id => $id, kind => 'short', credit => { $STDOUT => $WINDOW, $STDERR => $WINDOW } };
    if (exists $jobs{$id}) { $lost = 1; return }
    $jobs{$id} = $job;
    attempt($job, sub {
        my $do = $OPERATIONS{$operation} or refuse("there is no operation $operation", $EINVAL);
        refuse("$MAX_JOBS requests are being served", $EAGAIN) if keys %jobs > $MAX_JOBS;
        $do->($job, $fields);
    });
}

sub reply {
    my ($job, @fields) = @_;
    return unless defined $job->{id};
    send_message($REPLY, $job->{id}, @fields);
    delete $jobs{ $job->{id} };
    delete $partial{ $job->{id} };
    $job->{id} = undef;
}

# Does a step of a job; what goes wrong is the host's reply.
sub attempt {
    my ($job, $step) = @_;
    return if eval { $step->(); 1 };
    my $error = $@;
    $error = { reason => "the agent failed: $error", errno => $EIO } unless ref $error;
    abandon($job);
    reply($job, error => $error->{reason}, errno => $error->{errno});
}

# Nobody is interested any more, or will be: processes are killed, files closed.
sub abandon {
    my ($job) = @_;
    if ($job->{kind} eq 'exec' && $job->{pid}) {
        $job->{id} = undef;
        return if defined $job->{name} && !$job->{exited};
        kill_tree($job);
        remove_cgroup($job) if $job->{exited};
    }
    sys('close', delete $job->{parent}[1]) if $job->{parent};
    delete @$job{qw(walk file root parent)};
}

# --- Commands -----------------------------------------------------------------------------------------------------

sub start_exec {
    my ($job, $fields) = @_;
    my @argv = @{ $fields->{arg} || [] };
    refuse('there is no command', $EINVAL) if !@argv || $argv[0] eq '';
    my $user = user(field($fields, 'user'));
    my %environment = (
        PATH => '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
        HOME => $user->{home}, USER => $user->{name}, LOGNAME => $user->{name},
        map { /\A([^=]+)=(.*)\z/s ? ($1 => $2) : refuse('a variable is no NAME=value', $EINVAL) } @{ $fields->{env} || [] },
    );
    @$job{qw(kind name deadline orphans input)} = ('exec', field($fields, 'persist'), undef, field($fields, 'orphans', 'keep'), '');
    if (defined $job->{name}) {
        my $taken = grep { defined $_->{name} && $_->{name} eq $job->{name} } values %processes;
        refuse("a command called $job->{name} is running", $EEXIST) if $taken;
    }

    my ($terminal, @ends) = (field($fields, 'tty'));
    if (defined $terminal) {
        ($job->{terminal}, $ends[0]) = open_terminal($terminal);
        $job->{stdin} = $job->{streams}{$STDOUT} = $job->{terminal};
        @ends[1, 2] = @ends[0, 0];
    }
    else {
        open my $null, '+<', '/dev/null' or refuse_os('/dev/null');
        @ends = ($null) x 3;
        if (field($fields, 'stdin', 'pipe') eq 'pipe') {
            pipe my $theirs, $job->{stdin} or refuse_os('no pipe');
            $ends[0] = $theirs;
        }
        for my $stream ($STDOUT, $STDERR) {
            my $where = field($fields, $stream == $STDOUT ? 'stdout' : 'stderr', 'pipe');
            if ($where eq 'pipe') {
                pipe $job->{streams}{$stream}, my $theirs or refuse_os('no pipe');
                $ends[$stream] = $theirs;
            }
            elsif ($where eq 'stdout') { $ends[2] = $ends[1] }
        }
    }
    set_nonblocking($_) for grep { defined } $job->{stdin}, values %{ $job->{streams} };
    pipe my $failure, my $tell_failure or refuse_os('no pipe');
    $job->{cgroup} = make_cgroup();

    my $pid = fork;
    refuse_os('no process') unless defined $pid;
    if ($pid == 0) {
        # Whatever goes wrong here must not return into the agent's loop.
        eval {
            become_command($job, $user, \%environment, \@ends, field($fields, 'cwd', '/'), defined $terminal);
            exec { $argv[0] } @argv;
            refuse_os("cannot start $argv[0]");
        };
        my $error = ref $@ ? $@ : { reason => "the agent failed: $@", errno => $EIO };
        syswrite $tell_failure, pack 'NA*', $error->{errno}, $error->{reason};
        sys('exit_group', 127);
    }
    @$job{qw(pid failure started)} = ($pid, $failure, monotonic_ns());
    my $timeout = field($fields, 'timeout');
    $job->{deadline} = $job->{started} + $timeout * 1_000_000 if defined $timeout;
    $processes{$pid} = $job;
}

# In the new process: everything between fork and exec.
sub become_command {
    my ($job, $user, $environment, $ends, $cwd, $terminal) = @_;
    sys('setsid');
    spew("$job->{cgroup}/cgroup.procs", '0') if defined $job->{cgroup};
    spew('/proc/self/oom_score_adj', '0');
    sys('dup2', fileno $ends->[$_], $_) for 0 .. 2;
    ioctl STDIN, $TIOCSCTTY, 0 if $terminal;
    if ($user->{groups}) {
        my $groups = pack 'L*', @{ $user->{groups} };
        my $done = sys('setgroups', scalar @{ $user->{groups} }, $groups) == 0
            && sys('setresgid', ($user->{gid}) x 3) == 0
            && sys('setresuid', ($user->{uid}) x 3) == 0;
        refuse_os("cannot become user $user->{name}") unless $done;
    }
    chdir $cwd or refuse_os("cannot work in $cwd");
    %ENV = %$environment;
    $SIG{PIPE} = 'DEFAULT';
    # Nobody would read what outlives the agent.
    sys('prctl', 1, $SIGKILL, 0, 0, 0);
    my $none = pack 'Q', 0;
    sys('rt_sigprocmask', 2, $none, 0, 8);
}

# "name", "uid" or "uid:gid", as a password entry. Without any it is the agent's own, not looked up, because
# reading the databases takes a tenth of starting a command.
sub user {
    my ($text) = @_;
    if (!defined $text) {
        my ($name, $home) = $> == 0 ? ('root', '/root') : (getpwuid $>)[0, 7];
        return { name => $name || $>, uid => $>, gid => $) + 0, home => $home || '/' };
    }
    my ($who, $group) = split /:/, $text, 2;
    my @entry = $who =~ /\A[0-9]+\z/ ? getpwuid $who : getpwnam $who;
    if (!@entry) {
        refuse("there is no user $who", $ENOENT) unless $who =~ /\A[0-9]{1,9}\z/;
        @entry = ($who, undef, $who, $who, undef, undef, undef, '/');
    }
    my ($name, $uid, $gid, $home) = @entry[0, 2, 3, 7];
    if (defined $group) {
        my $id = $group =~ /\A[0-9]{1,9}\z/ ? $group : getgrnam $group;
        refuse("there is no group $group", $ENOENT) unless defined $id;
        $gid = $id;
    }
    my @groups = ($gid + 0);
    setgrent;
    while (my (undef, undef, $id, $members) = getgrent) {
        push @groups, $id + 0 if $id != $gid && grep { $_ eq $name } split ' ', $members;
    }
    endgrent;
    return { name => $name, uid => $uid + 0, gid => $gid + 0, home => $home, groups => \@groups };
}

sub open_terminal {
    my ($size) = @_;
    sysopen my $master, '/dev/ptmx', $O_RDWR | $O_NOCTTY or refuse_os('/dev/ptmx');
    my ($unlock, $number) = (pack('i', 0), pack 'i', 0);
    ioctl $master, $TIOCSPTLCK, $unlock and ioctl $master, $TIOCGPTN, $number or refuse_os('no terminal');
    resize($master, $size);
    sysopen my $slave, '/dev/pts/' . unpack('i', $number), $O_RDWR | $O_NOCTTY or refuse_os('no terminal');
    return ($master, $slave);
}

sub resize {
    my ($master, $size) = @_;
    my ($columns, $rows) = $size =~ /\A(\d{1,4})x(\d{1,4})\z/ or refuse('a size is COLUMNSxROWS', $EINVAL);
    my $window = pack 'SSSS', $rows, $columns, 0, 0;
    ioctl $master, $TIOCSWINSZ, $window;
}

sub control {
    my ($job, $fields) = @_;
    if ($job->{kind} ne 'exec') {
        refuse('it was given up') if defined field($fields, 'kill');
        return;
    }
    return if $job->{exited};
    # What makes no sense, such as an unknown signal, is passed over: the command goes on.
    my ($size, $signal) = map { field($fields, $_) } qw(resize signal);
    eval { resize($job->{terminal}, $size) } if defined $size && $job->{terminal};
    eval { kill $signal, -$job->{pid} } if defined $signal;
    kill_tree($job) if defined field($fields, 'kill');
}

# Takes over a command that outlived its session.
sub attach {
    my ($job, $fields) = @_;
    my $name = field($fields, 'name', '');
    my ($found) = grep { defined $_->{name} && $_->{name} eq $name && !defined $_->{id} } values %processes;
    refuse("there is no command called $name to attach to", $ENOENT) unless $found;
    @$found{qw(id credit)} = @$job{qw(id credit)};
    $jobs{ $job->{id} } = $found;
}

# Writes waiting input to a command, and lets the host send as much again.
sub feed {
    my ($job) = @_;
    my $done = 0;
    if ($job->{stdin} && length $job->{input}) {
        my $written = syswrite $job->{stdin}, $job->{input};
        if (defined $written) {
            substr $job->{input}, 0, $written, '';
            $done = $written;
        }
        elsif ($! != $EAGAIN && $! != $EINTR) {
            # The command closed its input; it is thrown away from now on.
            $done = length $job->{input};
            $job->{input} = '';
            delete $job->{stdin};
        }
    }
    if ($job->{stdin_ended} && $job->{input} eq '' && $job->{stdin}) {
        # A terminal's end of file is a character.
        if ($job->{terminal}) { syswrite $job->{stdin}, "\4" }
        else { delete $job->{stdin} }
        $job->{stdin_ended} = 0;
    }
    send_credit($job->{id}, $done) if $done && defined $job->{id};
}

# Passes on what a command wrote, as far as the host wants it.
sub drain {
    my ($job, $stream) = @_;
    my $handle = $job->{streams}{$stream};
    my $most = $MAX_PAYLOAD;
    # With no host, a killed command's output is thrown away; a persistent one's waits for the next host.
    if (defined $job->{id}) {
        $most = $job->{credit}{$stream} if $job->{credit}{$stream} < $most;
        return 0 if $most <= 0 || length $out >= $OUT_FULL;
    }
    my $count = sysread $handle, my ($bytes), $most;
    if ($count) {
        if (defined $job->{id}) {
            $job->{credit}{$stream} -= $count;
            send_frames($DATA, $job->{id}, $stream, $bytes);
        }
        return 1;
    }
    return 0 if !defined $count && ($! == $EINTR || ($! == $EAGAIN && !$job->{exited}));
    # The end; or the command is gone, and what it left running does not count.
    delete $job->{streams}{$stream};
    send_frames($END, $job->{id}, $stream, '') if defined $job->{id};
    return 1;
}

sub reap {
    while (1) {
        my $info = "\0" x 128;
        # The process stays a zombie, so that its I/O can be read (WNOHANG | WEXITED | WNOWAIT).
        last if sys('waitid', 0, 0, $info, 1 | 4 | 0x01000000, 0) != 0;
        my $pid = unpack 'x16 l', $info or last;
        my $io = slurp("/proc/$pid/io");
        my ($status, $rusage) = (pack('l', 0), "\0" x 144);
        last if sys('wait4', $pid, $status, 1, $rusage) != $pid;
        my $job = delete $processes{$pid} or next;
        @$job{qw(exited status rusage io)} = (monotonic_ns(), unpack('l', $status), [unpack 'q18', $rusage], $io);
        kill_tree($job) if $job->{orphans} eq 'kill' || $job->{killed};
    }
}

# Replies for a command that has ended and whose output has been passed on.
sub finish {
    my ($job) = @_;
    my $failure = '';
    sysread $job->{failure}, $failure, 4096;
    my @usage = usage($job);
    remove_cgroup($job);
    if (length $failure) {
        my ($errno, $reason) = unpack 'NA*', $failure;
        return reply($job, error => $reason, errno => $errno);
    }
    my $signal = $job->{status} & 127;
    reply($job, pid => $job->{pid}, ($signal ? (signal => $signal) : (exit => $job->{status} >> 8)),
        ($job->{timed_out} ? ('timed-out' => 1) : ()), @usage);
}

sub usage {
    my ($job) = @_;
    my @rusage = @{ $job->{rusage} };
    my %usage = (
        'wall-ns' => $job->{exited} - $job->{started},
        'user-us' => $rusage[0] * 1_000_000 + $rusage[1],
        'system-us' => $rusage[2] * 1_000_000 + $rusage[3],
        'largest-process-bytes' => $rusage[4] * 1024,
        'peak-memory-bytes' => $rusage[4] * 1024,
        'read-bytes' => $rusage[11] * 512,
        'written-bytes' => $rusage[12] * 512,
        source => 'rusage',
    );
    my %io = $job->{io} =~ /^(\w+): (\d+)$/mg;
    if (%io) {
        @usage{qw(read-bytes written-bytes)} = @io{qw(read_bytes write_bytes)};
        @usage{qw(read-chars written-chars)} = @io{qw(rchar wchar)};
    }
    if (defined $job->{cgroup}) {
        my %cpu = slurp("$job->{cgroup}/cpu.stat") =~ /^(\w+) (\d+)$/mg;
        @usage{qw(user-us system-us)} = @cpu{qw(user_usec system_usec)} if defined $cpu{user_usec};
        if (slurp("$job->{cgroup}/memory.peak") =~ /^(\d+)/) { @usage{qw(peak-memory-bytes source)} = ($1, 'cgroup') }
    }
    return %usage;
}

# --- The tree of a command's processes ------------------------------------------------------------------------------


# A control group for the agent's commands, where the system is ours (--daemon) and has version 2.
sub prepare_cgroups {
    my $base = '/sys/fs/cgroup';
    return unless -e "$base/cgroup.controllers";
    my $root = "$base/queztl";
    return unless -d $root || mkdir $root;
    for my $controller (qw(memory cpu io pids)) {
        spew("$_/cgroup.subtree_control", "+$controller") for $base, $root;
    }
    $cgroup_root = $root;
    # What a former agent's commands left running has nobody who reads it.
    opendir my $former, $root or return;
    for my $path (map { "$root/$_" } grep { /\A\d+-\d+\z/ } readdir $former) {
        spew("$path/cgroup.kill", '1');
        push @cgroup_leftovers, $path;
    }
}

sub make_cgroup {
    return undef unless defined $cgroup_root;
    # Those in which something had been left running when their command ended.
    @cgroup_leftovers = grep { !rmdir } @cgroup_leftovers;
    my $path = "$cgroup_root/$$-" . ++$cgroup_count;
    return mkdir($path) ? $path : undef;
}

sub remove_cgroup {
    my ($job) = @_;
    my $path = delete $job->{cgroup};
    push @cgroup_leftovers, $path if defined $path && !rmdir $path;
}

sub kill_tree {
    my ($job) = @_;
    $job->{killed} = 1;
    return if defined $job->{cgroup} && spew("$job->{cgroup}/cgroup.kill", '1');
    # What forks while it is being killed is found in the next round.
    for (1 .. 5) {
        my @found = session_of($job->{pid});
        last unless @found;
        kill $SIGKILL, @found;
    }
}

# The processes of a command's session and all that descend from it.
sub session_of {
    my ($leader) = @_;
    my (%children, @found);
    opendir my $proc, '/proc' or return;
    for my $pid (grep { /\A\d+\z/ } readdir $proc) {
        # pid (name) state parent group session: the name may hold anything.
        my ($state, $parent, undef, $session) = slurp("/proc/$pid/stat") =~ /\A.*\) (\S) (\d+) (\d+) (\d+) /s or next;
        next if $state eq 'Z';
        push @{ $children{$parent} }, $pid;
        push @found, $pid if $session == $leader;
    }
    my %seen = map { $_ => 1 } @found;
    for (my $at = 0; $at < @found; $at++) {
        push @found, grep { !$seen{$_}++ } @{ $children{ $found[$at] } || [] };
    }
    return @found;
}

# --- Files in -------------------------------------------------------------------------------------------------------

sub start_put {
    my ($job, $fields) = @_;
    my $path = field($fields, 'path', '');
    refuse('the path is not absolute', $EINVAL) unless $path =~ m{\A/};
    $job->{kind} = 'put';
    $job->{owner} = user(field($fields, 'user'));
    my $made = '';
    for my $name (grep { length } split m{/}, $path) {
        $made .= "/$name";
        mkdir $made, 0755;
    }
    sysopen $job->{root}, $path, $O_DIRECTORY | $O_CLOEXEC or refuse_os($path);
    @$job{qw(dirs count bytes)} = ([], 0, 0);
}

# Opens below a directory, never through a symbolic link or out of it (RESOLVE_BENEATH and NO_SYMLINKS).
sub open_below {
    my ($directory, $path, $flags, $mode) = @_;
    my $how = pack 'QQQ', $flags | $O_CLOEXEC, $mode, 0x08 | 0x04 | 0x02;
    return sys('openat2', $directory, $path, $how, 24);
}

# The open folder that is to hold an entry, made with its parents where it is missing.
sub folder_for {
    my ($job, $path) = @_;
    $path = '.' if $path eq '';
    return $job->{parent}[1] if $job->{parent} && $job->{parent}[0] eq $path;
    my $root = fileno $job->{root};
    my $folder = open_below($root, $path, $O_DIRECTORY, 0);
    if ($folder < 0 && $! == $ENOENT) {
        my $part = '';
        for my $name (split m{/}, $path) {
            my $above = open_below($root, $part eq '' ? '.' : $part, $O_DIRECTORY, 0);
            last if $above < 0;
            sys('mkdirat', $above, $name, 0755);
            sys('close', $above);
            $part = $part eq '' ? $name : "$part/$name";
        }
        $folder = open_below($root, $path, $O_DIRECTORY, 0);
    }
    refuse_os($path) if $folder < 0;
    sys('close', $job->{parent}[1]) if $job->{parent};
    $job->{parent} = [$path, $folder];
    return $folder;
}

sub put_entry {
    my ($job, $fields) = @_;
    put_close($job);
    my ($path, $type) = (field($fields, 'path', ''), field($fields, 'type', ''));
    my ($mode, $mtime) = (oct field($fields, 'mode', '0644'), field($fields, 'mtime', 0));
    my @names = split m{/}, $path, -1;
    refuse("$path is no relative path", $EINVAL) if !@names || grep { $_ eq '' || $_ eq '.' || $_ eq '..' || /\0/ } @names;
    my $name = pop @names;
    # A folder's mode and time are set when all that is in it is there.
    put_folder_done($job) while @{ $job->{dirs} } && index($path, "$job->{dirs}[-1][0]/") != 0;
    my $folder = folder_for($job, join '/', @names);
    my ($uid, $gid) = @{ $job->{owner} }{qw(uid gid)};
    $job->{count}++;
    if ($type eq 'directory') {
        if (sys('mkdirat', $folder, $name, 0700) < 0) {
            refuse_os($path) if $! != $EEXIST;
            my $there = open_below($folder, $name, $O_DIRECTORY, 0);
            refuse_os($path) if $there < 0;
            sys('close', $there);
        }
        sys('fchownat', $folder, $name, $uid, $gid, 0x100);
        push @{ $job->{dirs} }, [$path, $mode, $mtime];
        return;
    }
    sys('unlinkat', $folder, $name, 0) == 0 or $! == $ENOENT or refuse_os($path);
    if ($type eq 'symlink') {
        my $target = field($fields, 'target', '');
        sys('symlinkat', $target, $folder, $name) == 0 or refuse_os($path);
        sys('fchownat', $folder, $name, $uid, $gid, 0x100);
        my $times = times_of($mtime);
        sys('utimensat', $folder, $name, $times, 0x100);
    }
    elsif ($type eq 'file') {
        my $fd = open_below($folder, $name, $O_WRONLY | $O_CREAT | $O_EXCL | $O_NOFOLLOW, 0600);
        refuse_os($path) if $fd < 0;
        open $job->{file}, '>&=', $fd or refuse_os($path);
        @$job{qw(path mode mtime)} = ($path, $mode, $mtime);
    }
    else { refuse("an entry cannot be a $type", $EINVAL) }
}

# No access time change (UTIME_OMIT), and the modification time in nanoseconds.
sub times_of { my ($ns) = @_; return pack 'qqqq', 0, 0x3ffffffe, int($ns / 1_000_000_000), $ns % 1_000_000_000 }

sub put_data {
    my ($job, $bytes) = @_;
    my $file = $job->{file} or refuse('there is no file to write to', $EINVAL);
    for (my $at = 0; $at < length $bytes;) {
        my $count = syswrite $file, $bytes, length($bytes) - $at, $at;
        refuse_os($job->{path}) unless defined $count;
        $at += $count;
    }
    $job->{bytes} += length $bytes;
}

sub put_close {
    my ($job) = @_;
    my $file = delete $job->{file} or return;
    set_metadata(fileno $file, $job->{owner}, $job->{mode}, $job->{mtime});
    close $file or refuse_os($job->{path});
}

sub set_metadata {
    my ($fd, $owner, $mode, $mtime) = @_;
    sys('fchown', $fd, $owner->{uid}, $owner->{gid}) if $> == 0;
    sys('fchmod', $fd, $mode & 07777);
    my $times = times_of($mtime);
    sys('utimensat', $fd, 0, $times, 0);
}

sub put_folder_done {
    my ($job) = @_;
    my ($path, $mode, $mtime) = @{ pop @{ $job->{dirs} } };
    my $fd = open_below(fileno $job->{root}, $path, $O_DIRECTORY, 0);
    return if $fd < 0;
    set_metadata($fd, $job->{owner}, $mode, $mtime);
    sys('close', $fd);
}

sub put_end {
    my ($job) = @_;
    put_close($job);
    put_folder_done($job) while @{ $job->{dirs} };
    my @counts = (entries => $job->{count}, bytes => $job->{bytes});
    abandon($job);
    reply($job, @counts);
}

# --- Files out ------------------------------------------------------------------------------------------------------

sub start_get {
    my ($job, $fields) = @_;
    my $path = field($fields, 'path', '');
    refuse('the path is not absolute', $EINVAL) unless $path =~ m{\A/};
    @$job{qw(kind count bytes)} = ('get', 0, 0);
    $job->{walk} = [];
    stat $path or refuse_os($path);
    if (-d _ && !defined field($fields, 'file')) {
        opendir my $handle, $path or refuse_os($path);
        push @{ $job->{walk} }, [$handle, $path, ''];
    }
    elsif (-f _) { announce($job, $path, $path =~ m{([^/]+)\z}, 1) }
    else { refuse("$path is not a file" . (-d _ ? '' : ', nor a folder'), $EINVAL) }
}

# Sends what the host has credit for. True when more can be sent at once.
sub pump {
    my ($job) = @_;
    return 0 if length $out >= $OUT_FULL;
    if (defined(my $entry = $job->{entry})) {
        return 0 if length $entry > $job->{credit}{$STDOUT};
        $job->{credit}{$STDOUT} -= length $entry;
        send_frames($ENTRY, $job->{id}, $STDOUT, delete $job->{entry});
    }
    if ($job->{file}) {
        my $most = $job->{credit}{$STDOUT} < $MAX_PAYLOAD ? $job->{credit}{$STDOUT} : $MAX_PAYLOAD;
        return 0 if $most <= 0;
        my $count = sysread $job->{file}, my ($bytes), $most;
        if ($count) {
            $job->{credit}{$STDOUT} -= $count;
            $job->{bytes} += $count;
            send_frames($DATA, $job->{id}, $STDOUT, $bytes);
            return 1;
        }
        refuse_os('cannot read on') unless defined $count;
        delete $job->{file};
    }
    while (my $folder = $job->{walk}[-1]) {
        my $name = readdir $folder->[0];
        if (!defined $name) { pop @{ $job->{walk} }; next }
        next if $name eq '.' || $name eq '..';
        announce($job, "$folder->[1]/$name", $folder->[2] . $name, 0) or next;
        return 1;
    }
    send_frames($END, $job->{id}, $STDOUT, '');
    reply($job, entries => $job->{count}, bytes => $job->{bytes});
    return 0;
}

# Makes an entry the next to be sent; false for what is neither file, folder nor link.
sub announce {
    my ($job, $path, $name, $follow) = @_;
    my $buffer = "\0" x 144;
    my @entry = (path => $name);
    if (sys('newfstatat', -100, $path, $buffer, $follow ? 0 : 0x100) == 0) {
        my ($mode, $size, $seconds, $nanoseconds) = (unpack 'Q3 L4 Q q9', $buffer)[3, 8, 13, 14];
        my $format = $mode & 0170000;
        push @entry, mode => sprintf('%o', $mode & 07777), mtime => $seconds * 1_000_000_000 + $nanoseconds;
        if ($format == 0040000) {
            push @entry, type => 'directory';
            if (opendir my $handle, $path) { push @{ $job->{walk} }, [$handle, $path, "$name/"] }
            else { push @entry, skipped => "$!" }
        }
        elsif ($format == 0120000) {
            my $target = readlink $path;
            push @entry, type => 'symlink', defined $target ? (target => $target) : (skipped => "$!");
        }
        elsif ($format == 0100000) {
            push @entry, type => 'file', size => $size;
            if (!sysopen $job->{file}, $path, $O_NONBLOCK | $O_CLOEXEC | ($follow ? 0 : $O_NOFOLLOW)) {
                push @entry, skipped => "$!";
                delete $job->{file};
            }
        }
        else { return 0 }
    }
    else { push @entry, type => 'file', skipped => "$!" }
    $job->{count}++;
    $job->{entry} = pack '(N/a*)*', @entry;
    return 1;
}

# --- The machine ----------------------------------------------------------------------------------------------------

# Gives a machine made from a snapshot its own identity, in one request.
sub configure {
    my ($job, $fields) = @_;
    my ($hostname, $machine, $clock, $mac) = map { field($fields, $_) } qw(hostname machine-id clock mac);
    refuse('a host name is 1 to 63 letters, digits and hyphens', $EINVAL)
        if defined $hostname && $hostname !~ /\A[A-Za-z0-9][A-Za-z0-9-]{0,62}\z/;
    refuse('a machine id is 32 hexadecimal digits', $EINVAL) if defined $machine && $machine !~ /\A[0-9a-f]{32}\z/;
    refuse('a clock is nanoseconds since 1970', $EINVAL) if defined $clock && $clock !~ /\A[0-9]{1,19}\z/;
    refuse('a station address is 6 hexadecimal bytes with colons between them', $EINVAL)
        if defined $mac && $mac !~ /\A[0-9a-f]{2}(:[0-9a-f]{2}){5}\z/;
    refuse('this agent does not own its machine', $EPERM) unless $is_guest;
    if (defined(my $entropy = field($fields, 'entropy'))) {
        open my $random, '+<', '/dev/urandom' or refuse_os('/dev/urandom');
        my $pool = pack('ii', 8 * length $entropy, length $entropy) . $entropy;
        ioctl $random, $RNDADDENTROPY, $pool or refuse_os('cannot add entropy');
        # The generator would take it up by itself, but only later.
        ioctl $random, $RNDRESEEDCRNG, 0 or refuse_os('cannot reseed');
    }
    if (defined $clock) {
        my $time = pack 'qq', int($clock / 1_000_000_000), $clock % 1_000_000_000;
        sys('clock_settime', 0, $time) == 0 or refuse_os('cannot set the clock');
    }
    if (defined $hostname) {
        sys('sethostname', $hostname, length $hostname) == 0 or refuse_os('cannot set the host name');
        spew('/etc/hostname', "$hostname\n");
    }
    if (defined $machine) { spew('/etc/machine-id', "$machine\n") or refuse_os('/etc/machine-id') }
    set_mac($mac) if defined $mac;
    reply($job);
}

# Of the first network card; where there is none it is nothing.
sub set_mac {
    my ($mac) = @_;
    opendir my $class, '/sys/class/net' or return;
    my ($card) = sort grep { -e "/sys/class/net/$_/device" } readdir $class;
    return unless defined $card;
    socket my $socket, 2, 2, 0 or refuse_os('no socket');
    # struct ifreq with the hardware address of an Ethernet card.
    my $request = pack 'a16 S a14 x8', $card, 1, pack 'H2' x 6, split /:/, $mac;
    ioctl $socket, $SIOCSIFHWADDR, $request or refuse_os('cannot set the station address');
}

sub stats {
    my ($job) = @_;
    my %memory = slurp('/proc/meminfo') =~ /^(\w+): +(\d+) kB$/mg;
    my @load = split ' ', slurp('/proc/loadavg');
    my ($uptime) = split ' ', slurp('/proc/uptime');
    my @fields = (
        (map { ("memory-$_" => $memory{$_} * 1024) } sort keys %memory),
        load => join(' ', @load[0 .. 2]), uptime => $uptime, commands => scalar keys %processes,
    );
    my %seen;
    for my $line (split /\n/, slurp('/proc/mounts')) {
        my (undef, $path, $type) = split ' ', $line;
        $path =~ s/\\([0-7]{3})/chr oct $1/ge;
        next if $seen{$path}++ || keys %seen > 64;
        my $buffer = "\0" x 120;
        next if sys('statfs', $path, $buffer) != 0;
        my (undef, $block, $blocks, undef, $available) = unpack 'q5', $buffer;
        next if $blocks == 0;
        push @fields, disk => join ' ', $blocks * $block, $available * $block, $type, $path;
    }
    reply($job, @fields);
}

sub shut_down {
    my ($job, $fields) = @_;
    my $how = field($fields, 'how', '');
    my %commands = ('power-off' => 'poweroff', reboot => 'reboot');
    my $command = $commands{$how} or refuse('how is power-off or reboot', $EINVAL);
    refuse('this agent does not own its machine', $EPERM) unless $is_guest;
    reply($job);
    write_out() while length $out && $port_out;
    my $pid = fork;
    return if !defined $pid || $pid != 0;
    exec { $command } $command, defined field($fields, 'force') ? '-f' : () or sys('exit_group', 127);
}

# --- The loop -------------------------------------------------------------------------------------------------------

sub write_out {
    my $count = syswrite $port_out, $out;
    if (defined $count) { substr $out, 0, $count, '' }
    elsif ($! != $EAGAIN && $! != $EINTR) { $out = '' }
}

sub serve {
    my ($persistent_port) = @_;
    $SIG{PIPE} = 'IGNORE';
    my $child = pack 'Q', 1 << ($SIGCHLD - 1);
    sys('rt_sigprocmask', 0, $child, 0, 8);
    my $fd = sys('signalfd4', -1, $child, 8, $O_NONBLOCK | $O_CLOEXEC);
    open my $signals, '<&=', $fd or die "signalfd: $!";
    set_nonblocking($_) for $port_in, $port_out;
    # Tells the host of a former agent that its requests are lost.
    $out = $MARKER . '0' x 16;

    my $connected = 1;
    while (1) {
        my ($read, $write, $wait, $now) = ('', '', undef, monotonic_ns());
        my $room = length $out < $OUT_FULL;
        my $soon = sub { $wait = $_[0] if !defined $wait || $_[0] < $wait };
        vec($read, fileno $signals, 1) = 1;
        if ($connected) {
            vec($read, fileno $port_in, 1) = 1 if length $out < 2 * $OUT_FULL;
            vec($write, fileno $port_out, 1) = 1 if length $out;
        }
        else { $soon->(0.2) }
        my @running = values %processes;
        for my $job (@running) {
            vec($write, fileno $job->{stdin}, 1) = 1 if $job->{stdin} && length $job->{input};
            if ($room && (defined $job->{id} || !defined $job->{name})) {
                for my $stream (keys %{ $job->{streams} }) {
                    next if defined $job->{id} && $job->{credit}{$stream} <= 0;
                    vec($read, fileno $job->{streams}{$stream}, 1) = 1;
                }
            }
            if (defined $job->{deadline}) {
                my $left = ($job->{deadline} - $now) / 1e9;
                $soon->($left > 0 ? $left : 0);
            }
        }
        if (select($read, $write, undef, $wait) < 0) {
            next if $! == $EINTR;
            die "select: $!";
        }

        if (vec $read, fileno $signals, 1) {
            1 while sysread $signals, my $information, 4096;
            reap();
        }
        if ($connected && vec $read, fileno $port_in, 1) {
            my $count = sysread $port_in, $in, 65536, length $in;
            if ($count) { take_input() }
            elsif (defined $count || ($! != $EAGAIN && $! != $EINTR)) {
                last unless $persistent_port;
                $connected = 0;
            }
        }
        elsif (!$connected) { $connected = 1 }
        $now = monotonic_ns();
        for my $job (@running) {
            feed($job) if $job->{stdin} && vec $write, fileno $job->{stdin}, 1;
            for my $stream (sort keys %{ $job->{streams} }) {
                drain($job, $stream) if vec $read, fileno $job->{streams}{$stream}, 1;
            }
            if (defined $job->{deadline} && $now >= $job->{deadline} && !$job->{exited}) {
                @$job{qw(deadline timed_out)} = (undef, 1);
                kill_tree($job);
            }
        }
        # Lists of their own: jobs go away meanwhile.
        my @ended = grep { $_->{kind} eq 'exec' && $_->{exited} } @running, values %jobs;
        for my $job (@ended) {
            for my $stream (sort keys %{ $job->{streams} }) { 1 while $job->{streams}{$stream} && drain($job, $stream) }
            finish($job) if !%{ $job->{streams} || {} } && !$job->{finished}++;
        }
        my @gets = grep { $_->{kind} eq 'get' } values %jobs;
        for my $job (@gets) {
            attempt($job, sub { 1 while defined $job->{id} && pump($job) });
        }
        write_out() if length $out && $connected;
    }
    abandon($_) for values %jobs, values %processes;
}

# --- Start ----------------------------------------------------------------------------------------------------------

sub find_port {
    my $class = '/sys/class/virtio-ports';
    opendir my $ports, $class or return undef;
    for my $port (readdir $ports) {
        return "/dev/$port" if slurp("$class/$port/name") eq "$PORT_NAME\n";
    }
    return undef;
}

# Ports appear a moment after their driver was loaded; without any there is nobody to serve.
sub await_port {
    for (1 .. 100) {
        my $port = find_port();
        return $port if defined $port;
        return undef unless -d '/sys/class/virtio-ports';
        select undef, undef, undef, 0.02;
    }
    return undef;
}

sub serve_port {
    my ($path, $ready) = @_;
    sysopen $port_in, $path, $O_RDWR | $O_NONBLOCK | $O_CLOEXEC or die "$path: $!\n";
    $port_out = $port_in;
    spew('/proc/self/oom_score_adj', '-1000');
    prepare_cgroups();
    $is_guest = 1;
    syswrite $ready, '.';
    close $ready;
    serve(1);
}

sub run_daemon {
    my $path = await_port() or exit 0;
    pipe my $is_ready, my $ready or die "pipe: $!";
    my $pid = fork;
    die "fork: $!" unless defined $pid;
    if ($pid != 0) {
        close $ready;
        sysread $is_ready, my $dot, 1;
        exit 0;
    }
    close $is_ready;
    sys('setsid');
    open STDIN, '<', '/dev/null';
    chdir '/';
    while (1) {
        my $agent = fork;
        if (defined $agent && $agent == 0) { serve_port($path, $ready); exit 0 }
        close $ready;
        waitpid $agent, 0 if defined $agent;
        select undef, undef, undef, 0.1;
    }
}

$0 = 'queztl-agent';
my $how = @ARGV ? $ARGV[0] : '';
if ($how eq '--daemon') { run_daemon() }
elsif ($how eq '--stdio') { ($port_in, $port_out) = (\*STDIN, \*STDOUT); serve(0) }
else { die "usage: queztl-agent --daemon | --stdio\n" }
