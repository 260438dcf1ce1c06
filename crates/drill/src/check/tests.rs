//! Each violation, planted; and random histories of a server that does nothing wrong.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::history::{Action, Operation};

/// Writes a history by hand: each step takes a millisecond.
#[derive(Default)]
struct Scene {
    history: History,
    clock: u64,
}

impl Scene {
    fn tick(&mut self) -> Duration {
        self.clock += 1;
        Duration::from_millis(self.clock)
    }

    fn ask(&mut self, worker: usize, action: Action) -> usize {
        while self.history.workers.len() <= worker {
            self.history.workers.push(format!("worker {}", self.history.workers.len()));
        }
        let invoked = self.tick();
        self.history.operations.push(Operation { worker, action, invoked, answered: None });
        self.history.operations.len() - 1
    }

    fn answer(&mut self, operation: usize, answer: Answer) {
        let at = self.tick();
        self.history.operations[operation].answered = Some((at, answer));
    }

    fn run(&mut self, worker: usize, action: Action, answer: Answer) {
        let operation = self.ask(worker, action);
        self.answer(operation, answer);
    }
}

fn name(name: &str) -> String {
    name.into()
}

fn create(file: &str) -> Action {
    Action::Create { name: name(file) }
}

fn rename() -> Action {
    Action::Rename { from: name("old"), to: name("new") }
}

fn remove(file: &str) -> Action {
    Action::Remove { name: name(file) }
}

fn write(value: u64) -> Action {
    Action::Write { file: name("file"), block: 0, value }
}

fn read() -> Action {
    Action::Read { file: name("file"), block: 0 }
}

fn lock() -> Action {
    Action::Lock { file: name("counter") }
}

fn unlock() -> Action {
    Action::Unlock { file: name("counter") }
}

fn increment() -> Action {
    Action::Increment { file: name("counter") }
}

fn remains(names: &[&str], files: &[(&str, Content)]) -> Remains {
    Remains {
        names: names.iter().map(|entry| name(entry)).collect(),
        files: files.iter().map(|(file, content)| (name(file), vec![*content])).collect(),
    }
}

fn lost(acknowledged: u64, found: Content) -> Violation {
    Violation::LostWrite { file: name("file"), block: 0, acknowledged, found }
}

#[test]
fn a_lost_write_is_found() {
    let mut scene = Scene::default();
    scene.run(0, write(1), Answer::Done);
    scene.run(0, write(2), Answer::Done);
    let after = |content| check(&scene.history, &remains(&[], &[("file", content)]));
    assert_eq!(after(Content::Value(2)), []);
    assert_eq!(after(Content::Value(1)), [lost(2, Content::Value(1))]);
    assert_eq!(after(Content::Hole), [lost(2, Content::Hole)]);
    assert_eq!(after(Content::Torn), [lost(2, Content::Torn)]);
    let found = Content::Value(3);
    let strange = Violation::StrangeData { file: name("file"), block: 0, found };
    assert_eq!(after(found), [strange]);
    assert_eq!(check(&scene.history, &Remains::default()), [lost(2, Content::Hole)]);
}

#[test]
fn a_write_without_an_answer_may_be_there_or_not() {
    let mut scene = Scene::default();
    scene.run(0, write(1), Answer::Done);
    scene.ask(0, write(2));
    for value in [1, 2] {
        let violations = check(&scene.history, &remains(&[], &[("file", Content::Value(value))]));
        assert!(matches!(violations[..], [Violation::Unanswered { .. }]), "{violations:?}");
    }
}

#[test]
fn a_read_of_the_past_is_found() {
    let mut scene = Scene::default();
    scene.run(0, write(1), Answer::Done);
    scene.run(0, write(2), Answer::Done);
    scene.run(0, read(), Answer::Value(1));
    let after = remains(&[], &[("file", Content::Value(2))]);
    assert_eq!(check(&scene.history, &after), [lost(2, Content::Value(1))]);
}

#[test]
fn a_lost_name_and_one_that_came_back_are_found() {
    let mut scene = Scene::default();
    scene.run(0, create("old"), Answer::Done);
    scene.run(0, rename(), Answer::Done);
    scene.run(0, create("gone"), Answer::Done);
    scene.run(0, remove("gone"), Answer::Done);
    assert_eq!(check(&scene.history, &remains(&["new"], &[])), []);
    let violations = check(&scene.history, &remains(&["old", "gone"], &[]));
    let came_back = |of: &str| Violation::NameCameBack { name: name(of) };
    let expected = [came_back("gone"), Violation::LostName { name: name("new") }, came_back("old")];
    assert_eq!(violations, expected);
}

#[test]
fn half_a_rename_is_found() {
    let mut scene = Scene::default();
    scene.run(0, create("old"), Answer::Done);
    scene.ask(0, rename());
    let half = Violation::HalfRename { from: name("old"), to: name("new") };
    let after = |names: &[&str]| check(&scene.history, &remains(names, &[])).contains(&half);
    assert!(after(&[]) && after(&["old", "new"]));
    assert!(!after(&["old"]) && !after(&["new"]));
}

#[test]
fn second_executions_are_found() {
    let mut scene = Scene::default();
    scene.run(0, create("old"), Answer::Exists);
    scene.run(0, rename(), Answer::NoEntry);
    scene.run(0, remove("other"), Answer::NoEntry);
    let violations = check(&scene.history, &Remains::default());
    assert_eq!(violations.len(), 3, "{violations:?}");
    assert!(violations.iter().all(|found| matches!(found, Violation::RanTwice { .. })));
}

#[test]
fn a_race_for_a_name_has_one_winner() {
    let race = |first: Answer, second: Answer| {
        let mut scene = Scene::default();
        let operations = [scene.ask(0, create("name")), scene.ask(1, create("name"))];
        scene.answer(operations[0], first);
        scene.answer(operations[1], second);
        check(&scene.history, &remains(&["name"], &[]))
    };
    let of = name("name");
    assert_eq!(race(Answer::Done, Answer::Exists), []);
    assert_eq!(race(Answer::Exists, Answer::Done), []);
    assert_eq!(race(Answer::Done, Answer::Done), [Violation::TwoCreators { name: of.clone() }]);
    assert_eq!(race(Answer::Exists, Answer::Exists), [Violation::NoCreator { name: of }]);
}

#[test]
fn who_was_first_cannot_have_lost_a_race_that_began_later() {
    let mut scene = Scene::default();
    scene.run(0, create("name"), Answer::Exists);
    scene.run(1, create("name"), Answer::Done);
    let violations = check(&scene.history, &remains(&["name"], &[]));
    assert!(matches!(violations[..], [Violation::RanTwice { .. }]), "{violations:?}");
}

#[test]
fn two_holders_of_a_lock_are_found() {
    let mut scene = Scene::default();
    scene.run(0, lock(), Answer::Done);
    scene.run(1, lock(), Answer::Denied);
    scene.run(0, unlock(), Answer::Done);
    scene.run(1, lock(), Answer::Done);
    assert_eq!(check(&scene.history, &Remains::default()), []);
    scene.run(2, lock(), Answer::Done);
    let violations = check(&scene.history, &Remains::default());
    let [Violation::TwoHolders { first, second, .. }] = &violations[..] else {
        panic!("{violations:?}")
    };
    assert_eq!((first.as_str(), second.as_str()), ("worker 1", "worker 2"));
}

#[test]
fn a_lock_is_given_up_when_that_is_asked_for() {
    let mut scene = Scene::default();
    scene.run(0, lock(), Answer::Done);
    let asked = scene.ask(0, unlock());
    scene.run(1, lock(), Answer::Done);
    scene.answer(asked, Answer::Done);
    assert_eq!(check(&scene.history, &Remains::default()), []);
}

#[test]
fn lost_increments_are_found() {
    let mut scene = Scene::default();
    scene.run(0, increment(), Answer::Value(1));
    scene.run(1, increment(), Answer::Value(2));
    let after = |value| check(&scene.history, &remains(&[], &[("counter", Content::Value(value))]));
    assert_eq!(after(2), []);
    for wrong in [1, 3] {
        assert!(matches!(after(wrong)[..], [Violation::LostIncrement { .. }]));
    }
    scene.run(2, increment(), Answer::Value(2));
    let violations = check(&scene.history, &remains(&[], &[("counter", Content::Value(3))]));
    assert!(matches!(violations[..], [Violation::LostIncrement { .. }]), "{violations:?}");
}

#[test]
fn a_torn_number_is_found() {
    let mut scene = Scene::default();
    scene.run(0, increment(), Answer::Torn);
    let violations = check(&scene.history, &Remains::default());
    assert!(matches!(violations[..], [Violation::StrangeData { .. }]), "{violations:?}");
}

#[test]
fn refusals_and_silence_are_found() {
    let mut scene = Scene::default();
    scene.run(0, write(1), Answer::Refused("NFS4ERR_IO".into()));
    scene.ask(1, lock());
    let violations = check(&scene.history, &Remains::default());
    let expected = |found: &[Violation]| {
        matches!(found, [Violation::Refused { .. }, Violation::Unanswered { .. }])
    };
    assert!(expected(&violations), "{violations:?}");
}

/// What a worker of a random history does next; whether the answer gets lost.
type Step = (usize, u8, bool);

proptest! {
    /// A server that runs everything once and loses only the last answer of a worker passes.
    #[test]
    fn an_honest_server_passes(steps in prop::collection::vec((0..3usize, 0..4u8, prop::bool::weighted(0.03)), 1..200)) {
        let (history, remains) = honest(&steps);
        let unanswered = |found: &Violation| matches!(found, Violation::Unanswered { .. });
        let violations = check(&history, &remains);
        prop_assert!(violations.iter().all(unanswered), "{:?}", violations);
    }

    /// The same server, but one acknowledged write is taken back at the end.
    #[test]
    fn a_write_that_is_taken_back_never_passes(steps in prop::collection::vec((0..3usize, 0..4u8, Just(false)), 20..200)) {
        let (history, mut remains) = honest(&steps);
        let is_own = |(name, _): &(&String, &mut Vec<Content>)| name.starts_with("data");
        if let Some((_, blocks)) = remains.files.iter_mut().find(is_own)
            && let Some(Content::Value(value)) = blocks.first_mut()
        {
            *value -= 1;
            prop_assert!(!check(&history, &remains).is_empty());
        }
    }
}

fn honest(steps: &[Step]) -> (History, Remains) {
    let mut scene = Scene::default();
    let mut after = Remains::default();
    let mut holder = None;
    let mut counts = BTreeMap::<usize, u64>::new();
    let mut silent = [false; 3];
    for (worker, kind, loses_answer) in steps {
        if silent[*worker] {
            continue;
        }
        let count = counts.entry(*worker).or_default();
        *count += 1;
        let (action, answer) = serve(*worker, *kind, *count, &mut after, &mut holder);
        let operation = scene.ask(*worker, action);
        if *loses_answer {
            silent[*worker] = true;
        } else {
            scene.answer(operation, answer);
        }
    }
    (scene.history, after)
}

fn serve(
    worker: usize,
    kind: u8,
    count: u64,
    after: &mut Remains,
    holder: &mut Option<usize>,
) -> (Action, Answer) {
    let file = format!("data-{worker}");
    match kind {
        0 => {
            after.files.insert(file.clone(), vec![Content::Value(count)]);
            (Action::Write { file, block: 0, value: count }, Answer::Done)
        }
        1 => {
            let made = format!("name-{worker}-{count}");
            after.names.insert(made.clone());
            (Action::Create { name: made }, Answer::Done)
        }
        2 if *holder == Some(worker) => {
            *holder = None;
            (unlock(), Answer::Done)
        }
        2 if holder.is_some() => (lock(), Answer::Denied),
        2 => {
            *holder = Some(worker);
            (lock(), Answer::Done)
        }
        _ => {
            let answer = match after.files.get(&file).and_then(|blocks| blocks.first()) {
                Some(Content::Value(value)) => Answer::Value(*value),
                _ => Answer::Hole,
            };
            (Action::Read { file, block: 0 }, answer)
        }
    }
}
