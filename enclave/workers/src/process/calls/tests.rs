use std::sync::LazyLock;

use jeju_worker_protocol::{Bundle, Form, Language, Limits, ScheduledEvent};

use super::*;
use crate::isolate::code::Code;

static CODE: LazyLock<Arc<Code>> = LazyLock::new(|| {
    let bundle = Bundle::single(Language::JavaScript, "export default {};").expect("a bundle");
    Arc::new(Code::new(&bundle).unwrap_or_else(|failure| panic!("{}", failure.message)))
});

fn worker(reference: WorkerRef, max_concurrent: u16) -> Arc<Worker> {
    Arc::new(Worker {
        reference,
        code: Arc::clone(&CODE),
        env: Vec::new(),
        limits: Limits::default(),
        form: Form::Detect,
        max_concurrent,
    })
}

fn isolate(worker: &Arc<Worker>) -> Box<Isolate> {
    Box::new(Isolate::new(worker).unwrap_or_else(|failure| panic!("{}", failure.message)))
}

fn event() -> Event {
    Event::Scheduled(ScheduledEvent {
        cron: String::new(),
        scheduled_time_ms: 0,
    })
}

impl State {
    fn with(workers: &[(WorkerRef, u16)]) -> Self {
        let mut state = Self::default();
        for (reference, most) in workers {
            assert!(state.load(worker(*reference, *most), None).is_none());
        }
        state
    }

    fn calls(&mut self, worker: WorkerRef, ids: impl IntoIterator<Item = CallId>) {
        for id in ids {
            assert!(self.call(id, worker, event()));
        }
    }

    /// Takes what is in line, in its order, each with its isolate.
    fn line(&mut self) -> Vec<CallId> {
        let jobs = std::mem::take(&mut self.jobs);
        let turn = |job| match job {
            Job::Turn(id) => id,
            Job::Load(_) => panic!("nothing is loaded"),
        };
        let ids: Vec<_> = jobs.into_iter().map(turn).collect();
        for id in &ids {
            let worker = Arc::clone(&self.calls[id].worker);
            assert!(self.rested(&worker).is_none());
        }
        ids
    }

    /// An event that ran is over, and its isolate goes.
    fn ends(&mut self, id: CallId) {
        let worker = Arc::clone(&self.calls[&id].worker);
        assert!(self.over(id, &worker, None).is_none());
    }

    /// What is counted is what a look at all workers says.
    fn check(&self) {
        let all = self.workers.values();
        assert_eq!(
            self.running,
            all.clone().map(|loaded| loaded.running).sum::<usize>()
        );
        assert_eq!(
            self.resting,
            all.clone().map(|loaded| loaded.rest.len()).sum::<usize>()
        );
        assert!(self.running + self.resting <= MAX_ISOLATES && self.resting <= MAX_REST);
        for loaded in all {
            assert!(loaded.running <= usize::from(loaded.worker.max_concurrent));
            let listed = self
                .short
                .iter()
                .filter(|short| **short == loaded.worker.reference);
            assert_eq!(listed.count(), usize::from(loaded.short));
        }
    }
}

#[test]
fn a_worker_has_as_many_events_at_a_time_as_it_may_in_the_order_in_which_they_came() {
    let mut state = State::with(&[(1, 2), (2, 1)]);
    state.calls(1, [10, 11, 12, 13]);
    state.calls(2, [20, 21]);
    assert_eq!(state.line(), [10, 11, 20]);
    state.ends(11);
    assert_eq!(state.line(), [12]);
    state.ends(20);
    assert_eq!(state.line(), [21]);
    state.ends(10);
    state.ends(12);
    state.ends(21);
    assert_eq!(state.line(), [13]);
    state.ends(13);
    assert!(state.line().is_empty() && state.calls.is_empty());
    state.check();
}

#[test]
fn workers_take_turns_where_there_are_too_many_isolates() {
    let most = MAX_ISOLATES as u16;
    let mut state = State::with(&[(1, 2 * most), (2, most), (3, most)]);
    state.calls(1, 0..MAX_ISOLATES as u64 + 3);
    state.calls(2, 1000..1002);
    state.calls(3, 2000..2001);
    assert_eq!(state.line().len(), MAX_ISOLATES);
    // One goes, one comes: each worker that waits has one before any has its second.
    let first = MAX_ISOLATES as u64;
    for next in [first, 1000, 2000, first + 1, 1001, first + 2] {
        let ended = *state
            .calls
            .keys()
            .find(|id| matches!(state.calls[id].place, Place::Ready(_)))
            .expect("one");
        state.ends(ended);
        assert_eq!(state.line(), [next]);
        state.check();
    }
    assert!(state.short.is_empty());
}

#[test]
fn ten_thousand_workers_have_their_turns() {
    const WORKERS: WorkerRef = 10_000;
    let all: Vec<_> = (0..WORKERS).map(|reference| (reference, 1)).collect();
    let mut state = State::with(&all);
    let id = |reference: WorkerRef, round: u64| u64::from(reference) + round * u64::from(WORKERS);
    for reference in 0..WORKERS {
        state.calls(reference, [id(reference, 0), id(reference, 1)]);
    }
    let mut done = Vec::new();
    let mut under_way = VecDeque::from(state.line());
    while let Some(next) = under_way.pop_front() {
        assert!(under_way.len() < MAX_ISOLATES);
        state.ends(next);
        done.push(next);
        under_way.extend(state.line());
    }
    // The first events of all come before the second of any.
    assert_eq!(done, (0..2 * u64::from(WORKERS)).collect::<Vec<_>>());
    state.check();
}

#[test]
fn isolates_at_rest_are_counted_wherever_they_go() {
    let mut state = State::with(&[(2, 1)]);
    let first = worker(1, 1);
    assert!(state.load(Arc::clone(&first), Some(isolate(&first))).is_none());
    assert_eq!(state.resting(), 1);
    state.calls(1, [10]);
    state.jobs.clear();
    let used = state.rested(&first);
    assert!(used.is_some() && state.resting() == 0);
    state.check();
    let before = Instant::now();
    assert!(state.over(10, &first, used).is_none());
    assert_eq!(state.resting(), 1);
    assert!(
        before
            .checked_sub(Duration::from_secs(1))
            .is_none_or(|past| state.take_resting(past).is_empty())
    );
    assert_eq!(state.take_resting(Instant::now()).len(), 1);
    state.check();
    // That of a worker that was unloaded meanwhile doesn't rest.
    state.calls(1, [11, 12]);
    assert_eq!(state.line(), [11]);
    let gone = state.unload(1).expect("it was loaded");
    assert_eq!(gone.queue, [12]);
    assert!(state.over(11, &first, Some(isolate(&first))).is_some());
    assert!(state.calls.is_empty() && state.resting() == 0);
    state.check();
    assert!(!state.call(13, 1, event()) && state.unload(1).is_none());
}

#[test]
fn more_isolates_than_may_rest_do_not() {
    let mut state = State::with(&[(1, 1)]);
    state.resting = MAX_REST;
    let other = worker(2, 1);
    assert!(state.load(Arc::clone(&other), Some(isolate(&other))).is_some());
    state.calls(2, [20]);
    assert!(state.rested(&other).is_none());
    assert!(state.over(20, &other, Some(isolate(&other))).is_some());
    assert_eq!(state.resting(), MAX_REST);
}

#[test]
fn a_worker_that_waits_for_room_is_forgotten_with_its_events() {
    let most = MAX_ISOLATES as u16;
    let mut state = State::with(&[(1, most), (2, 1), (3, 1)]);
    state.calls(1, 0..MAX_ISOLATES as u64);
    state.calls(2, [1000]);
    state.calls(3, [2000]);
    assert_eq!(state.line().len(), MAX_ISOLATES);
    state.unload(2);
    state.check();
    state.ends(0);
    assert_eq!(state.line(), [2000]);
    assert!(!state.calls.contains_key(&1000));
}

#[test]
fn an_event_that_leaves_the_queue_has_no_turn() {
    let mut state = State::with(&[(1, 1)]);
    state.calls(1, [10, 11, 12]);
    assert_eq!(state.line(), [10]);
    state.leave(11);
    state.ends(10);
    assert_eq!(state.line(), [12]);
    state.check();
}

/// A state with so many turns in line, a thread that sleeps, and threads that have worked for so long.
fn at_work(now: Instant, line: u64, busy: &[Duration]) -> State {
    let mut state = State {
        idle: 1,
        threads: busy.len() + 1,
        ..State::default()
    };
    state.jobs.extend((0..line).map(Job::Turn));
    for (number, worked) in busy.iter().enumerate() {
        let busy = Busy {
            call: Some(number as u64),
            since: now.checked_sub(*worked).expect("the machine is up for longer"),
            clock: None,
            cpu_since: Duration::ZERO,
            cpu_end: Duration::MAX,
        };
        state.busy.insert(number, busy);
    }
    state
}

#[test]
fn a_thread_is_woken_where_no_other_will_take_what_is_in_line() {
    let now = Instant::now();
    let short = LATE / 2;
    assert!(at_work(now, 1, &[]).wants_thread(now));
    // Who has just begun comes back for it; who is late doesn't.
    assert!(!at_work(now, 1, &[short]).wants_thread(now));
    assert!(at_work(now, 1, &[LATE]).wants_thread(now));
    assert!(!at_work(now, 1, &[LATE, short]).wants_thread(now));
    assert!(at_work(now, 1, &[LATE, LATE]).wants_thread(now));
}

#[test]
fn a_thread_is_woken_for_a_load_and_for_much_work() {
    let now = Instant::now();
    let mut state = at_work(now, 3, &[Duration::ZERO]);
    state.mean = WORTH / 4;
    assert!(!state.wants_thread(now));
    state.jobs.push_back(Job::Turn(3));
    assert!(state.wants_thread(now));
    let mut state = at_work(now, 1, &[Duration::ZERO]);
    state
        .jobs
        .push_back(Job::Load(Box::new(jeju_worker_protocol::Load {
            worker: 1,
            bundle: Bundle::single(Language::JavaScript, "").expect("a bundle"),
            env: Vec::new(),
            limits: Limits::default(),
            form: Form::Detect,
            max_concurrent: 1,
        })));
    assert!(state.wants_thread(now));
}

#[test]
fn no_thread_is_woken_for_nothing_or_where_none_sleeps() {
    let now = Instant::now();
    assert!(!at_work(now, 0, &[]).wants_thread(now));
    let mut state = at_work(now, 100, &[LATE]);
    state.mean = WORTH;
    assert!(state.wants_thread(now));
    state.idle = 0;
    assert!(!state.wants_thread(now));
}

#[test]
fn how_long_turns_take_is_known_after_some_of_them() {
    let mut state = State::default();
    for _ in 0..100 {
        state.took(Duration::from_micros(80));
    }
    assert!(state.mean > Duration::from_micros(79) && state.mean <= Duration::from_micros(80));
    for _ in 0..100 {
        state.took(Duration::ZERO);
    }
    assert!(state.mean < Duration::from_micros(1));
}

#[test]
fn a_thread_that_waits_for_a_processor_holds_nobody_up() {
    let now = Instant::now();
    let clock = CpuClock::of_this_thread();
    let shown = || clock.and_then(CpuClock::read).expect("a clock");
    while shown() < HELD_UP {}
    let busy = |cpu_since, since| Busy {
        call: None,
        since,
        clock,
        cpu_since,
        cpu_end: Duration::MAX,
    };
    // Its turn began at a time that its clock doesn't show yet.
    let later = shown() + Duration::from_secs(3600);
    assert!(!busy(later, now).holds_up(now));
    assert!(busy(Duration::ZERO, now).holds_up(now));
    let long_ago = now.checked_sub(STALLED).expect("the machine is up for longer");
    assert!(busy(later, long_ago).holds_up(now));
}
