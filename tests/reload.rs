//! Settings change while clients work; a broken file changes nothing.

use std::fs;
use std::path::{Path, PathBuf};

use libtest_mimic::Trial;
use standfast_lab::trial::trial;
use standfast_lab::{Guest, Lab, Signal, wait_until};
use standfast_tests::guests::{GUESTS, MOUNT, OPTIONS};
use standfast_tests::server::{Server, export};
use standfast_tests::{Result, SOON};

pub(crate) fn stories() -> Vec<Trial> {
    vec![
        trial("settings_change_while_clients_work", GUESTS, changes),
        trial("an_export_that_is_taken_away_is_stale", GUESTS, taken_away),
        trial("check_says_what_is_wrong_and_where", &[], check),
        trial("serve_offers_a_directory_without_settings", GUESTS, serve),
    ]
}

fn directory(lab: &Lab, name: &str) -> Result<PathBuf> {
    let path = lab.dir().join(name);
    fs::create_dir(&path)?;
    Ok(path)
}

fn allowed(directory: &Path, path: &str) -> String {
    export(directory, path, &["*:rw,no_root_squash"])
}

/// How many rounds of work a client has done without an error.
fn rounds(guest: &Guest) -> u32 {
    let read = guest.run("cat /tmp/rounds").map(|output| output.stdout).unwrap_or_default();
    read.trim().parse().unwrap_or(0)
}

fn changes(lab: &Lab) -> Result {
    let (first, second) = (directory(lab, "first")?, directory(lab, "second")?);
    let server = Server::start_with(lab, &allowed(&first, "/first"))?;
    let guest = lab.guest("client").boot()?;
    guest.mount_nfs(server.v4(), "/first", OPTIONS, MOUNT)?;
    let worker = guest.spawn(&format!(
        "set -e; cd {MOUNT}; n=0; while :; do
             n=$((n + 1)); echo $n >new; mv new file; read seen <file; [ $seen = $n ]
             mkdir d; rmdir d; echo $n >/tmp/rounds
         done"
    ))?;
    let goes_on = || -> Result {
        let now = rounds(&guest);
        wait_until(SOON, "the client to go on", || rounds(&guest) > now + 3)?;
        assert!(worker.is_running(), "the client saw an error: {}", worker.stderr());
        Ok(())
    };
    goes_on()?;
    // Another export, other limits, other groups; then back again.
    let more = allowed(&first, "/first")
        + &allowed(&second, "/second")
        + "[limits]\nmax_read = \"64KiB\"\nmax_write = \"64KiB\"\n[groups]\nlookup = \"never\"\n";
    server.write_settings(&more)?;
    let said = server.reload()?;
    assert!(said.contains("max_read"), "{said}");
    goes_on()?;
    guest.mount_nfs(server.v4(), "/second", OPTIONS, "/mnt/second")?;
    guest.run("echo x >/mnt/second/file")?.ok()?;

    // A broken file: an error that names the place, and what was in force stays.
    server.write_settings(&format!("{more}[limits]\n"))?;
    let refused = server.run(&["reload"])?;
    assert!(!refused.success() && refused.stdout.contains("standfast.toml:"), "{refused}");
    assert!(server.status()?["server"]["settings_problem"].is_string());
    goes_on()?;
    guest.run("echo y >>/mnt/second/file")?.ok()?;

    // A good one again, by signal.
    server.write_settings(&allowed(&first, "/first"))?;
    server.daemon()?.signal(Signal::SIGHUP)?;
    let exports = || server.status().map_or(0, |s| s["exports"].as_array().map_or(0, Vec::len));
    wait_until(SOON, "the second export to be gone", || exports() == 1)?;
    assert!(server.status()?["server"]["settings_problem"].is_null());
    goes_on()?;
    status(&server, &guest)?;
    Ok(worker.kill()?)
}

/// What `standfast status` tells of a client that works.
fn status(server: &Server, guest: &Guest) -> Result {
    let status = server.status()?;
    let export = &status["exports"][0];
    assert_eq!(export["path"], "/first");
    assert!(export["operations"].as_u64() > Some(10), "{status}");
    let address = guest.addresses().v4.to_string();
    let client = status["clients"]
        .as_array()
        .and_then(|all| {
            all.iter().find(|client| {
                client["address"].as_str().is_some_and(|a| a.starts_with(&format!("{address}:")))
            })
        })
        .ok_or_else(|| format!("the client is not in {status}"))?;
    assert_eq!(client["transport"], "tcp");
    assert!(client["calls"].as_u64() > Some(10) && client["last_call"].is_string(), "{status}");
    let table = server.run(&["status"])?.ok()?;
    for part in ["EXPORTS", "CLIENTS", "/first", &*address] {
        assert!(table.contains(part), "{part} is not in {table}");
    }
    Ok(())
}

fn taken_away(lab: &Lab) -> Result {
    let (first, second) = (directory(lab, "first")?, directory(lab, "second")?);
    let both = allowed(&first, "/first") + &allowed(&second, "/second");
    let server = Server::start_with(lab, &both)?;
    let guest = lab.guest("client").boot()?;
    guest.mount_nfs(server.v4(), "/first", OPTIONS, "/mnt/first")?;
    guest.mount_nfs(server.v4(), "/second", OPTIONS, "/mnt/second")?;
    guest.run("echo x >/mnt/first/file; echo x >/mnt/second/file")?.ok()?;
    server.write_settings(&allowed(&first, "/first"))?;
    server.reload()?;
    let stale = guest.run("echo 3 >/proc/sys/vm/drop_caches; touch /mnt/second/new")?;
    assert!(stale.stderr.contains("Stale file handle"), "{stale}");
    guest.run("cat /mnt/first/file; touch /mnt/first/new")?.ok()?;
    // It comes back as it was.
    server.write_settings(&both)?;
    server.reload()?;
    guest.run("cat /mnt/second/file && touch /mnt/second/new")?.ok()?;
    Ok(())
}

fn check(lab: &Lab) -> Result {
    let exported = directory(lab, "export")?;
    let server = Server::prepare(lab, &allowed(&exported, "/export"))?;
    let check = |settings: &str| -> Result<(bool, String)> {
        server.write_settings(settings)?;
        let file = server.settings().display().to_string();
        let output = server.run(&["check", &file])?;
        Ok((output.success(), output.stdout + &output.stderr))
    };
    let good = export(&exported, "/export", &["10.9.0.0/24:rw"]);
    let (fine, said) = check(&good)?;
    assert!(fine, "{said}");
    for (wrong, expected) in [
        ("[limits]\nconections = 5\n", &["connections", ":4:1"][..]),
        ("[limits]\nidle_timeout = 5\n", &["idle_timeout", ":4:"]),
        ("[[export]]\npath = \"/\"\nallow = [\"*:rw,async\"]\n", &["async", ":5:"]),
        ("[limits\n", &[":3:"]),
    ] {
        let (fine, said) = check(&format!("{wrong}{good}"))?;
        assert!(!fine, "{wrong} is accepted: {said}");
        for part in expected {
            assert!(said.contains(part), "no {part} in what is said of {wrong}: {said}");
        }
    }
    let (fine, said) = check(&allowed(&exported, "/export"))?;
    assert!(fine && said.contains("root"), "no warning of what is dangerous: {said}");
    Ok(())
}

/// `standfast serve DIR` prints the command that mounts it.
fn serve(lab: &Lab) -> Result {
    let exported = directory(lab, "export")?;
    fs::write(exported.join("file"), "content")?;
    let host = lab.host("server")?;
    let mut command = std::process::Command::new(standfast_tests::program::standfast()?);
    command.arg("serve").arg(&exported).args(["--export", "/data", "--state-dir"]);
    command.arg(lab.dir().join("state"));
    let daemon = host.start("standfast", command)?;
    let printed =
        || daemon.log().lines().find(|line| line.starts_with("mount ")).map(str::to_owned);
    wait_until(SOON, "the mount command", || printed().is_some() || !daemon.is_running())?;
    let printed = printed().ok_or_else(|| daemon.log())?;
    let guest = lab.guest("client").boot()?;
    guest.run(&format!("echo {} server >>/etc/hosts", host.addresses().v4))?.ok()?;
    guest.run(&format!("rpcbind -w; rpc.statd; {printed}"))?.ok()?;
    assert_eq!(guest.run("cat /mnt/file")?.ok()?, "content");
    assert!(!guest.run("touch /mnt/new")?.success(), "it is read-only unless it is told");
    Ok(())
}
