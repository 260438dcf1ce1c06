//! The cases, one by one.

use super::*;

const CLIENT: u64 = 5;

struct Scene {
    machine: Machine,
    now: Instant,
}

/// A call that the machine ordered.
#[derive(Clone, Debug)]
struct Made {
    id: CallId,
    over: Over,
    compound: Option<CallbackArgs>,
}

impl Scene {
    fn new() -> Self {
        Self { machine: Machine::new(Settings::default()), now: Instant::now() }
    }

    fn route(&mut self, route: Option<Route>) -> Vec<Order> {
        self.machine.route(CLIENT, route, self.now);
        self.machine.take_orders()
    }

    fn send(&mut self, callback: Callback) -> Vec<Order> {
        self.machine.send(CLIENT, callback, self.now);
        self.machine.take_orders()
    }

    fn answer(&mut self, made: &Made, answer: Answer) -> Vec<Order> {
        self.machine.answered(made.id, answer, self.now);
        self.machine.take_orders()
    }

    fn later(&mut self, time: Duration) -> Vec<Order> {
        self.now += time;
        self.machine.tick(self.now);
        self.machine.take_orders()
    }

    /// A session whose connection works, and whose slots are settled by `first`.
    fn with_session(connections: &[u64]) -> Self {
        let mut scene = Self::new();
        for order in scene.route(Some(session(connections))) {
            let tried = call(&order);
            assert_eq!(tried.compound, None);
            scene.answer(&tried, Answer::Null);
        }
        scene
    }

    /// Sends a callback on a slot that is not settled yet; gives its call.
    fn send_first(&mut self, callback: Callback) -> Made {
        let settling = only(self.send(callback));
        let compound = settling.compound.clone().unwrap();
        assert_eq!(compound.operations.0.len(), 1);
        only(self.answer(&settling, results(vec![sequenced(&compound)])))
    }

    fn dialled() -> (Self, Over) {
        let mut scene = Self::new();
        let Some(Order::Dial { link, .. }) = scene.route(Some(dial())).pop() else { panic!() };
        scene.machine.dialled(link, true, scene.now);
        let tried = only(scene.machine.take_orders());
        assert!(!scene.machine.reaches(CLIENT));
        scene.answer(&tried, Answer::Null);
        (scene, Over::Link(link))
    }
}

fn call(order: &Order) -> Made {
    match order {
        Order::Call { id, over, compound, .. } => {
            Made { id: *id, over: *over, compound: compound.clone() }
        }
        other => panic!("not a call: {other:?}"),
    }
}

fn only(orders: Vec<Order>) -> Made {
    assert_eq!(orders.len(), 1, "{orders:?}");
    call(&orders[0])
}

fn done(made: &Made, status: Status) -> Answer {
    let compound = made.compound.as_ref().unwrap();
    let own = CallbackResult::Recall(status);
    match compound.minor {
        0 => results(vec![own]),
        _ => results(vec![sequenced(compound), own]),
    }
}

#[test]
fn a_recall_over_a_session() {
    let mut scene = Scene::with_session(&[1]);
    assert!(scene.machine.reaches(CLIENT));
    let made = scene.send_first(recall(3));
    assert_eq!(made.over, Over::Connection(Connection(1)));
    let compound = made.compound.clone().unwrap();
    assert_eq!((compound.minor, recalled(&compound)), (1, Some(3)));
    assert_eq!(scene.answer(&made, done(&made, Status::Ok)), []);
    assert_eq!(scene.machine.load(), (1, 0));
    // The slot is settled: the next one goes at once.
    let made = only(scene.send(recall(4)));
    assert_eq!(recalled(&made.compound.unwrap()), Some(4));
}

#[test]
fn slots_bound_what_is_under_way() {
    let mut scene = Scene::with_session(&[1]);
    let first = scene.send_first(recall(1));
    // The second slot has to be settled, too.
    let settling = only(scene.send(recall(2)));
    let compound = settling.compound.clone().unwrap();
    let second = only(scene.answer(&settling, results(vec![sequenced(&compound)])));
    assert_eq!(recalled(&second.compound.clone().unwrap()), Some(2));
    assert_eq!(scene.send(recall(3)), []);
    let third = only(scene.answer(&first, done(&first, Status::Ok)));
    assert_eq!(recalled(&third.compound.unwrap()), Some(3));
}

#[test]
fn a_client_that_is_not_ready_is_asked_again_later() {
    for status in [Status::Delay, Status::BadStateId, Status::BadHandle] {
        let mut scene = Scene::with_session(&[1]);
        let mut made = scene.send_first(recall(1));
        for _ in 0..3 {
            assert_eq!(scene.answer(&made, done(&made, status)), [], "{status:?}");
            made = only(scene.later(SECOND));
        }
        // Not for ever.
        let mut last = Some(made);
        for _ in 0..1000 {
            if let Some(made) = last {
                assert_eq!(scene.answer(&made, done(&made, status)), []);
            }
            last = scene.later(SECOND).first().map(call);
        }
        assert_eq!(scene.machine.load(), (1, 0));
        assert_eq!(scene.machine.next_wake(), None);
    }
}

#[test]
fn an_answer_that_is_lost_is_asked_for_over_another_connection() {
    let mut scene = Scene::with_session(&[1, 2]);
    let made = scene.send_first(recall(1));
    let again = only(scene.answer(&made, Answer::Lost));
    assert_ne!(again.over, made.over);
    // The same slot and sequence: the client knows whether it ran.
    assert_eq!(again.compound, made.compound);
    let compound = again.compound.clone().unwrap();
    let ran = results(vec![sequenced(&compound), CallbackResult::Recall(Status::RetryUncachedRep)]);
    assert_eq!(scene.answer(&again, ran), []);
    assert_eq!(scene.machine.load(), (1, 0));
}

#[test]
fn an_answer_that_is_lost_is_asked_for_over_the_next_connection() {
    let mut scene = Scene::with_session(&[1]);
    let made = scene.send_first(recall(1));
    assert_eq!(scene.answer(&made, Answer::Lost), []);
    assert!(!scene.machine.reaches(CLIENT));
    assert_eq!(scene.route(Some(session(&[]))), []);
    let tried = only(scene.route(Some(session(&[2]))));
    let again = only(scene.answer(&tried, Answer::Null));
    assert_eq!((again.over, &again.compound), (Over::Connection(Connection(2)), &made.compound));
}

#[test]
fn a_connection_without_answers_is_given_up() {
    let mut scene = Scene::with_session(&[1]);
    let made = scene.send_first(recall(1));
    let failed = [Order::Failed(SESSION, Connection(1))];
    assert_eq!(scene.answer(&made, Answer::Late), failed);
    assert!(!scene.machine.reaches(CLIENT));
    // Bound anew, it is tried anew.
    scene.route(Some(session(&[])));
    let tried = only(scene.route(Some(session(&[1]))));
    let again = only(scene.answer(&tried, Answer::Null));
    assert_eq!(again.compound, made.compound);
    let mut scene = Scene::new();
    let tried = only(scene.route(Some(session(&[1]))));
    assert_eq!(scene.answer(&tried, Answer::Late), failed);
}

#[test]
fn the_sequence_of_a_former_run_is_found() {
    let mut scene = Scene::with_session(&[1]);
    let mut made = only(scene.send(recall(1)));
    for expected in 1..=40 {
        let compound = made.compound.clone().unwrap();
        let Some(CallbackOperation::Sequence(it)) = compound.operations.0.first() else { panic!() };
        assert_eq!((it.sequence, compound.operations.0.len()), (expected, 1));
        let status = match expected {
            ..40 => Status::SeqMisordered,
            _ => Status::RetryUncachedRep,
        };
        let fail = CallbackResult::Sequence(Outcome::Fail(status));
        made = only(scene.answer(&made, results(vec![fail])));
    }
    let compound = made.compound.clone().unwrap();
    let made = only(scene.answer(&made, results(vec![sequenced(&compound)])));
    assert_eq!(recalled(&made.compound.unwrap()), Some(1));
}

#[test]
fn a_search_ends() {
    let mut scene = Scene::with_session(&[1]);
    let mut orders = scene.send(recall(1));
    for _ in 0..10_000 {
        if orders == [Order::Fault(SESSION)] {
            assert!(!scene.machine.reaches(CLIENT));
            return;
        }
        let made = only(orders);
        let fail = CallbackResult::Sequence(Outcome::Fail(Status::SeqMisordered));
        orders = scene.answer(&made, results(vec![fail]));
    }
    panic!("it goes on");
}

#[test]
fn what_makes_no_sense_is_a_fault_of_the_session() {
    let bad = |status| results(vec![CallbackResult::Sequence(Outcome::Fail(status))]);
    let other = CallbackSequenceOk {
        session: [1; 16],
        sequence: 2,
        slot: 0,
        highest_slot: 0,
        target_highest_slot: 0,
    };
    for answer in [
        bad(Status::BadSession),
        bad(Status::SeqMisordered),
        bad(Status::BadSlot),
        results(vec![]),
        results(vec![CallbackResult::Illegal(Status::OpIllegal)]),
        results(vec![CallbackResult::Sequence(Outcome::Ok(other))]),
        Answer::Refused,
    ] {
        let mut scene = Scene::with_session(&[1]);
        let made = scene.send_first(recall(1));
        assert_eq!(scene.answer(&made, answer.clone()), [Order::Fault(SESSION)], "{answer:?}");
        assert!(!scene.machine.reaches(CLIENT));
        // What it could not say goes over another session.
        let Route::Sessions(mut routes) = session(&[1]) else { panic!() };
        routes.push(SessionRoute { id: [8; 16], ..routes[0].clone() });
        let tried = only(scene.route(Some(Route::Sessions(routes))));
        let settling = only(scene.answer(&tried, Answer::Null));
        let compound = settling.compound.clone().unwrap();
        let made = only(scene.answer(&settling, results(vec![sequenced(&compound)])));
        assert_eq!(recalled(&made.compound.unwrap()), Some(1));
    }
}

#[test]
fn a_session_that_ends_leaves_its_callbacks_to_others() {
    let mut scene = Scene::with_session(&[1]);
    let made = scene.send_first(recall(1));
    scene.answer(&made, Answer::Lost);
    let Route::Sessions(mut routes) = session(&[2]) else { panic!() };
    routes[0].id = [8; 16];
    let tried = only(scene.route(Some(Route::Sessions(routes))));
    let settling = only(scene.answer(&tried, Answer::Null));
    let compound = settling.compound.clone().unwrap();
    let made = only(scene.answer(&settling, results(vec![sequenced(&compound)])));
    assert_eq!(recalled(&made.compound.unwrap()), Some(1));
    scene.route(None);
    assert_eq!(scene.machine.load().0, 0);
    assert_eq!(scene.machine.next_wake(), None);
}

#[test]
fn what_waits_is_bounded() {
    let settings = Settings { queue: 10, ..Settings::default() };
    let mut scene = Scene { machine: Machine::new(settings), now: Instant::now() };
    scene.route(Some(session(&[])));
    (0..100).for_each(|number| assert_eq!(scene.send(notify(number)), []));
    assert_eq!(scene.machine.load(), (1, 10));
    scene.later(settings.patience);
    assert_eq!(scene.machine.load(), (1, 0));
    assert_eq!(scene.machine.next_wake(), None);
    // Nobody knows this client.
    scene.machine.send(99, notify(1), scene.now);
    assert_eq!(scene.machine.load(), (1, 0));
}

#[test]
fn a_recall_over_a_connection_of_ours() {
    let (mut scene, link) = Scene::dialled();
    assert!(scene.machine.reaches(CLIENT));
    let made = only(scene.send(recall(3)));
    let compound = made.compound.clone().unwrap();
    assert_eq!((made.over, compound.minor, compound.ident), (link, 0, 9));
    assert_eq!(recalled(&compound), Some(3));
    assert_eq!(scene.answer(&made, done(&made, Status::Ok)), []);
    assert_eq!(scene.machine.load(), (1, 0));
    // Minor version 0 knows nothing of this.
    assert_eq!(scene.send(notify(1)), []);
    assert_eq!(scene.machine.load(), (1, 0));
}

#[test]
fn a_connection_of_ours_that_ends_is_made_again() {
    let (mut scene, Over::Link(link)) = Scene::dialled() else { panic!() };
    let made = only(scene.send(recall(3)));
    assert_eq!(scene.answer(&made, Answer::Lost), [Order::HangUp(link)]);
    scene.machine.link_ended(link, scene.now);
    assert!(scene.machine.reaches(CLIENT));
    let orders = scene.later(SECOND);
    let [Order::Dial { link, .. }] = orders[..] else { panic!("{orders:?}") };
    scene.machine.dialled(link, true, scene.now);
    let tried = only(scene.machine.take_orders());
    let again = only(scene.answer(&tried, Answer::Null));
    assert_eq!(recalled(&again.compound.unwrap()), Some(3));
}

#[test]
fn a_client_out_of_reach_is_tried_less_and_less() {
    let mut scene = Scene::new();
    let mut orders = scene.route(Some(dial()));
    let (begin, mut tries) = (scene.now, 0);
    while scene.now < begin + Duration::from_secs(3600) {
        if let Some(Order::Dial { link, .. }) = orders.pop() {
            tries += 1;
            scene.machine.dialled(link, false, scene.now);
        }
        assert!(!scene.machine.reaches(CLIENT));
        let next = scene.machine.next_wake().expect("another try");
        orders = scene.later(next.saturating_duration_since(scene.now));
    }
    assert!((50..100).contains(&tries), "{tries}");
    // Another address is another matter.
    let address = Some(([192, 0, 2, 2], 700).into());
    let other = Route::Dial(DialRoute { address, program: 1, ident: 1 });
    assert!(matches!(scene.route(Some(other))[..], [.., Order::Dial { .. }]));
    // One that is none is never called.
    let none = Route::Dial(DialRoute { address: None, program: 1, ident: 1 });
    assert!(!scene.route(Some(none)).iter().any(|order| matches!(order, Order::Dial { .. })));
}

#[test]
fn a_client_that_does_not_answer_is_hung_up_on() {
    let (mut scene, Over::Link(link)) = Scene::dialled() else { panic!() };
    let made = only(scene.send(recall(3)));
    assert_eq!(scene.answer(&made, Answer::Late), [Order::HangUp(link)]);
    assert!(!scene.machine.reaches(CLIENT));
    // Late ends of what was hung up on change nothing.
    scene.machine.link_ended(link, scene.now);
    scene.machine.answered(made.id, Answer::Null, scene.now);
    assert_eq!(scene.machine.take_orders(), []);
    assert_eq!(scene.machine.load(), (1, 1));
}
