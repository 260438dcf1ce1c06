use super::*;

const X: ServiceId = ServiceId(1);

fn at(ms: u64) -> Moment {
    Moment::BOOT + Duration::from_millis(ms)
}

fn held(epoch: u64, ms: u64) -> Right {
    Right::Held { epoch: Epoch(epoch), until: at(ms) }
}

/// Runs all steps that are wanted, each well.
fn run(agent: &mut ServiceAgent, ms: u64) -> Vec<Step> {
    let mut steps = Vec::new();
    while let Some(command) = agent.next(at(ms)) {
        agent.done(command.step, Ok(()), at(ms));
        steps.push(command.step);
        assert!(steps.len() < 50, "it does not end: {steps:?}");
    }
    steps
}

fn fresh() -> ServiceAgent {
    let mut agent = ServiceAgent::new(X);
    assert_eq!(run(&mut agent, 0), [Step::Lower, Step::Silence, Step::Demote]);
    agent
}

const UP: [Step; 7] = [
    Step::Fence,
    Step::Promote,
    Step::Replay,
    Step::Listen,
    Step::Raise,
    Step::Announce,
    Step::Tickle,
];

#[test]
fn it_fences_at_the_commit_and_goes_on_with_the_lease() {
    let mut agent = fresh();
    agent.set_right(Right::Pending { epoch: Epoch(3) }, at(10));
    assert_eq!(run(&mut agent, 10), [Step::Fence]);
    agent.set_right(held(3, 400), at(50));
    let commands: Vec<Command> = std::iter::from_fn(|| {
        let command = agent.next(at(60))?;
        assert_eq!(agent.next(at(60)), None, "one at a time");
        let ends = agent.done(command.step, Ok(()), at(61));
        assert_eq!(ends.is_some(), command.step == Step::Tickle);
        Some(command)
    })
    .collect();
    assert_eq!(commands.iter().map(|c| c.step).collect::<Vec<_>>(), UP[1..]);
    assert!(commands.iter().all(|command| command.epoch == Epoch(3)));
    assert!(agent.is_serving());
}

#[test]
fn a_lapsed_lease_takes_the_address_and_a_renewal_brings_it_back() {
    let mut agent = fresh();
    agent.set_right(held(1, 400), at(0));
    assert_eq!(run(&mut agent, 1), UP);
    assert_eq!(agent.deadline(at(1)), Some(at(400)));
    assert_eq!(run(&mut agent, 400), [Step::Lower]);
    agent.set_right(held(1, 800), at(450));
    assert_eq!(run(&mut agent, 450), [Step::Raise, Step::Announce, Step::Tickle]);
}

#[test]
fn a_successor_ends_it_at_once_address_first() {
    let mut agent = fresh();
    agent.set_right(held(1, 400), at(0));
    run(&mut agent, 1);
    agent.set_right(Right::None, at(100));
    assert_eq!(run(&mut agent, 100), [Step::Lower, Step::Silence, Step::Demote]);
    assert_eq!(agent.reports(at(100)), []);
}

#[test]
fn a_later_epoch_begins_from_nothing() {
    let mut agent = fresh();
    agent.set_right(held(1, 400), at(0));
    run(&mut agent, 1);
    agent.set_right(held(3, 900), at(100));
    let down = [Step::Lower, Step::Silence, Step::Demote];
    assert_eq!(run(&mut agent, 100), [&down[..], &UP].concat());
    assert_eq!(agent.facts().epoch, Epoch(3));
}

#[test]
fn a_planned_move_drains_and_gives_back() {
    let mut agent = fresh();
    agent.set_right(held(1, 4000), at(0));
    run(&mut agent, 1);
    agent.order_release(Epoch(9), at(5));
    assert_eq!(run(&mut agent, 5), [], "another epoch is meant");
    agent.order_release(Epoch(1), at(10));
    let command = agent.next(at(10)).unwrap();
    assert_eq!(command.step, Step::Drain);
    assert_eq!(agent.reports(at(10)), []);
    agent.done(Step::Drain, Err("too slow".into()), at(20));
    assert_eq!(run(&mut agent, 20), [Step::Lower, Step::Silence, Step::Demote]);
    assert_eq!(agent.reports(at(20)), [Report::Released(Epoch(1))]);
    assert_eq!(run(&mut agent, 21), []);
}

#[test]
fn what_never_began_is_given_back_too() {
    let mut agent = fresh();
    agent.set_right(Right::Pending { epoch: Epoch(2) }, at(1));
    agent.order_release(Epoch(2), at(2));
    assert_eq!(run(&mut agent, 2), []);
    assert_eq!(agent.reports(at(2)), [Report::Released(Epoch(2))]);
}

#[test]
fn a_successor_gets_warm_once() {
    let mut agent = fresh();
    agent.set_warm(Some(Epoch(4)));
    assert_eq!(run(&mut agent, 1), [Step::Warm]);
    assert_eq!(agent.reports(at(1)), [Report::Warm(Epoch(4))]);
    agent.set_warm(None);
    assert_eq!(agent.reports(at(1)), []);
}

#[test]
fn who_fails_says_so_and_leaves_nothing() {
    let mut agent = fresh();
    agent.set_right(held(1, 60_000), at(0));
    let mut now = 1;
    let mut failures = 0;
    let mut steps = Vec::new();
    while agent.reports(at(now)).len() < 2 {
        if let Some(command) = agent.next(at(now)) {
            let fails = command.step == Step::Replay;
            failures += u32::from(fails);
            let result = if fails { Err("no journal".into()) } else { Ok(()) };
            agent.done(command.step, result, at(now));
            steps.push(command.step);
        }
        now += 10;
        assert!(now < 5000, "{steps:?}");
    }
    assert_eq!(failures, MOST_FAILURES);
    assert_eq!(agent.reports(at(now)), [Report::Released(Epoch(1)), Report::Unable(Epoch(1))]);
    assert!(agent.facts().is_clear());
    assert_eq!(agent.reports(at(now + 10_000)), [Report::Released(Epoch(1))]);
}

#[test]
fn the_address_goes_though_another_step_hangs() {
    let mut agent = fresh();
    agent.set_right(held(1, 400), at(0));
    run(&mut agent, 1);
    agent.order_release(Epoch(1), at(10));
    assert_eq!(agent.next(at(10)).unwrap().step, Step::Drain);
    assert_eq!(agent.next(at(399)), None);
    assert_eq!(agent.next(at(400)).unwrap().step, Step::Lower);
    assert_eq!(agent.next(at(400)), None);
    agent.done(Step::Lower, Ok(()), at(401));
    assert_eq!(agent.next(at(401)), None, "the rest waits");
    agent.done(Step::Drain, Ok(()), at(402));
    assert_eq!(run(&mut agent, 402), [Step::Silence, Step::Demote]);
}

#[test]
fn a_step_that_was_cut_off_is_repeated() {
    let mut agent = fresh();
    agent.set_right(held(1, 60_000), at(0));
    for wanted in [Step::Fence, Step::Promote] {
        assert_eq!(agent.next(at(1)).unwrap().step, wanted);
        agent.done(wanted, Ok(()), at(1));
    }
    assert_eq!(agent.next(at(1)).unwrap().step, Step::Replay);
    agent.done(Step::Replay, Err("cut".into()), at(2));
    assert!(!agent.is_serving());
    assert_eq!(agent.next(at(2)), None, "after a pause");
    assert_eq!(run(&mut agent, 100), UP[2..]);
    // And if the right is lost in between, what may be half done is undone.
    agent.set_right(Right::None, at(200));
    assert_eq!(agent.next(at(200)).unwrap().step, Step::Lower);
}
