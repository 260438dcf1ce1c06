//! What minor version 2 of NFSv4 adds: holes, reserved space, clones, copies inside the server,
//! extended attributes; and access control lists.

use std::fs::File;
use std::path::PathBuf;

use libtest_mimic::Trial;
use standfast_lab::trial::trial;
use standfast_lab::{Host, Lab, MIB, Requirement};
use standfast_tests::Result;
use standfast_tests::guests::{MOUNT, on_mount};
use standfast_tests::server::{Server, export};

const DISKS: &[Requirement] = &[
    Requirement::Guests,
    Requirement::Program("mount.nfs"),
    Requirement::Program("mkfs.ext4"),
    Requirement::Program("mkfs.xfs"),
    Requirement::Program("mkfs.btrfs"),
    Requirement::Program("python3"),
    Requirement::File("/dev/loop-control"),
];

const OPTIONS: &str = "vers=4.2,proto=tcp,retry=1";

/// A filesystem to serve.
#[derive(Clone, Copy)]
struct Disk {
    kind: &'static str,
    mib: u64,
    clones: bool,
}

const EXT4: Disk = Disk { kind: "ext4", mib: 256, clones: false };
const XFS: Disk = Disk { kind: "xfs", mib: 384, clones: true };
const BTRFS: Disk = Disk { kind: "btrfs", mib: 384, clones: true };

pub(crate) fn stories() -> Vec<Trial> {
    vec![
        trial("parts_of_files_on_ext4", DISKS, |lab| parts(lab, EXT4)),
        trial("parts_of_files_on_xfs", DISKS, |lab| parts(lab, XFS)),
        trial("parts_of_files_on_btrfs", DISKS, |lab| parts(lab, BTRFS)),
    ]
}

/// Mounts a new filesystem on a host, and gives the directory.
fn mounted_disk(lab: &Lab, host: &Host, disk: Disk) -> Result<PathBuf> {
    let (image, directory) = (lab.dir().join("image"), lab.dir().join("disk"));
    File::create_new(&image)?.set_len(disk.mib * MIB)?;
    std::fs::create_dir(&directory)?;
    let (image, at) = (image.display().to_string(), directory.display().to_string());
    host.run([&*format!("mkfs.{}", disk.kind), "-q", &image])?.ok()?;
    host.run(["mount", "-t", disk.kind, "-o", "loop", &image, &at])?.ok()?;
    host.run(["chmod", "777", &at])?.ok()?;
    Ok(directory)
}

fn parts(lab: &Lab, disk: Disk) -> Result {
    let mut server = Server::prepare(lab, "")?;
    let directory = mounted_disk(lab, &server.host, disk)?;
    server.write_settings(&export(&directory, "/export", &["*:rw,no_root_squash"]))?;
    server.restart()?;
    let guest = lab.guest("client").boot()?;
    guest.mount_nfs(server.v4(), "/export", OPTIONS, MOUNT)?;
    on_mount(&guest, HOLES)?;
    on_mount(&guest, RESERVED)?;
    on_mount(&guest, COPIED)?;
    if disk.clones {
        on_mount(&guest, CLONED)?;
    } else {
        on_mount(&guest, "fails cp --reflink=always copied cloned")?;
    }
    on_mount(&guest, EXTENDED)?;
    Ok(())
}

/// SEEK, DEALLOCATE and READ (READ_PLUS, where the client uses it).
const HOLES: &str = "
    python3 - <<'END'
import os
size, block = 16 << 20, 1 << 20
fd = os.open('holes', os.O_RDWR | os.O_CREAT)
os.ftruncate(fd, size)
for at in (3, 4, 9):
    os.pwrite(fd, bytes([at]) * block, at * block)
os.fsync(fd)
def seek(at, what):
    try:
        return os.lseek(fd, at, what) / block
    except OSError as error:
        return error.errno
assert seek(0, os.SEEK_DATA) == 3, seek(0, os.SEEK_DATA)
assert seek(3 * block, os.SEEK_HOLE) == 5, seek(3 * block, os.SEEK_HOLE)
assert seek(5 * block, os.SEEK_DATA) == 9
assert seek(9 * block, os.SEEK_HOLE) == 10
assert seek(10 * block, os.SEEK_DATA) == 6
assert seek(10 * block, os.SEEK_HOLE) == 10
END
    fallocate --punch-hole --offset 4M --length 1M holes
    echo 3 >/proc/sys/vm/drop_caches
    python3 - <<'END'
import os
block = 1 << 20
data = open('holes', 'rb').read()
assert len(data) == 16 * block
for at in range(16):
    expected = at if at in (3, 9) else 0
    assert data[at * block:(at + 1) * block] == bytes([expected]) * block, at
fd = os.open('holes', os.O_RDONLY)
assert os.lseek(fd, 3 * block, os.SEEK_HOLE) == 4 * block
END";

/// ALLOCATE.
const RESERVED: &str = "
    fallocate --length 8M reserved
    [ $(stat -c %s reserved) = 8388608 ]
    [ $(stat -c %b reserved) -ge 16384 ]
    fails fallocate --length 1T reserved2
    cmp -n 8388608 reserved /dev/zero";

/// COPY, also of more than is copied before an answer.
const COPIED: &str = "
    head -c 90000001 /dev/urandom >source
    python3 - <<'END'
import os
source = os.open('source', os.O_RDONLY)
target = os.open('copied', os.O_RDWR | os.O_CREAT)
size = os.fstat(source).st_size
copied = 0
while copied < size:
    more = os.copy_file_range(source, target, size - copied)
    assert more > 0
    copied += more
os.fsync(target)
END
    cmp source copied
    echo 3 >/proc/sys/vm/drop_caches
    cmp source copied; rm source";

/// CLONE.
const CLONED: &str = "
    cp --reflink=always copied cloned
    echo 3 >/proc/sys/vm/drop_caches
    cmp copied cloned
    printf changed | dd of=cloned conv=notrunc status=none
    fails cmp -s copied cloned
    rm cloned copied";

/// Extended attributes and who may use them.
const EXTENDED: &str = "
    echo data >file; chmod 644 file
    python3 - <<'END'
import os, errno
for at in range(50):
    os.setxattr('file', f'user.name{at}', b'%d' % at)
os.setxattr('file', 'user.name0', b'new', os.XATTR_REPLACE)
def refused(number, act, *args):
    try:
        act(*args)
    except OSError as error:
        assert error.errno == number, error
        return
    raise AssertionError(args)
refused(errno.EEXIST, os.setxattr, 'file', 'user.name0', b'', os.XATTR_CREATE)
refused(errno.ENODATA, os.setxattr, 'file', 'user.none', b'', os.XATTR_REPLACE)
refused(errno.ENODATA, os.getxattr, 'file', 'user.none')
assert os.getxattr('file', 'user.name0') == b'new'
assert os.getxattr('file', 'user.name49') == b'49'
os.removexattr('file', 'user.name7')
refused(errno.ENODATA, os.removexattr, 'file', 'user.name7')
names = {name for name in os.listxattr('file') if name.startswith('user.')}
assert names == {f'user.name{at}' for at in range(50) if at != 7}, names
os.setxattr('file', 'user.long', b'x' * 2000)
END
    echo 3 >/proc/sys/vm/drop_caches
    [ $(python3 -c \"import os; print(len(os.getxattr('file', 'user.long')))\") = 2000 ]
    fails setpriv --reuid 12345 --clear-groups \\
        python3 -c \"import os; os.setxattr('file', 'user.mine', b'')\"";
