//! What happens between a router and keepalived.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};

use standfast_lab::trial::TestResult;
use standfast_lab::{Lab, wait_until, write_program};
use standfast_vrrp::driver::{Request, request};

use crate::pair::{Fallible, LIMIT, Pair, Variant};

/// Both are master and backup in turn: by start, by crash, by farewell, by preemption each way.
pub(crate) fn take_turns(lab: &Lab, variant: Variant) -> TestResult {
    let pair = Pair::new(lab, variant)?;
    let _theirs = pair.start_keepalived(100, "", "")?;
    pair.wait_master(&pair.theirs)?;

    let weak = pair.start_ours(50, "")?;
    pair.wait_log(&weak, "to=BACKUP", 1)?;
    pair.theirs.kill()?;
    pair.wait_log(&weak, "to=MASTER", 1)?;
    pair.wait_reached(&pair.ours)?;

    pair.theirs.restart()?;
    let theirs = pair.start_keepalived(100, "", "")?;
    pair.wait_log(&weak, "to=BACKUP", 2)?;
    pair.wait_master(&pair.theirs)?;
    weak.terminate(LIMIT)?;

    let strong = pair.start_ours(150, "")?;
    pair.wait_log(&strong, "to=MASTER", 1)?;
    pair.wait_master(&pair.ours)?;
    strong.terminate(LIMIT)?;
    pair.wait_master(&pair.theirs)?;

    let weak = pair.start_ours(50, "")?;
    pair.wait_log(&weak, "to=BACKUP", 1)?;
    theirs.terminate(LIMIT)?;
    pair.wait_master(&pair.ours)?;
    assert!(!weak.log().contains("ERROR"), "{}", weak.log());
    weak.terminate(LIMIT)?;
    assert!(!pair.has(&pair.ours, pair.address()));
    Ok(())
}

/// A number in a file moves the priority, on our side and on theirs.
pub(crate) fn tracking(lab: &Lab) -> TestResult {
    let pair = Pair::new(lab, Variant::default())?;
    let (our_number, their_number) = (pair.file("ours.number"), pair.file("theirs.number"));
    fs::write(&our_number, "0\n")?;
    fs::write(&their_number, "0\n")?;
    let before = format!("track_file number {{\n file {}\n}}\n", their_number.display());
    let extra = " track_file {\n number weight 1\n }\n";
    let theirs = pair.start_keepalived(100, extra, &before)?;
    let settings = format!(
        "{}track = [{{ file = \"number\" }}]\n[[vrrp.file]]\nname = \"number\"\npath = {our_number:?}\n",
        pair.settings(110, "")
    );
    let ours = pair.run_ours(&settings)?;
    pair.wait_master(&pair.ours)?;
    fs::write(&our_number, "-20\n")?;
    pair.wait_master(&pair.theirs)?;
    fs::write(&their_number, "-15\n")?;
    pair.wait_master(&pair.ours)?;
    fs::write(&their_number, "0\n")?;
    pair.wait_master(&pair.theirs)?;
    fs::write(&our_number, "0\n")?;
    pair.wait_master(&pair.ours)?;
    // Below -253 it is no priority but a fault.
    fs::write(&our_number, "-254\n")?;
    pair.wait_log(&ours, "to=FAULT", 1)?;
    pair.wait_master(&pair.theirs)?;
    theirs.terminate(LIMIT)?;
    ours.terminate(LIMIT)?;
    Ok(())
}

/// The owner of the addresses is master at once, whoever is.
pub(crate) fn owner(lab: &Lab) -> TestResult {
    let pair = Pair::new(lab, Variant::default())?;
    let _theirs = pair.start_keepalived(254, "", "")?;
    pair.wait_master(&pair.theirs)?;
    let ours = pair.start_ours(255, "")?;
    pair.wait_log(&ours, "from=STOP to=MASTER", 1)?;
    pair.wait_master(&pair.ours)?;
    ours.terminate(LIMIT)?;
    pair.wait_master(&pair.theirs)
}

fn command(program: &std::path::Path) -> std::process::Command {
    let mut command = std::process::Command::new(program);
    command.arg("1000");
    command
}

/// A script and a process that are tracked: a fault when they fail, and back.
pub(crate) fn checks(lab: &Lab) -> TestResult {
    let pair = Pair::new(lab, Variant::default())?;
    fs::set_permissions(lab.dir(), fs::Permissions::from_mode(0o755))?;
    let flag = pair.file("flag");
    let program = pair.file("tracked-program");
    write_program(&program, &fs::read("/bin/sleep")?)?;
    let start = || pair.ours.start("tracked", command(&program));
    let settings = format!(
        "{}track = [{{ script = \"flag\" }}, {{ process = \"program\" }}]\n\
         [[vrrp.script]]\nname = \"flag\"\ncommand = [\"/usr/bin/test\", \"-e\", {flag:?}]\n\
         interval = \"50ms\"\ntimeout = \"5s\"\nrise = 2\nfall = 2\n\
         [[vrrp.process]]\nname = \"program\"\nprocess = \"tracked-program\"\ninterval = \"50ms\"\n",
        pair.settings(100, "")
    );
    fs::write(&flag, "")?;
    let tracked = start()?;
    let ours = pair.run_ours(&settings)?;
    pair.wait_log(&ours, "to=MASTER", 1)?;
    fs::remove_file(&flag)?;
    pair.wait_log(&ours, "to=FAULT", 1)?;
    wait_until(LIMIT, "the address to go", || !pair.has(&pair.ours, pair.address()))?;
    fs::write(&flag, "")?;
    pair.wait_log(&ours, "to=MASTER", 2)?;
    tracked.kill()?;
    pair.wait_log(&ours, "to=FAULT", 2)?;
    let _tracked = start()?;
    pair.wait_log(&ours, "to=MASTER", 3)?;
    ours.terminate(LIMIT)?;
    Ok(())
}

fn tell(socket: &std::path::Path, told: &Request) -> Fallible<serde_json::Value> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(request(socket, told))?)
}

/// We join beside a running master, take over when told, hand back, and replace it.
pub(crate) fn migration(lab: &Lab) -> TestResult {
    let pair = Pair::new(lab, Variant { version: 2, password: true, ..Variant::default() })?;
    let theirs = pair.start_keepalived(200, "", "")?;
    pair.wait_master(&pair.theirs)?;
    let socket = pair.file("control");
    let settings = format!("[vrrp]\ncontrol_socket = {socket:?}\n{}", pair.settings(100, ""));
    let ours = pair.run_ours(&settings)?;
    pair.wait_log(&ours, "to=BACKUP", 1)?;
    let mode = fs::metadata(&socket)?.permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "nobody else may command");
    let one = || "one".to_owned();
    let state = tell(&socket, &Request::TakeOver { instance: one() })?;
    assert_eq!(state["instances"][0]["state"], "MASTER", "{state}");
    pair.wait_master(&pair.ours)?;
    tell(&socket, &Request::HandBack { instance: one() })?;
    pair.wait_master(&pair.theirs)?;
    tell(&socket, &Request::Release { instance: one() })?;
    theirs.terminate(LIMIT)?;
    pair.wait_master(&pair.ours)?;
    let state = tell(&socket, &Request::Status)?;
    assert_eq!(state["instances"][0]["priority"], 100, "{state}");
    let unknown = tell(&socket, &Request::TakeOver { instance: "two".into() });
    assert!(unknown.unwrap_err().to_string().contains("`two`"));
    ours.terminate(LIMIT)?;
    assert!(!socket.exists());
    Ok(())
}

/// Two routers in a sync group on both sides; the loss of one moves both.
pub(crate) fn groups(lab: &Lab) -> TestResult {
    let pair = Pair::new(lab, Variant::default())?;
    let second = lab.floating_addresses()?.v4;
    let number = pair.file("number");
    fs::write(&number, "0\n")?;
    let other = format!(
        "vrrp_sync_group both {{\n group {{\n one\n two\n }}\n}}\n\
         vrrp_instance two {{\n state BACKUP\n interface eth0\n version 3\n virtual_router_id 52\n \
         priority 100\n advert_int 0.1\n virtual_ipaddress {{\n {second}/24\n }}\n}}\n"
    );
    let _theirs = pair.start_keepalived(100, "", &other)?;
    let settings = format!(
        "{}[[vrrp.instance]]\nname = \"two\"\ninterface = \"eth0\"\nrouter_id = 52\npriority = 150\n\
         advert_interval = \"100ms\"\naddresses = [\"{second}/24\"]\n\
         track = [{{ file = \"number\", weight = 0 }}]\n\
         [[vrrp.file]]\nname = \"number\"\npath = {number:?}\n\
         [[vrrp.group]]\nname = \"both\"\ninstances = [\"one\", \"two\"]\n",
        pair.settings(150, "")
    );
    let ours = pair.run_ours(&settings)?;
    pair.wait_master(&pair.ours)?;
    wait_until(LIMIT, "the second address", || pair.has(&pair.ours, second.into()))?;
    fs::write(&number, "1\n")?;
    pair.wait_log(&ours, "group=\"both\" to=FAULT", 1)?;
    pair.wait_master(&pair.theirs)?;
    wait_until(LIMIT, "the second address", || pair.has(&pair.theirs, second.into()))?;
    fs::write(&number, "0\n")?;
    pair.wait_master(&pair.ours)?;
    wait_until(LIMIT, "the second address", || !pair.has(&pair.theirs, second.into()))?;
    Ok(())
}

/// Scripts get Keepalived's arguments, in order, as their user; the FIFO gets its lines.
pub(crate) fn notify(lab: &Lab) -> TestResult {
    let pair = Pair::new(lab, Variant::default())?;
    let dir = pair.file("told");
    fs::create_dir(&dir)?;
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o777))?;
    let (fifo, told) = (pair.file("fifo"), dir.join("log"));
    let script = dir.join("script");
    let text = format!("#!/bin/sh\necho \"$(id -un) $*\" >> {}\n", told.display());
    write_program(&script, text.as_bytes())?;
    fs::set_permissions(lab.dir(), fs::Permissions::from_mode(0o755))?;
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU)?;
    let mut reader =
        fs::OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&fifo)?;
    let settings = format!(
        "[vrrp]\nnotify_fifo = {fifo:?}\nscript_user = \"daemon\"\n{}\n\
         [[vrrp.instance.notify]]\ncommand = [{script:?}, \"first\"]\n\
         [[vrrp.instance.notify]]\ncommand = [{script:?}, \"alone\"]\non = [\"master\"]\n\
         arguments = false\nuser = \"root\"\n",
        pair.settings(100, "")
    );
    let ours = pair.run_ours(&settings)?;
    pair.wait_log(&ours, "to=MASTER", 1)?;
    ours.terminate(LIMIT)?;
    assert_eq!(
        fs::read_to_string(&told)?,
        "daemon first INSTANCE one BACKUP 100\n\
         daemon first INSTANCE one MASTER 100\n\
         root alone\n\
         daemon first INSTANCE one STOP 100\n"
    );
    let mut lines = String::new();
    reader.read_to_string(&mut lines)?;
    let expected =
        ["BACKUP", "MASTER", "STOP"].map(|state| format!("INSTANCE \"one\" {state} 100\n"));
    assert_eq!(lines, expected.concat());
    Ok(())
}

/// With `accept = false` the address is found but nothing answers behind it.
pub(crate) fn no_accept(lab: &Lab) -> TestResult {
    for v6 in [false, true] {
        let pair = Pair::new(lab, Variant { v6, virtual_mac: true, ..Variant::default() });
        let Ok(pair) = pair else { return Err("the lab is full".into()) };
        let ours = pair.start_ours(100, "accept = false")?;
        pair.wait_log(&ours, "to=MASTER", 1)?;
        let address = pair.address().to_string();
        let mac = pair.mac_of(&pair.ours)?;
        wait_until(LIMIT, "the client to find the address", || {
            let ping = ["ping", "-c", "1", "-W", "1", address.as_str()];
            assert!(pair.client.run(ping).is_ok_and(|output| !output.success()));
            let show = ["ip", "neighbour", "show", address.as_str()];
            pair.client.run(show).is_ok_and(|output| output.stdout.contains(&mac))
        })?;
        assert!(!pair.has(&pair.ours, pair.address()));
        ours.terminate(LIMIT)?;
    }
    Ok(())
}

/// The interface goes down and comes back; an address that somebody removes is put back.
pub(crate) fn interfaces(lab: &Lab) -> TestResult {
    let pair = Pair::new(lab, Variant::default())?;
    let ours = pair.start_ours(100, "")?;
    pair.wait_log(&ours, "to=MASTER", 1)?;
    let address = format!("{}/24", pair.floating.v4);
    pair.ours.run(["ip", "address", "delete", address.as_str(), "dev", "eth0"])?.ok()?;
    wait_until(LIMIT, "the address to be back", || pair.has(&pair.ours, pair.address()))?;
    pair.ours.run(["ip", "link", "set", "eth0", "down"])?.ok()?;
    pair.wait_log(&ours, "to=FAULT", 1)?;
    pair.ours.run(["ip", "link", "set", "eth0", "up"])?.ok()?;
    pair.wait_log(&ours, "to=MASTER", 2)?;
    pair.wait_reached(&pair.ours)?;
    ours.kill()?;
    assert!(pair.has(&pair.ours, pair.address()), "a killed router leaves its address");
    let again = pair.start_ours(100, "")?;
    pair.wait_log(&again, "to=BACKUP", 1)?;
    pair.wait_log(&again, "to=MASTER", 1)?;
    pair.wait_reached(&pair.ours)
}

/// A real Linux's neighbour cache follows each move.
pub(crate) fn guest(lab: &Lab) -> TestResult {
    let pair = Pair::new(lab, Variant::default())?;
    let guest = lab.guest("watcher").boot()?;
    let address = pair.address().to_string();
    let follows = |host| -> TestResult {
        let mac = pair.mac_of(host)?;
        let look = format!("ip neighbour show {address}");
        wait_until(LIMIT, &format!("the guest to have {mac}"), || {
            guest.run(&look).is_ok_and(|output| output.stdout.contains(&mac))
        })?;
        wait_until(LIMIT, &format!("the guest to reach {mac}"), || {
            let ping = format!("ping -c 1 -W 2 {address}");
            guest.run(&ping).is_ok_and(|output| output.success())
        })?;
        Ok(())
    };
    let theirs = pair.start_keepalived(100, "", "")?;
    pair.wait_master(&pair.theirs)?;
    guest.run(&format!("ping -c 3 -W 2 {address}"))?;
    follows(&pair.theirs)?;
    let ours = pair.start_ours(150, "")?;
    pair.wait_master(&pair.ours)?;
    follows(&pair.ours)?;
    ours.terminate(LIMIT)?;
    follows(&pair.theirs)?;
    let ours = pair.start_ours(50, "")?;
    pair.wait_log(&ours, "to=BACKUP", 1)?;
    theirs.terminate(LIMIT)?;
    follows(&pair.ours)
}
