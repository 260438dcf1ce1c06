//! Two hosts that share addresses, one with keepalived and one with us, and a client that uses
//! them.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use standfast_lab::trial::TestResult;
use standfast_lab::{Addresses, Daemon, Host, Lab, wait_for, wait_until};

use crate::router;

pub(crate) type Fallible<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// How long a move may take at most; a slow machine is no failure.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);
const ROUTER_ID: u8 = 51;

/// How the two speak with each other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Variant {
    pub(crate) name: &'static str,
    pub(crate) version: u8,
    pub(crate) v6: bool,
    pub(crate) password: bool,
    pub(crate) unicast: bool,
    pub(crate) virtual_mac: bool,
}

impl Default for Variant {
    fn default() -> Self {
        Self {
            name: "",
            version: 3,
            v6: false,
            password: false,
            unicast: false,
            virtual_mac: false,
        }
    }
}

impl Variant {
    fn interval(self) -> &'static str {
        if self.version == 2 { "1s" } else { "100ms" }
    }

    fn keepalived_interval(self) -> &'static str {
        if self.version == 2 { "1" } else { "0.1" }
    }
}

/// The two hosts and the client.
pub(crate) struct Pair<'a> {
    lab: &'a Lab,
    pub(crate) variant: Variant,
    pub(crate) theirs: Host,
    pub(crate) ours: Host,
    pub(crate) client: Host,
    pub(crate) floating: Addresses,
    /// How often keepalived was started.
    runs: AtomicU32,
}

impl<'a> Pair<'a> {
    pub(crate) fn new(lab: &'a Lab, variant: Variant) -> Fallible<Self> {
        Ok(Self {
            lab,
            variant,
            theirs: lab.host("theirs")?,
            ours: lab.host("ours")?,
            client: lab.host("client")?,
            floating: lab.floating_addresses()?,
            runs: AtomicU32::new(0),
        })
    }

    /// The floating address of the family in question.
    pub(crate) fn address(&self) -> IpAddr {
        if self.variant.v6 { self.floating.v6.into() } else { self.floating.v4.into() }
    }

    /// All floating addresses with their prefixes; those of IPv6 begin with a link-local one.
    fn addresses(&self) -> Vec<String> {
        if self.variant.v6 {
            vec!["fe80::5:1/64".into(), format!("{}/64", self.floating.v6)]
        } else {
            vec![format!("{}/24", self.floating.v4)]
        }
    }

    fn own(&self, host: &Host) -> IpAddr {
        if self.variant.v6 { host.addresses().v6.into() } else { host.addresses().v4.into() }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.lab.dir().join(name)
    }

    /// Starts keepalived with a priority; `extra` goes into the instance, `before` before it.
    pub(crate) fn start_keepalived(
        &self,
        priority: u8,
        extra: &str,
        before: &str,
    ) -> Fallible<Daemon> {
        let variant = self.variant;
        let mut text = format!(
            "global_defs {{\n script_user root\n enable_script_security\n}}\n{before}\n\
             vrrp_instance one {{\n state BACKUP\n interface {}\n version {}\n \
             virtual_router_id {ROUTER_ID}\n priority {priority}\n advert_int {}\n",
            self.theirs.interface(),
            variant.version,
            variant.keepalived_interval()
        );
        if variant.password {
            text.push_str(" authentication {\n auth_type PASS\n auth_pass s3cret\n }\n");
        }
        if variant.unicast {
            let (from, to) = (self.own(&self.theirs), self.own(&self.ours));
            write!(text, " unicast_src_ip {from}\n unicast_peer {{\n {to}\n }}\n")?;
        }
        if variant.virtual_mac {
            text.push_str(" use_vmac\n");
        }
        let addresses = self.addresses().join("\n");
        write!(text, " virtual_ipaddress {{\n{addresses}\n }}\n{extra}\n}}\n")?;
        self.run_keepalived(&text)
    }

    /// Starts keepalived with a whole configuration.
    pub(crate) fn run_keepalived(&self, text: &str) -> Fallible<Daemon> {
        let path = self.file("keepalived.conf");
        fs::write(&path, text)?;
        let mut command = Command::new("keepalived");
        command.args(["--dont-fork", "--log-console", "--log-detail", "--vrrp", "--use-file"]);
        // A keepalived that was killed leaves its files, and the next would take itself for the
        // second.
        let run = self.runs.fetch_add(1, Ordering::Relaxed);
        command.arg(&path).arg("--pid").arg(self.file(&format!("keepalived-{run}.pid")));
        command.arg("--vrrp_pid").arg(self.file(&format!("keepalived-vrrp-{run}.pid")));
        Ok(self.theirs.start("keepalived", command)?)
    }

    /// The settings of our router; `extra` goes into the instance.
    pub(crate) fn settings(&self, priority: u8, extra: &str) -> String {
        let variant = self.variant;
        let mut text = format!(
            "[[vrrp.instance]]\nname = \"one\"\ninterface = \"{}\"\nversion = {}\n\
             router_id = {ROUTER_ID}\npriority = {priority}\nadvert_interval = \"{}\"\n\
             addresses = {:?}\n{extra}\n",
            self.ours.interface(),
            variant.version,
            variant.interval(),
            self.addresses()
        );
        if variant.password {
            text.push_str("authentication = { type = \"pass\", password = \"s3cret\" }\n");
        }
        if variant.unicast {
            text.push_str(&format!("peers = [\"{}\"]\n", self.own(&self.theirs)));
            if variant.v6 {
                // Keepalived leaves the kernel's own hop limit there.
                text.push_str("peer_min_ttl = 64\n");
            }
        }
        if variant.virtual_mac {
            text.push_str("mac = \"virtual\"\n");
        }
        text
    }

    /// Starts our router with a priority.
    pub(crate) fn start_ours(&self, priority: u8, extra: &str) -> Fallible<Daemon> {
        self.run_ours(&self.settings(priority, extra))
    }

    /// Starts our router with whole settings.
    pub(crate) fn run_ours(&self, settings: &str) -> Fallible<Daemon> {
        let path = self.file("vrrp.toml");
        fs::write(&path, settings)?;
        let mut command = Command::new(std::env::current_exe()?);
        command.env(router::SETTINGS, &path);
        Ok(self.ours.start("router", command)?)
    }

    /// Whether `host` has the floating address.
    pub(crate) fn has(&self, host: &Host, address: IpAddr) -> bool {
        let prefix = address.to_string();
        let argv = ["ip", "-oneline", "address", "show", "to", prefix.as_str()];
        host.run(argv).is_ok_and(|output| !output.stdout.is_empty())
    }

    /// Waits until `host` has the address, the other has not, and the client reaches it.
    pub(crate) fn wait_master(&self, host: &Host) -> TestResult {
        let other = if host.name() == self.ours.name() { &self.theirs } else { &self.ours };
        let address = self.address();
        let what = format!("{address} to be on {} alone", host.name());
        wait_until(LIMIT, &what, || self.has(host, address) && !self.has(other, address))?;
        self.wait_reached(host)
    }

    /// Waits until the client's neighbour cache has the address where `host` is, and it answers.
    pub(crate) fn wait_reached(&self, host: &Host) -> TestResult {
        let mac = self.mac_of(host)?;
        let address = self.address().to_string();
        wait_until(LIMIT, &format!("the client to find {address} at {mac}"), || {
            let ping = ["ping", "-c", "1", "-W", "1", address.as_str()];
            let answers = self.client.run(ping).is_ok_and(|output| output.success());
            let show = ["ip", "neighbour", "show", address.as_str()];
            let cache = self.client.run(show).map(|output| output.stdout).unwrap_or_default();
            answers && cache.contains(&mac)
        })?;
        Ok(())
    }

    /// The Ethernet address at which the floating addresses are when `host` is master.
    pub(crate) fn mac_of(&self, host: &Host) -> Fallible<String> {
        if self.variant.virtual_mac {
            let family = if self.variant.v6 { 2 } else { 1 };
            return Ok(format!("00:00:5e:00:{family:02x}:{ROUTER_ID:02x}"));
        }
        let shown = host.run(["ip", "-oneline", "link", "show", host.interface()])?.ok()?;
        let mut words = shown.split_whitespace().skip_while(|word| *word != "link/ether");
        Ok(words.nth(1).ok_or("no Ethernet address")?.to_owned())
    }

    /// Waits until a daemon has logged a text for the `count`th time.
    pub(crate) fn wait_log(&self, daemon: &Daemon, text: &str, count: usize) -> TestResult {
        wait_for(LIMIT, &format!("`{text}` in a log"), || {
            Ok((daemon.log().matches(text).count() >= count).then_some(()))
        })?;
        Ok(())
    }
}
