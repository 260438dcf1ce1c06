//! Recorded scenes of the state machine: each file in `tests/scenes` tells what happens to a
//! virtual router and what it does about it. The form of the files is told in
//! `tests/scenes/README`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at what it did not expect")]

use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use standfast_vrrp::instance::{Action, Announcements, Command, Config, Event, Instance};
use standfast_vrrp::packet::{Advertisement, Authentication, Version};

/// The words of a line: `key=value` pairs after a verb.
struct Words<'a>(Vec<&'a str>);

impl<'a> Words<'a> {
    fn value(&self, key: &str) -> Option<&'a str> {
        self.0.iter().find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
    }

    fn number(&self, key: &str) -> Option<u8> {
        self.value(key).map(|value| value.parse().unwrap())
    }

    fn duration(&self, key: &str) -> Option<Duration> {
        self.value(key).map(duration)
    }

    fn address(&self, key: &str) -> Option<IpAddr> {
        self.value(key).map(|value| value.parse().unwrap())
    }

    fn says(&self, word: &str) -> bool {
        self.0.contains(&word)
    }
}

fn duration(text: &str) -> Duration {
    let seconds = text.strip_suffix('s').unwrap_or_else(|| panic!("no duration: {text}"));
    let (whole, fraction) = seconds.split_once('.').unwrap_or((seconds, ""));
    let nanos: u32 = format!("{fraction:0<9}").parse().unwrap();
    Duration::new(whole.parse().unwrap(), nanos)
}

fn config(words: &Words<'_>) -> Config {
    Config {
        version: if words.number("version") == Some(2) { Version::V2 } else { Version::V3 },
        router_id: 7,
        priority: words.number("priority").unwrap(),
        interval: words.duration("interval").unwrap_or(Duration::from_secs(1)),
        addresses: vec![words.address("address").unwrap()],
        authentication: Authentication::None,
        peers: Vec::new(),
        peer_min_ttl: 255,
        check_addresses: false,
        preempt: !words.says("nopreempt"),
        preempt_delay: words.duration("preempt-delay").unwrap_or_default(),
        startup_delay: words.duration("startup-delay").unwrap_or_default(),
        announcements: Announcements {
            again_after: words.duration("announce-again").unwrap_or_default(),
            refresh: words.duration("announce-refresh"),
        },
        grouped: words.says("grouped"),
    }
}

fn event(words: &Words<'_>, config: &Config) -> Event {
    match words.0[1] {
        "startup" => Event::Startup,
        "shutdown" => Event::Shutdown,
        "fault" => Event::Fault,
        "timer" => Event::Timer,
        "join-master" => Event::JoinMaster,
        "join-backup" => Event::JoinBackup,
        "priority" => Event::Priority(words.0[2].parse().unwrap()),
        "command" => Event::Command(match words.0[2] {
            "take-over" => Some(Command::TakeOver),
            "hand-back" => Some(Command::HandBack),
            "none" => None,
            other => panic!("no such command: {other}"),
        }),
        "advertisement" => Event::Advertisement {
            advertisement: Advertisement {
                interval: words.duration("interval").unwrap_or(config.interval),
                ..config.advertisement(words.number("priority").unwrap())
            },
            source: words.address("from").unwrap(),
        },
        other => panic!("no such event: {other}"),
    }
}

fn tell(action: &Action) -> String {
    match action {
        Action::Advertise { priority } => format!("advertise priority={priority}"),
        Action::RaiseAddresses => "raise addresses".into(),
        Action::LowerAddresses => "lower addresses".into(),
        Action::Announce => "announce".into(),
        Action::AskGroup => "ask the group".into(),
        Action::LowerPrioritySeen => "lower priority seen".into(),
        Action::PriorityChanged { priority } => format!("priority is {priority}"),
        Action::Changed { from, to, reason } => {
            let reason = serde_json::to_string(reason).unwrap();
            format!("{from} -> {to} because of {}", reason.trim_matches('"'))
        }
    }
}

/// Plays the scene and returns it with what happened in place of what was expected.
fn play(script: &str) -> String {
    let begin = Instant::now();
    let mut instance = None;
    let mut told = String::new();
    for line in script.lines() {
        let words = Words(line.split_whitespace().collect());
        if line.starts_with("router ") {
            let mut fresh = Instance::new(config(&words), begin);
            fresh.handle(Event::PrimaryAddress(words.address("primary")), begin);
            instance = Some(fresh);
        } else if line.starts_with(|c: char| c.is_ascii_digit()) {
            let instance = instance.as_mut().unwrap();
            let event = event(&words, instance.config());
            let actions = instance.handle(event, begin + duration(words.0[0]));
            writeln!(told, "{line}").unwrap();
            for action in actions {
                writeln!(told, "    {}", tell(&action)).unwrap();
            }
            let next = instance.deadline().map_or("nothing".into(), |deadline| {
                format!("{}s", (deadline - begin).as_nanos() as f64 / 1e9)
            });
            writeln!(told, "    then waits for {next}").unwrap();
            continue;
        } else if line.starts_with("    ") {
            continue;
        }
        writeln!(told, "{line}").unwrap();
    }
    told
}

#[test]
fn scenes_play_as_recorded() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenes");
    let mut count = 0;
    for entry in folder.read_dir().unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "txt") {
            let recorded = std::fs::read_to_string(&path).unwrap();
            let played = play(&recorded);
            for (recorded, played) in recorded.lines().zip(played.lines()) {
                assert_eq!(recorded, played, "in {}", path.display());
            }
            assert_eq!(recorded, played, "in {}", path.display());
            count += 1;
        }
    }
    assert!(count >= 5, "only {count} files of scenes were found");
}
