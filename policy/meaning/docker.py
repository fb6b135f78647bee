"""Options of a container as Docker 26.1.5 reads them: users, flags of mounts, security options, seccomp profiles."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

HARMLESS = frozenset({"CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "NET_BIND_SERVICE", "SETGID", "SETUID"})
"""Those of Docker's default capabilities that affect only the container's own files and processes."""

_NUMBER = re.compile(r"[+-]?[0-9]+")
_TRUE, _FALSE = frozenset({"1", "t", "T", "TRUE", "true", "True"}), frozenset({"0", "f", "F", "FALSE", "false", "False"})
"""The values of Go's strconv.ParseBool."""

_REFUSING = frozenset(f"SCMP_ACT_{action}" for action in ("ERRNO", "KILL", "KILL_PROCESS", "KILL_THREAD", "TRAP"))
_CALLS = """
_sysctl acct add_key bpf chroot clock_settime clock_settime64 clone clone3 create_module delete_module fanotify_init
finit_module fsconfig fsmount fsopen fspick get_kernel_syms get_mempolicy init_module io_uring_enter io_uring_register
io_uring_setup ioperm iopl kcmp kexec_file_load kexec_load keyctl lookup_dcookie mbind mount mount_setattr move_mount
move_pages nfsservctl open_by_handle_at open_tree perf_event_open personality pidfd_getfd pivot_root process_madvise
query_module quotactl quotactl_fd reboot request_key set_mempolicy set_mempolicy_home_node setdomainname sethostname setns
settimeofday stime swapoff swapon sysfs syslog umount umount2 unshare uselib userfaultfd ustat vhangup vm86 vm86old
"""
_BLOCKED = frozenset(_CALLS.split())
"""System calls that Docker's own profile (profiles/seccomp/default.json, v26.1.5) denies, or allows only with a capability."""
_BY_ARGUMENT = frozenset({"clone", "personality"})
"""System calls that Docker's own profile allows for some arguments."""


def capability(name: str) -> str:
    """The capability's name without CAP_, in capitals."""
    return name.upper().removeprefix("CAP_")


def is_root(user: str) -> bool:
    """Whether `user` or `user:group` is uid 0: a number in any form that Go's Atoi takes, or left out before a group."""
    name = user.partition(":")[0]
    return bool(user) and (name in ("", "root") or bool(_NUMBER.fullmatch(name) and int(name) == 0))


def lasting(options: str, flag: str) -> bool:
    """Whether the last option about a mount's flag sets it: `noexec` of `exec,noexec`."""
    said = [option for option in options.split(",") if option in (flag, flag.removeprefix("no"))]
    return bool(said) and said[-1] == flag


def security_option(option: str) -> tuple[str, str]:
    """Key and value of a security option."""
    separator = "=" if "=" in option else ":"
    key, _, value = option.partition(separator)
    return key, value


def keeps_privileges_down(options: Iterable[str]) -> bool:
    """Whether no-new-privileges is set and never unset: the provider keeps options as a set, without their order."""
    said = [value for key, value in map(security_option, options) if key == "no-new-privileges"]
    return bool(said) and all(value in ("", *_TRUE) for value in said)


def loosened(option: str) -> str:
    """What a security option removes from Docker's default confinement; empty for nothing."""
    key, value = security_option(option)
    match key:
        case "no-new-privileges":
            return "" if value in ("", *_TRUE, *_FALSE) else "no-new-privileges neither on nor off"
        case "seccomp" if value != "builtin":
            return _loosened_seccomp(value)
        case "apparmor" if value != "docker-default":
            return f"apparmor={value or '(empty)'}"
        case "seccomp" | "apparmor":
            return ""
    return f"{key}={value}" if value else key


def _loosened_seccomp(profile: str) -> str:
    if not profile.lstrip().startswith("{"):
        return f"seccomp={profile or '(empty)'}"
    try:
        allowed = sorted(set(_allowed(json.loads(profile))))
    except (ValueError, AttributeError, TypeError):
        return "seccomp= a profile that cannot be read"
    shown = f"{', '.join(allowed[:3])}{' ...' if allowed[3:] else ''}"
    return f"seccomp= a profile that lets through {shown}" if allowed else ""


def _allowed(profile: Mapping[str, Any]) -> Iterator[str]:
    if profile.get("defaultAction") not in _REFUSING:
        yield "whatever it does not name"
    for rule in profile.get("syscalls") or ():
        if rule.get("action") in _REFUSING or (rule.get("includes") or {}).get("caps"):
            continue
        for name in [*(rule.get("names") or ()), *([rule["name"]] if rule.get("name") else ())]:
            if name in _BLOCKED and not (name in _BY_ARGUMENT and rule.get("args")):
                yield name
