//! Clients that keep the rules of slots to the letter, over a network that loses connections and
//! answers, with a server that forgets its sequences now and then: whatever happens, a client is
//! never sent what it may not be sent, and once all is well, every recall arrives.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

const CLIENT: u64 = 1;

/// What may happen.
#[derive(Clone, Copy, Debug)]
enum Event {
    Recall,
    /// The call at this place of those under way is run and answered.
    Answer(prop::sample::Index),
    /// As above, and the client is not ready.
    NotReady(prop::sample::Index),
    /// It is run, and the answer is lost with its connection.
    RunAndLose(prop::sample::Index),
    /// It is lost with its connection before it is run.
    Lose(prop::sample::Index),
    /// It is not answered in time.
    Late(prop::sample::Index),
    Bind,
    Wait(u8),
    Restart,
}

fn event() -> impl Strategy<Value = Event> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        4 => Just(Event::Recall),
        8 => index().prop_map(Event::Answer),
        2 => index().prop_map(Event::NotReady),
        1 => index().prop_map(Event::RunAndLose),
        1 => index().prop_map(Event::Lose),
        1 => index().prop_map(Event::Late),
        2 => Just(Event::Bind),
        3 => (0..20_u8).prop_map(Event::Wait),
        1 => Just(Event::Restart),
    ]
}

/// A call under way.
#[derive(Clone, Debug)]
struct Made {
    id: CallId,
    connection: Connection,
    compound: Option<CallbackArgs>,
}

struct World {
    machine: Machine,
    now: Instant,
    /// The slots of the client, by the last sequence of each.
    slots: BTreeMap<u32, u32>,
    connections: BTreeSet<u64>,
    next_connection: u64,
    calls: Vec<Made>,
    wanted: BTreeSet<u8>,
    arrived: BTreeSet<u8>,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            machine: Machine::new(Settings { patience: 10_000 * SECOND, ..Settings::default() }),
            now: Instant::now(),
            slots: BTreeMap::from([(0, 0), (1, 0)]),
            connections: BTreeSet::new(),
            next_connection: 1,
            calls: Vec::new(),
            wanted: BTreeSet::new(),
            arrived: BTreeSet::new(),
        };
        world.bind();
        world
    }

    fn bind(&mut self) {
        if self.connections.len() < 3 {
            self.connections.insert(self.next_connection);
            self.next_connection += 1;
        }
        self.look();
    }

    fn look(&mut self) {
        let connections: Vec<u64> = self.connections.iter().copied().collect();
        self.machine.route(CLIENT, Some(session(&connections)), self.now);
        self.take_orders();
    }

    fn take_orders(&mut self) {
        let mut failed = false;
        for order in self.machine.take_orders() {
            match order {
                Order::Call { id, over: Over::Connection(connection), compound, .. } => {
                    self.calls.push(Made { id, connection, compound });
                }
                Order::Failed(_, connection) => {
                    failed |= self.connections.remove(&connection.0);
                }
                other => panic!("{other:?}"),
            }
        }
        assert!(self.calls.len() <= 32, "{} calls under way", self.calls.len());
        if failed {
            self.look();
        }
    }

    /// What the client makes of a call.
    fn run(&mut self, made: &Made, is_ready: bool) -> Answer {
        let Some(compound) = &made.compound else { return Answer::Null };
        let Some(CallbackOperation::Sequence(it)) = compound.operations.0.first() else {
            panic!("no CB_SEQUENCE")
        };
        let last = self.slots.get_mut(&it.slot).expect("a slot of the client");
        let is_bare = compound.operations.0.len() == 1;
        let fail = |status| results(vec![CallbackResult::Sequence(Outcome::Fail(status))]);
        if it.sequence == *last {
            if is_bare {
                return fail(Status::RetryUncachedRep);
            }
            let retry = CallbackResult::Recall(Status::RetryUncachedRep);
            return results(vec![sequenced(compound), retry]);
        }
        if it.sequence != *last + 1 {
            assert!(is_bare, "a callback out of sequence: {} after {last}", it.sequence);
            return fail(Status::SeqMisordered);
        }
        *last += 1;
        let Some(number) = recalled(compound) else { return results(vec![sequenced(compound)]) };
        let status = if is_ready { Status::Ok } else { Status::Delay };
        if is_ready {
            self.arrived.insert(number);
        }
        results(vec![sequenced(compound), CallbackResult::Recall(status)])
    }

    fn take_call(&mut self, at: prop::sample::Index) -> Option<Made> {
        (!self.calls.is_empty()).then(|| self.calls.remove(at.index(self.calls.len())))
    }

    fn answer(&mut self, made: &Made, answer: Answer) {
        self.machine.answered(made.id, answer, self.now);
        self.take_orders();
    }

    /// A connection ends, with all calls that it carried.
    fn end(&mut self, made: Made) {
        self.connections.remove(&made.connection.0);
        let same = |other: &mut Made| other.connection == made.connection;
        let lost: Vec<Made> = self.calls.extract_if(.., same).collect();
        self.answer(&made, Answer::Lost);
        lost.iter().for_each(|made| self.answer(made, Answer::Lost));
        self.look();
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Recall => {
                let number = self.wanted.len() as u8;
                self.wanted.insert(number);
                self.machine.send(CLIENT, recall(number), self.now);
                self.take_orders();
            }
            Event::Answer(at) | Event::NotReady(at) => {
                let Some(made) = self.take_call(at) else { return };
                let answer = self.run(&made, matches!(event, Event::Answer(_)));
                self.answer(&made, answer);
            }
            Event::RunAndLose(at) => {
                let Some(made) = self.take_call(at) else { return };
                self.run(&made, true);
                self.end(made);
            }
            Event::Lose(at) => {
                let Some(made) = self.take_call(at) else { return };
                self.end(made);
            }
            Event::Late(at) => {
                let Some(made) = self.take_call(at) else { return };
                self.answer(&made, Answer::Late);
            }
            Event::Bind => self.bind(),
            Event::Wait(seconds) => {
                self.now += SECOND * seconds.into();
                self.machine.tick(self.now);
                self.take_orders();
            }
            Event::Restart => self.restart(),
        }
    }

    /// The server starts again: connections are new, sequences forgotten, and who still needs a
    /// recall asks for it again.
    fn restart(&mut self) {
        self.machine = Machine::new(Settings { patience: 10_000 * SECOND, ..Settings::default() });
        self.calls.clear();
        self.connections.clear();
        self.bind();
        for number in self.wanted.difference(&self.arrived) {
            self.machine.send(CLIENT, recall(*number), self.now);
        }
        self.take_orders();
    }

    /// All goes well from now on.
    fn settle(&mut self) {
        self.bind();
        for _ in 0..100_000 {
            if let Some(made) = self.calls.pop() {
                let answer = self.run(&made, true);
                self.answer(&made, answer);
            } else if let Some(next) = self.machine.next_wake().filter(|_| self.is_waiting()) {
                self.now = self.now.max(next);
                self.machine.tick(self.now);
                self.take_orders();
            } else {
                return;
            }
        }
        panic!("it never ends");
    }

    fn is_waiting(&self) -> bool {
        self.machine.load().1 > 0
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn every_recall_arrives(events in prop::collection::vec(event(), 0..80)) {
        let mut world = World::new();
        for event in events {
            world.happen(event);
        }
        world.settle();
        prop_assert_eq!(&world.arrived, &world.wanted);
        prop_assert!(world.machine.reaches(CLIENT));
        prop_assert!(!world.is_waiting());
    }
}
