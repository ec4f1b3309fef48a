"""Tricks on whoever looks at callers: each prints what it counted, and a leak is an answer with the token.

Run as root in the booted system by attacks.sh. `accomplice` is a user without a right who may open the socket;
`trusted` is one whom a rule names; group a.service is the control group of a unit that a rule names.
"""

import grp
import os
import pwd
import random
import signal
import socket
import sys
import time

API = "/run/bearerd/api.sock"
TRUSTED_GROUP = "/sys/fs/cgroup/system.slice/a.service/cgroup.procs"
PATHS = ["/v1/accounts/default/token", "/v1/accounts/default"]


def become(name):
    user = pwd.getpwnam(name)
    os.setgroups(os.getgrouplist(name, user.pw_gid))
    os.setresgid(user.pw_gid, user.pw_gid, user.pw_gid)
    os.setresuid(user.pw_uid, user.pw_uid, user.pw_uid)


def child(work):
    """Runs `work` in a process of its own and returns its pid."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return pid


def ended_well(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def ask(connection, path):
    """What is answered on a connection that somebody opened; nothing where the daemon hung up."""
    connection.settimeout(20)
    answer = b""
    try:
        request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        connection.sendall(request.encode())
        while more := connection.recv(65536):
            answer += more
    except (BrokenPipeError, ConnectionResetError):
        pass
    connection.close()
    return answer


def judge(answer, counted):
    """A refusal, a connection that was closed, or a leak."""
    if TOKEN in answer or b'"active"' in answer:
        counted["leaks"] += 1
    elif b"no_such_account" in answer or b"not_authorized" in answer:
        counted["refused"] += 1
    elif not answer:
        counted["closed"] += 1
    else:
        counted["other"] += 1
        sys.stderr.write(answer.decode(errors="replace")[:300] + "\n")


def none():
    return {"leaks": 0, "refused": 0, "closed": 0, "other": 0}


def exec_swap(rounds):
    """A process without a right connects and becomes a set-user-id program of a trusted user; its parent, which has
    the same connection, asks meanwhile."""
    counted = none()
    for turn in range(rounds):
        connection = socket.socket(socket.AF_UNIX)
        ready, connected = os.pipe()
        os.set_inheritable(connected, False)
        os.set_inheritable(connection.fileno(), True)

        def swap():
            become("accomplice")
            connection.connect(API)
            os.execv("/opt/test/trusted-sleep", ["trusted-sleep", "60"])

        pid = child(swap)
        os.close(connected)
        if turn % 2 == 0:
            # Closed by the exec: from here on the trusted program is at the other end.
            assert os.read(ready, 1) == b""
            with open(f"/proc/{pid}/status") as status:
                users = next(line for line in status if line.startswith("Uid:")).split()
            assert int(users[2]) == pwd.getpwnam("trusted").pw_uid
        else:
            while not is_connected(connection):
                time.sleep(random.uniform(0, 0.0005))
        os.close(ready)
        judge(ask(connection, PATHS[turn // 2 % 2]), counted)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return counted


def is_connected(connection):
    try:
        connection.getpeername()
        return True
    except OSError:
        return False


def next_pid_is(pid):
    with open("/proc/sys/kernel/ns_last_pid", "w") as last:
        last.write(str(pid - 1))


def pid_reuse(rounds):
    """While the daemon stands still, a process connects and ends, and one of a trusted unit gets its number."""
    counted = none() | {"hits": 0}
    while counted["hits"] < rounds:
        os.kill(DAEMON, signal.SIGSTOP)
        connection = socket.socket(socket.AF_UNIX)

        def leave():
            become("accomplice")
            connection.connect(API)

        first = child(leave)
        assert ended_well(first)
        ready, told = os.pipe()

        def stay():
            with open(TRUSTED_GROUP, "w") as group:
                group.write("0")
            become("accomplice")
            os.write(told, b"1")
            time.sleep(60)

        next_pid_is(first)
        second = child(stay)
        os.read(ready, 1)
        os.close(ready)
        os.close(told)
        os.kill(DAEMON, signal.SIGCONT)
        if second == first:
            counted["hits"] += 1
            judge(ask(connection, PATHS[0]), counted)
        os.kill(second, signal.SIGKILL)
        os.waitpid(second, 0)
    return counted


def twin():
    """What the trick above pretends to be gets the token."""
    def work():
        with open(TRUSTED_GROUP, "w") as group:
            group.write("0")
        become("accomplice")
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(API)
        assert TOKEN in ask(connection, PATHS[0])

    return {"leaks": 0, "served": int(ended_well(child(work)))}


def die_after_connect(rounds):
    """The process that connected ends before, while or after the connection is accepted."""
    counted = none()
    for turn in range(rounds):
        connection = socket.socket(socket.AF_UNIX)

        def leave():
            become("accomplice")
            connection.connect(API)
            time.sleep(random.uniform(0, 0.002))

        pid = child(leave)
        if turn % 2 == 0:
            assert ended_well(pid)
        else:
            while not is_connected(connection):
                pass
        judge(ask(connection, PATHS[turn // 2 % 2]), counted)
        if turn % 2:
            os.waitpid(pid, 0)
    return counted


def lying_name():
    """A caller gives its own end a name that says who it would like to be."""
    counted = none()
    for name in ["\0" + "0123456789abcdef/unit/a.service/token", "/tmp/x;pid=1;uid=0;gid=0;"]:
        connection = socket.socket(socket.AF_UNIX)

        def connect():
            become("accomplice")
            connection.bind(name)
            connection.connect(API)

        assert ended_well(child(connect))
        judge(ask(connection, PATHS[0]), counted)
    return counted


def squat():
    """Somebody without a right lays things where the sockets are, and takes the name on the bus."""
    counted = none()

    def attempts():
        become("accomplice")
        tries = [
            lambda: os.unlink(API),
            lambda: os.rename(API, API + ".old"),
            lambda: os.symlink("/tmp/trap", "/run/bearerd/credential2.sock"),
            lambda: os.mkdir("/run/bearerd/clients/other"),
            lambda: os.symlink("/tmp", "/run/bearerd/clients/other"),
            lambda: socket.socket(socket.AF_UNIX).bind("/run/bearerd/other.sock"),
            lambda: os.mkdir("/run/bearerd2"),
            lambda: os.rename("/run/bearerd", "/run/old"),
            lambda: os.listdir("/run/bearerd/clients"),
        ]
        for attempt in tries:
            try:
                attempt()
            except PermissionError:
                continue
            os._exit(1)

    counted["refused" if ended_well(child(attempts)) else "leaks"] += 1
    return counted


def abstract():
    """Of the daemon's sockets none has a name that is not a path."""
    numbers = set()
    for descriptor in os.listdir(f"/proc/{DAEMON}/fd"):
        try:
            numbers.add(os.readlink(f"/proc/{DAEMON}/fd/{descriptor}").removeprefix("socket:[").removesuffix("]"))
        except FileNotFoundError:
            pass
    counted = {"leaks": 0, "paths": 0}
    with open("/proc/net/unix") as sockets:
        for line in sockets:
            columns = line.split()
            if len(columns) == 8 and columns[6] in numbers:
                counted["leaks" if columns[7].startswith("@") else "paths"] += 1
    return counted


TOKEN = open("/tmp/token").read().strip().encode()
DAEMON = int(sys.argv[1])
TRICK, ARGUMENTS = sys.argv[2], [int(argument) for argument in sys.argv[3:]]
assert TOKEN and grp.getgrnam("bearerd")
COUNTED = globals()[TRICK](*ARGUMENTS)
print(TRICK, *[f"{what} {number}" for what, number in COUNTED.items()])
GOOD = COUNTED["leaks"] == 0 and COUNTED.get("other", 0) == 0 and COUNTED.get("served", 1) == 1
sys.exit(0 if GOOD else 1)
