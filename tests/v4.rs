//! What only NFSv4 has: one tree of all exports, mounted by address alone, over several connections.

use std::fs;

use libtest_mimic::Trial;
use standfast_lab::Lab;
use standfast_lab::trial::trial;
use standfast_tests::Result;
use standfast_tests::guests::{GUESTS, MOUNT, on_mount};
use standfast_tests::server::{Server, export};

pub(crate) fn stories() -> Vec<Trial> {
    vec![trial("all_exports_are_one_tree", GUESTS, tree)]
}

/// The root of the tree is mounted with nothing but an address, of either family.
fn tree(lab: &Lab) -> Result {
    let (one, two) = (lab.dir().join("one"), lab.dir().join("two"));
    fs::create_dir(&one)?;
    fs::create_dir(&two)?;
    let allow = &["*:rw,no_root_squash"];
    let settings = export(&one, "/one", allow) + &export(&two, "/deep/er/two", allow);
    let server = Server::start_with(lab, &settings)?;
    let guest = lab.guest("client").boot()?;
    for (address, options) in [
        (server.v4(), "vers=4.0,proto=tcp,retry=1"),
        (server.v6(), "vers=4.1,proto=tcp6,retry=1,nconnect=4"),
        (server.v4(), "vers=4.2,proto=tcp,retry=1"),
    ] {
        guest.mount_nfs(address, "/", options, MOUNT)?;
        on_mount(
            &guest,
            "[ \"$(ls)\" = \"$(printf 'deep\\none')\" ]; [ \"$(ls deep/er)\" = two ]
             echo first >one/file; echo second >deep/er/two/file
             [ $(stat -c %d one) != $(stat -c %d deep/er/two) ]
             grep -q first one/file; grep -q second deep/er/two/file
             fails touch new; fails mkdir deep/new
             fails perl -e 'rename(\"one/file\", \"deep/er/two/moved\") or die'",
        )?;
        assert_eq!(fs::read_to_string(two.join("file"))?, "second\n");
        on_mount(&guest, "rm one/file deep/er/two/file")?;
        guest
            .run(&format!("umount {MOUNT}/one; umount {MOUNT}/deep/er/two; umount {MOUNT}"))?
            .ok()?;
        // A path on the way to an export, and one inside it.
        guest.mount_nfs(address, "/deep", options, MOUNT)?;
        on_mount(&guest, "[ \"$(ls er)\" = two ]; mkdir er/two/inside")?;
        guest.run(&format!("umount {MOUNT}/er/two; umount {MOUNT}"))?.ok()?;
        guest.mount_nfs(address, "/deep/er/two/inside", options, MOUNT)?;
        on_mount(&guest, "echo inside >file; grep -q inside file; rm file")?;
        guest.run(&format!("umount {MOUNT}; : $?"))?.ok()?;
        fs::remove_dir(two.join("inside"))?;
    }
    Ok(())
}
