"""A library that is loaded before the C library, and answers as a network file system or another host does.

    subprocess.run([…], env=load_faults(fsync_folder=errno.EINVAL))

strace can fail a system call, but it can't let a call succeed and answer with an error, or fail it for folders only.
"""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import pytest

_SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#define REAL(name) ((__typeof__(&name)) dlsym(RTLD_NEXT, #name))

static int fail(const char *number) { errno = atoi(number); return -1; }

/* FAULT_FSYNC_FOLDER=ERRNO: a folder can't be forced to disk, as on SMB. */
int fsync(int fd) {
    struct stat status;
    const char *number = getenv("FAULT_FSYNC_FOLDER");
    if (number && fstat(fd, &status) == 0 && S_ISDIR(status.st_mode)) return fail(number);
    return REAL(fsync)(fd);
}

/* FAULT_LINK_LOST=1: a link is made, but NFS repeats the request and finds the name taken. */
int link(const char *from, const char *to) {
    const char *refused = getenv("FAULT_LINK");
    if (refused) return fail(refused);
    int code = REAL(link)(from, to);
    if (code == 0 && getenv("FAULT_LINK_LOST")) { errno = EEXIST; return -1; }
    return code;
}

/* FAULT_OPEN_FILES=TEXT: files with TEXT in their names are open. NFS renames them instead of removing them. */
static int is_open(const char *path) {
    const char *text = getenv("FAULT_OPEN_FILES");
    return text && *text && strstr(path, text) != NULL;
}
int unlinkat(int fd, const char *path, int flags) {
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    if (getenv("FAULT_OPEN_FILES") && strncmp(name, ".nfs", 4) == 0) { errno = EBUSY; return -1; }
    if (!(flags & AT_REMOVEDIR) && is_open(name)) {
        char hidden[4096];
        snprintf(hidden, sizeof hidden, "%.*s.nfs%s", (int) (name - path), path, name);
        return renameat(fd, path, fd, hidden);
    }
    return REAL(unlinkat)(fd, path, flags);
}
int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }

/* FAULT_FLOCK=0 or ERRNO: locks are local to a host, or there are none. */
int flock(int fd, int operation) {
    const char *number = getenv("FAULT_FLOCK");
    if (number) return atoi(number) ? fail(number) : 0;
    return REAL(flock)(fd, operation);
}

/* FAULT_HOST=NAME: the process runs on another host. */
int uname(struct utsname *system) {
    int code = REAL(uname)(system);
    const char *host = getenv("FAULT_HOST");
    if (code == 0 && host) snprintf(system->nodename, sizeof system->nodename, "%s", host);
    return code;
}
"""


def load_faults(**faults):
    """Return the environment of a process with faults: ``link_lost=1`` sets FAULT_LINK_LOST.

    The test is skipped without a compiler.
    """
    values = {f"FAULT_{name.upper()}": str(value) for name, value in faults.items()}
    return {**os.environ, "LD_PRELOAD": str(_build_library()), **values}


@cache
def _build_library():
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("needs a C compiler for a library that answers as a network file system does")
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    atexit.register(shutil.rmtree, folder)
    (folder / "faults.c").write_text(_SOURCE)
    command = [compiler, "-shared", "-fPIC", "-O1", "-o", "faults.so", "faults.c", "-ldl"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder / "faults.so"
