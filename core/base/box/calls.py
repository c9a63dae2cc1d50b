"""Numbers of system calls, for x86-64 and for arm64.

Of arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h.
"""

from __future__ import annotations

_TABLE = """
    socket 41 198, connect 42 203, bind 49 200, listen 50 201, accept 43 202, accept4 288 242, socketpair 53 199,
    io_uring_setup 425 425, io_uring_enter 426 426, io_uring_register 427 427, ptrace 101 117, process_vm_readv 310 270,
    process_vm_writev 311 271, kcmp 312 272, pidfd_getfd 438 438, process_madvise 440 440, move_pages 279 239,
    migrate_pages 256 238, prlimit64 302 261, setpriority 141 140, ioprio_set 251 30, sched_setparam 142 118,
    sched_setscheduler 144 119, sched_setattr 314 274, unshare 272 97, setns 308 268, clone 56 220, clone3 435 435, mount
    165 40, umount2 166 39, pivot_root 155 41, chroot 161 51, fsopen 430 430, fsconfig 431 431, fsmount 432 432, fspick
    433 433, open_tree 428 428, move_mount 429 429, mount_setattr 442 442, add_key 248 217, request_key 249 218, keyctl
    250 219, bpf 321 280, perf_event_open 298 241, userfaultfd 323 282, open_by_handle_at 304 265, init_module 175 105,
    finit_module 313 273, delete_module 176 106, kexec_load 246 104, kexec_file_load 320 294, reboot 169 142, swapon 167
    224, swapoff 168 225, acct 163 89, quotactl 179 60, quotactl_fd 443 443, settimeofday 164 170, clock_settime 227 112,
    sethostname 170 161, setdomainname 171 162, iopl 172 -, ioperm 173 -, syslog 103 116, vhangup 153 58, setsid 112 157,
    setpgid 109 154, chmod 90 -, fchmod 91 52, fchmodat 268 53, fchmodat2 452 452, chown 92 -, fchown 93 55, lchown 94 -,
    fchownat 260 54, utime 132 -, utimes 235 -, futimesat 261 -, utimensat 280 88, setxattr 188 5, lsetxattr 189 6,
    fsetxattr 190 7, setxattrat 463 463, removexattr 197 14, lremovexattr 198 15, fremovexattr 199 16, removexattrat 466
    466, truncate 76 45, kill 62 129, tkill 200 130, tgkill 234 131, rt_sigqueueinfo 129 138, rt_tgsigqueueinfo 297 240,
    pidfd_send_signal 424 424, msgget 68 186, semget 64 190, shmget 29 194, mq_open 240 180, memfd_secret 447 447,
    shmat 30 196, shmctl 31 195, semop 65 193, semctl 66 191, semtimedop 220 192, msgsnd 69 189, msgrcv 70 188, msgctl 71
    187, mq_unlink 241 181, inotify_add_watch 254 27, fanotify_init 300 262, fanotify_mark 301 263, adjtimex 159 171,
    clock_adjtime 305 266, process_mrelease 448 448, statmount 457 457, listmount 458 458, open_tree_attr 467 467,
    file_setattr 469 469, listns 470 470, fcntl 72 25, ioctl 16 29, prctl 157 167
"""  # name, x86-64, arm64; "-" where it has none


def _column(place: int) -> dict[str, int]:
    rows = [entry.split() for entry in _TABLE.split(",")]
    return {row[0]: int(row[place]) for row in rows if row[place] != "-"}


X86_64, ARM64 = _column(1), _column(2)
NEWEST = 470  # of the calls that were looked at; what came later may do anything
