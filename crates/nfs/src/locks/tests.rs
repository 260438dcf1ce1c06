use super::*;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Process(u32, u32);

impl Owner for Process {
    type Client = u32;

    fn client(&self) -> &u32 {
        &self.0
    }
}

type Table = LockTable<u32, Process>;

const A: Process = Process(1, 1);
const B: Process = Process(2, 1);
const C: Process = Process(3, 1);

fn table() -> Table {
    Table::new(LockLimits::default())
}

fn request(owner: Process, first: u64, last: u64, mode: Mode) -> Request<u32, Process> {
    Request { file: 7, owner, range: Range::between(first, last).unwrap(), mode }
}

fn read(owner: Process, first: u64, last: u64) -> Request<u32, Process> {
    request(owner, first, last, Mode::Shared)
}

fn write(owner: Process, first: u64, last: u64) -> Request<u32, Process> {
    request(owner, first, last, Mode::Exclusive)
}

fn set(table: &mut Table, request: &Request<u32, Process>) {
    assert_eq!(table.lock(request, false).unwrap().0, Outcome::Granted);
}

fn wait(table: &mut Table, request: &Request<u32, Process>) -> WaiterId {
    match table.lock(request, true).unwrap().0 {
        Outcome::Waiting(waiter) => waiter,
        other => panic!("{other:?}"),
    }
}

fn unlock(table: &mut Table, owner: &Process, first: u64, last: u64) -> Vec<WaiterId> {
    granted(&table.unlock(7, owner, Range::between(first, last).unwrap()).unwrap())
}

fn granted(changes: &[Change<u32, Process>]) -> Vec<WaiterId> {
    let waiter = |change: &Change<_, _>| match change {
        Change::Granted { waiter, .. } => *waiter,
        _ => None,
    };
    changes.iter().filter_map(waiter).collect()
}

/// The locks of the file as `owner client, first, last, exclusive`.
fn held(table: &Table) -> Vec<(u32, u64, u64, bool)> {
    let row = |lock: HeldLock<Process>| {
        let exclusive = lock.mode == Mode::Exclusive;
        (lock.owner.0, lock.range.first(), lock.range.last(), exclusive)
    };
    table.held(&7).into_iter().map(row).collect()
}

#[test]
fn ranges_speak_as_the_protocols_do() {
    assert_eq!(Range::new(0, 0), Some(Range::ALL));
    assert_eq!(Range::new(5, 1), Range::between(5, 5));
    assert_eq!(Range::new(u64::MAX, 1), Range::between(u64::MAX, u64::MAX));
    assert_eq!(Range::new(u64::MAX, 2), None);
    assert_eq!(Range::new(2, u64::MAX), None);
    assert_eq!(Range::new(5, 0).map(Range::length), Some(0));
    assert_eq!(Range::new(5, 3).map(Range::length), Some(3));
    assert_eq!(Range::between(5, 4), None);
}

#[test]
fn split_and_merge() {
    // (what happens, what is held afterwards)
    type Case = (&'static str, fn(&mut Table), &'static [(u32, u64, u64, bool)]);
    let cases: &[Case] = &[
        (
            "neighbours merge",
            |t| {
                set(t, &write(A, 0, 4));
                set(t, &write(A, 5, 9));
            },
            &[(1, 0, 9, true)],
        ),
        (
            "a gap stays",
            |t| {
                set(t, &write(A, 0, 4));
                set(t, &write(A, 6, 9));
            },
            &[(1, 0, 4, true), (1, 6, 9, true)],
        ),
        (
            "a bridge merges both sides",
            |t| {
                set(t, &read(A, 0, 4));
                set(t, &read(A, 8, 9));
                set(t, &read(A, 4, 8));
            },
            &[(1, 0, 9, false)],
        ),
        (
            "another mode splits",
            |t| {
                set(t, &read(A, 0, 9));
                set(t, &write(A, 4, 5));
            },
            &[(1, 0, 3, false), (1, 4, 5, true), (1, 6, 9, false)],
        ),
        (
            "neighbours of other modes stay",
            |t| {
                set(t, &read(A, 0, 4));
                set(t, &write(A, 5, 9));
            },
            &[(1, 0, 4, false), (1, 5, 9, true)],
        ),
        (
            "the same mode again mends a split",
            |t| {
                set(t, &read(A, 0, 9));
                set(t, &write(A, 4, 5));
                set(t, &read(A, 4, 5));
            },
            &[(1, 0, 9, false)],
        ),
        (
            "unlocking the middle leaves two",
            |t| {
                set(t, &write(A, 0, u64::MAX));
                unlock(t, &A, 10, 19);
            },
            &[(1, 0, 9, true), (1, 20, u64::MAX, true)],
        ),
        (
            "unlocking everything leaves others' locks",
            |t| {
                set(t, &write(A, 0, 0));
                set(t, &write(B, 1, 1));
                set(t, &write(A, 2, u64::MAX));
                unlock(t, &A, 0, u64::MAX);
            },
            &[(2, 1, 1, true)],
        ),
        (
            "readers overlap",
            |t| {
                set(t, &read(A, 0, 9));
                set(t, &read(B, 5, 14));
                unlock(t, &A, 3, 6);
            },
            &[(1, 0, 2, false), (2, 5, 14, false), (1, 7, 9, false)],
        ),
        (
            "the last byte is a byte",
            |t| {
                set(t, &write(A, u64::MAX, u64::MAX));
                set(t, &write(B, u64::MAX - 1, u64::MAX - 1));
            },
            &[(2, u64::MAX - 1, u64::MAX - 1, true), (1, u64::MAX, u64::MAX, true)],
        ),
    ];
    for (name, play, expected) in cases {
        let mut table = table();
        play(&mut table);
        assert_eq!(held(&table), *expected, "{name}");
    }
}

#[test]
fn a_conflict_names_its_holder() {
    let mut table = table();
    set(&mut table, &read(A, 10, 19));
    assert_eq!(table.test(&read(B, 0, 99)), None);
    assert_eq!(table.test(&write(A, 0, 99)), None);
    let conflict = table.test(&write(B, 0, 99)).unwrap();
    assert_eq!(conflict.owner, A);
    assert_eq!((conflict.range, conflict.mode), (Range::between(10, 19).unwrap(), Mode::Shared));
    assert_eq!(table.lock(&write(B, 0, 99), false).unwrap().0, Outcome::Denied(conflict));
    assert_eq!(table.test(&write(B, 20, 29)), None);
}

#[test]
fn waiters_are_granted_in_order_and_keep_their_name() {
    let mut table = table();
    set(&mut table, &write(A, 0, 9));
    let b = wait(&mut table, &write(B, 0, 4));
    let c = wait(&mut table, &write(C, 4, 9));
    assert_eq!(wait(&mut table, &write(B, 0, 4)), b);
    assert_eq!(unlock(&mut table, &A, 0, 9), [b]);
    assert_eq!(unlock(&mut table, &B, 0, 4), [c]);
    assert_eq!(held(&table), [(3, 4, 9, true)]);
}

#[test]
fn readers_do_not_starve_a_writer() {
    let mut table = table();
    set(&mut table, &read(A, 0, 9));
    let writer = wait(&mut table, &write(B, 0, 9));
    let reader = wait(&mut table, &read(C, 0, 9));
    // Without waiting, only what is held counts: nobody is told of a conflict with a wish.
    set(&mut table, &read(Process(3, 2), 0, 9));
    assert_eq!(unlock(&mut table, &Process(3, 2), 0, 9), []);
    assert_eq!(unlock(&mut table, &A, 0, 9), [writer]);
    assert_eq!(unlock(&mut table, &B, 0, 9), [reader]);
}

#[test]
fn a_holder_does_not_queue_behind_a_request_that_waits_for_it() {
    let mut table = table();
    set(&mut table, &read(A, 0, 0));
    let writer = wait(&mut table, &write(B, 0, 9));
    assert_eq!(table.lock(&read(A, 5, 9), true).unwrap().0, Outcome::Granted);
    unlock(&mut table, &A, 5, 9);
    assert_eq!(unlock(&mut table, &A, 0, 0), [writer]);
}

#[test]
fn a_cancelled_request_is_not_granted_and_lets_others_pass() {
    let mut table = table();
    set(&mut table, &read(A, 0, 9));
    let writer = wait(&mut table, &write(B, 0, 9));
    let reader = wait(&mut table, &read(C, 0, 9));
    let (cancelled, changes) = table.cancel(&write(B, 0, 9)).unwrap();
    assert_eq!(cancelled, writer);
    assert_eq!(granted(&changes), [reader]);
    assert!(table.cancel(&write(B, 0, 9)).is_none());
    assert!(table.cancel(&read(B, 0, 9)).is_none());
}

#[test]
fn a_downgrade_lets_readers_in() {
    let mut table = table();
    set(&mut table, &write(A, 0, 9));
    let reader = wait(&mut table, &read(B, 3, 4));
    let (_, changes) = table.lock(&read(A, 0, 9), false).unwrap();
    assert_eq!(granted(&changes), [reader]);
}

#[test]
fn a_lock_held_already_is_granted_without_a_change() {
    let mut table = table();
    set(&mut table, &write(A, 0, 9));
    assert_eq!(table.lock(&write(A, 2, 5), true).unwrap(), (Outcome::Granted, Vec::new()));
}

#[test]
fn a_client_goes_with_everything_it_has() {
    let mut table = table();
    let other = Process(1, 2);
    set(&mut table, &write(A, 0, 9));
    set(&mut table, &write(other.clone(), 20, 29));
    let late = wait(&mut table, &write(B, 25, 25));
    wait(&mut table, &write(other, 0, 0));
    let share = Share { deny: Access { read: true, write: true }, ..Share::default() };
    table.share(7, &A, share).unwrap().unwrap();
    assert_eq!(granted(&table.release_client(&1)), [late]);
    assert_eq!(held(&table), [(2, 25, 25, true)]);
    assert_eq!(table.usage(), Usage { held: 1, waiting: 0, shares: 0 });
    assert_eq!(table.client_usage(&1), Usage::default());
    assert_eq!(granted(&table.release_owner(&B)), []);
    assert_eq!((table.usage(), table.files()), (Usage::default(), 0));
}

#[test]
fn limits_refuse_and_change_nothing() {
    let limits = LockLimits { per_client: 2, total: 3, files: 2, waiters_per_file: 1 };
    let mut table = Table::new(limits);
    set(&mut table, &write(A, 0, 9));
    assert_eq!(
        table.lock(&read(A, 4, 5), false),
        Err(LimitReached::Client),
        "a split that leaves three"
    );
    unlock(&mut table, &A, 4, 5);
    let middle = Range::between(7, 7).unwrap();
    assert_eq!(table.unlock(7, &A, middle), Err(LimitReached::Client));
    wait(&mut table, &write(B, 0, 0));
    assert_eq!(table.lock(&write(B, 20, 20), false), Err(LimitReached::Total));
    let denied = table.lock(&write(C, 0, 0), true).unwrap().0;
    assert!(matches!(denied, Outcome::Denied(conflict) if conflict.owner == A));
    unlock(&mut table, &A, 0, 0);
    unlock(&mut table, &A, 1, u64::MAX);
    set(&mut table, &Request { file: 8, ..write(A, 0, 0) });
    let third = Request { file: 9, ..write(A, 0, 0) };
    assert_eq!(table.lock(&third, false), Err(LimitReached::Files));
    assert_eq!(table.files(), 2);
}

#[test]
fn share_reservations_conflict_both_ways() {
    let mut table = table();
    let (read, write) = (Access { read: true, write: false }, Access { read: false, write: true });
    let reader = Share { access: read, deny: write };
    assert!(table.share(7, &A, reader).unwrap().is_ok());
    assert_eq!(table.share(7, &B, Share { access: write, ..Share::default() }).unwrap(), Err(A));
    assert_eq!(table.share(7, &B, Share { deny: read, ..Share::default() }).unwrap(), Err(A));
    assert!(table.share(7, &B, reader).unwrap().is_ok());
    // One's own reservation is replaced.
    assert_eq!(table.share(7, &A, Share { access: write, ..Share::default() }).unwrap(), Err(B));
    assert_eq!(table.unshare(7, &B).len(), 1);
    assert!(table.unshare(7, &B).is_empty());
    assert!(table.share(7, &A, Share { access: write, ..Share::default() }).unwrap().is_ok());
    assert_eq!(table.usage().shares, 1);
}

#[test]
fn ten_thousand_locks_on_one_file() {
    let mut table = table();
    for number in 0..10_000 {
        set(&mut table, &write(Process(1, number), u64::from(number) * 2, u64::from(number) * 2));
    }
    set(&mut table, &write(B, 100_000, u64::MAX));
    assert_eq!(table.usage().held, 10_001);
    assert_eq!(table.test(&write(B, 6, 6)).unwrap().owner, Process(1, 3));
    for number in (0..10_000).rev() {
        unlock(&mut table, &Process(1, number), 0, u64::MAX);
    }
    assert_eq!(held(&table), [(2, 100_000, u64::MAX, true)]);
}
