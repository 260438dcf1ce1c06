//! A large directory, listed while it changes.

use std::collections::HashMap;
use std::fs::File;
use std::time::Duration;

use libtest_mimic::Trial;
use standfast_lab::trial::trial;
use standfast_lab::{Host, Lab, wait_until};
use standfast_nfs::v3::protocol::ReadDirArgs;
use standfast_tests::guests::{GUESTS, MOUNT, mounted, on_mount};
use standfast_tests::nfs3::{Answer, Nfs3};
use standfast_tests::server::Server;
use standfast_tests::{Result, SOON};

pub(crate) fn stories() -> Vec<Trial> {
    vec![trial("a_directory_of_100000_names_is_listed_while_it_changes", GUESTS, listing)]
}

/// Names that exist throughout.
const LASTING: usize = 100_000;
/// How many other names must have come and gone meanwhile, and how many listings wait for that.
const ENOUGH: u32 = 100;
const MOST_ROUNDS: usize = 30;
/// How long one listing may take.
const LIMIT: Duration = Duration::from_secs(600);

fn listing(lab: &Lab) -> Result {
    let mut server = Server::start(lab, "rw,no_root_squash,insecure")?;
    let directory = server.export().join("large");
    std::fs::create_dir(&directory)?;
    for index in 0..LASTING {
        File::create(directory.join(format!("lasting-{index}")))?;
    }
    let guest = mounted(lab, &server, "client")?;
    on_mount(&guest, "[ $(ls -f large | grep -c lasting) = 100000 ]")?;

    // Another process creates and removes names, through the same mount and past it.
    let churn = format!(
        "cd {MOUNT}/large; n=0; while :; do n=$((n + 1)); : >passing-$n; \
         rm -f passing-$((n - 50)); echo $n >/tmp/churned; done"
    );
    let churning = guest.spawn(&churn)?;
    let churned = || -> Result<u32> {
        Ok(on_mount(&guest, "cat /tmp/churned || echo 0")?.trim().parse().unwrap_or(0))
    };
    for round in 0..MOST_ROUNDS {
        if round >= 3 && churned()? > ENOUGH {
            break;
        }
        let listed = guest
            .run_within(LIMIT, &format!("echo 3 >/proc/sys/vm/drop_caches; ls -f {MOUNT}/large"))?;
        let listed = listed.ok()?;
        each_once(listed.lines().map(str::to_owned), &format!("listing {round}"))?;
    }
    let host = lab.host("raw")?;
    each_once(across_restarts(&host, &mut server)?.into_iter(), "the listing by hand")?;
    // The file is empty for a moment whenever it is written.
    wait_until(SOON, "enough names to have come and gone", || churned().is_ok_and(|n| n > ENOUGH))?;
    assert!(churning.is_running(), "{}", churning.stderr());
    Ok(churning.kill()?)
}

/// Lists the directory in small steps; the server restarts twice on the way, and each time the
/// listing goes on with the cookie that it had.
fn across_restarts(host: &Host, server: &mut Server) -> Result<Vec<String>> {
    const RESTART_AFTER: [usize; 2] = [10, 40];
    let (mut names, mut page, mut cookie) = (Vec::new(), 0, 0);
    loop {
        let (mut client, root) = Nfs3::mount(host, server.v4(), "/export")?;
        let directory = client.find(&root, "large")?;
        while !RESTART_AFTER.contains(&page) {
            let args = ReadDirArgs {
                directory: directory.clone(),
                cookie,
                verifier: [0; 8],
                count: 32768,
            };
            let listed = client.read_dir(&args)?.ok()?;
            for entry in listed.entries.0 {
                cookie = entry.cookie;
                names.push(String::from_utf8(entry.name.to_vec())?);
            }
            if listed.end {
                assert!(page > RESTART_AFTER[1]);
                return Ok(names);
            }
            assert!(names.len() < 2 * LASTING, "the listing has no end");
            page += 1;
        }
        page += 1;
        server.restart()?;
    }
}

/// Every lasting name is there exactly once, and no passing one twice.
fn each_once(names: impl Iterator<Item = String>, what: &str) -> Result {
    let mut seen: HashMap<String, usize> = HashMap::new();
    for name in names {
        *seen.entry(name).or_default() += 1;
    }
    let twice: Vec<_> = seen.iter().filter(|(_, count)| **count > 1).take(5).collect();
    assert!(twice.is_empty(), "{what}: more than once: {twice:?}");
    let lost: Vec<_> = (0..LASTING)
        .map(|index| format!("lasting-{index}"))
        .filter(|name| !seen.contains_key(name))
        .take(5)
        .collect();
    assert!(lost.is_empty(), "{what}: missing: {lost:?}");
    Ok(())
}
