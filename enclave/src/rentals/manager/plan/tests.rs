mod table;

use super::*;

const STATES: [ContainerState; 4] = [
    ContainerState::Created,
    ContainerState::Running,
    ContainerState::Exited { code: 137 },
    ContainerState::Dead,
];
const RUNNING: Seen = Seen::Here(ContainerState::Running);
const EXITED: Seen = Seen::Here(ContainerState::Exited { code: 137 });
const CREATED: Seen = Seen::Here(ContainerState::Created);
const DEAD: Seen = Seen::Here(ContainerState::Dead);

/// Paid for, final, and nothing done yet.
fn pending() -> Facts {
    Facts {
        status: RentalStatus::Pending,
        created_final: true,
        end_final: false,
        time_over: false,
        seen_over: true,
        fresh: true,
        refused: false,
        elsewhere: false,
        script: true,
        place: true,
        backing_off: false,
        disk_exceeded: false,
        grace_over: false,
        container: Seen::Absent,
        job: None,
    }
}

fn active() -> Facts {
    Facts {
        status: RentalStatus::Active,
        container: RUNNING,
        ..pending()
    }
}

fn ended() -> Facts {
    Facts {
        status: RentalStatus::Completed,
        ..active()
    }
}

/// All that can be known, in every combination.
fn every() -> impl Iterator<Item = Facts> {
    let statuses = [
        RentalStatus::Pending,
        RentalStatus::Active,
        RentalStatus::Completed,
        RentalStatus::Cancelled,
        RentalStatus::Expired,
        RentalStatus::Disputed,
    ];
    let seen = [Seen::Unknown, Seen::Absent]
        .into_iter()
        .chain(STATES.map(Seen::Here));
    let jobs = [
        None,
        Some(Job::Create),
        Some(Job::Start),
        Some(Job::Stop),
        Some(Job::Remove),
    ];
    let heads = statuses
        .into_iter()
        .flat_map(move |status| seen.clone().map(move |container| (status, container)))
        .flat_map(move |(status, container)| jobs.map(|job| (status, container, job)));
    heads.flat_map(|(status, container, job)| {
        (0..1u32 << 12).map(move |bits| {
            let bit = |place: u32| bits >> place & 1 == 1;
            Facts {
                status,
                container,
                job,
                created_final: bit(0),
                end_final: bit(1),
                time_over: bit(2),
                fresh: bit(3),
                refused: bit(4),
                script: bit(5),
                place: bit(6),
                backing_off: bit(7),
                disk_exceeded: bit(8),
                grace_over: bit(9),
                seen_over: bit(10),
                elsewhere: bit(11),
            }
        })
    })
}

#[test]
fn whatever_is_known_nobody_uses_what_is_over_or_was_not_started() {
    for facts in every() {
        let usable = facts.status == RentalStatus::Active
            && !facts.time_over
            && facts.created_final
            && !facts.elsewhere;
        assert_eq!(facts.access(), usable, "{facts:?}");
        if !usable && facts.status != RentalStatus::Pending {
            let state = facts.state(false);
            assert!(
                matches!(state, State::Ended | State::WaitingFinality)
                    || facts.elsewhere && state == State::Elsewhere,
                "{facts:?} {state:?}"
            );
        }
    }
}

#[test]
fn whatever_is_known_a_container_is_made_once_and_for_a_tenant_who_may_have_it() {
    for facts in every() {
        let Action::Begin(job) = facts.action() else {
            continue;
        };
        assert_eq!(facts.job, None, "one thing at a time: {facts:?}");
        let alive = matches!(facts.status, RentalStatus::Pending | RentalStatus::Active) && !facts.time_over;
        match job {
            Job::Create => {
                assert!(
                    matches!(facts.container, Seen::Absent) || facts.container == CREATED,
                    "{facts:?}"
                );
                assert!(
                    alive && facts.created_final && facts.fresh && !facts.refused && !facts.elsewhere,
                    "{facts:?}"
                );
                assert!(
                    facts.script && !facts.backing_off && !facts.disk_exceeded,
                    "{facts:?}"
                );
                assert!(facts.place || facts.status == RentalStatus::Active, "{facts:?}");
            }
            Job::Start => assert!(alive && facts.container == EXITED, "{facts:?}"),
            Job::Stop => {
                assert!(facts.container == RUNNING, "{facts:?}");
                assert!(!alive || facts.disk_exceeded, "{facts:?}");
            }
            Job::Remove => {
                assert!(matches!(facts.container, Seen::Here(_)), "{facts:?}");
                let lost = facts.container == DEAD;
                let refused = facts.refused;
                let over = !alive && (facts.end_final || facts.fresh && facts.grace_over);
                let elsewhere = facts.elsewhere && facts.fresh;
                assert!(lost || refused || over || elsewhere, "{facts:?}");
            }
        }
    }
}

#[test]
fn whatever_is_known_what_a_tenant_uses_is_not_taken_away() {
    for facts in every().filter(|facts| facts.access() && !facts.disk_exceeded) {
        let taken = matches!(facts.action(), Action::Begin(Job::Stop | Job::Remove));
        let useless = matches!(facts.container, DEAD | CREATED);
        assert!(!taken || useless, "{facts:?}");
    }
}

#[test]
fn whatever_is_known_the_wallet_starts_only_what_runs_and_completes_only_what_is_over() {
    for facts in every() {
        match facts.next() {
            None => {}
            Some(Next::Start) => {
                assert_eq!((facts.status, facts.container), (RentalStatus::Pending, RUNNING));
                assert!(
                    facts.fresh && facts.created_final && !facts.time_over,
                    "{facts:?}"
                );
                assert_eq!(facts.action(), Action::Wait, "{facts:?}");
            }
            Some(Next::Complete) => {
                assert!(!facts.elsewhere || facts.grace_over, "{facts:?}");
                assert!(facts.status == RentalStatus::Active && facts.time_over && facts.fresh);
                assert!(facts.seen_over, "{facts:?}");
            }
        }
    }
}
