//! One line for each moment of a rental's life.

use super::*;

#[test]
fn a_rental_goes_its_way() {
    use Action::{Begin, GiveUp, Wait};
    use State::*;
    type Row = (&'static str, Facts, Action, State, Option<Next>, bool);
    let table: Vec<Row> = vec![
        (
            "not final",
            Facts {
                created_final: false,
                ..pending()
            },
            Wait,
            WaitingFinality,
            None,
            false,
        ),
        ("final", pending(), Begin(Job::Create), Starting, None, false),
        (
            "chain not read lately",
            Facts {
                fresh: false,
                ..pending()
            },
            Wait,
            Starting,
            None,
            false,
        ),
        (
            "no script",
            Facts {
                script: false,
                ..pending()
            },
            Wait,
            WaitingScript,
            None,
            false,
        ),
        (
            "no place",
            Facts {
                place: false,
                ..pending()
            },
            Wait,
            WaitingCapacity,
            None,
            false,
        ),
        (
            "refused",
            Facts {
                refused: true,
                ..pending()
            },
            Wait,
            Refused,
            None,
            false,
        ),
        (
            "started by another node",
            Facts {
                elsewhere: true,
                ..active()
            },
            Begin(Job::Remove),
            Elsewhere,
            None,
            false,
        ),
        (
            "started by another node, chain not read lately",
            Facts {
                elsewhere: true,
                fresh: false,
                ..active()
            },
            Wait,
            Elsewhere,
            None,
            false,
        ),
        (
            "being made, and started by another node",
            Facts {
                elsewhere: true,
                container: Seen::Absent,
                job: Some(Job::Create),
                ..active()
            },
            GiveUp,
            Elsewhere,
            None,
            false,
        ),
        (
            "tried a moment ago",
            Facts {
                backing_off: true,
                ..pending()
            },
            Wait,
            Starting,
            None,
            false,
        ),
        (
            "engine gone",
            Facts {
                container: Seen::Unknown,
                ..pending()
            },
            Wait,
            EngineUnavailable,
            None,
            false,
        ),
        (
            "being made",
            Facts {
                job: Some(Job::Create),
                ..pending()
            },
            Wait,
            Starting,
            None,
            false,
        ),
        (
            "cancelled while it is being made",
            Facts {
                status: RentalStatus::Cancelled,
                job: Some(Job::Create),
                ..pending()
            },
            GiveUp,
            Ended,
            None,
            false,
        ),
        (
            "half made, by a process that died",
            Facts {
                container: CREATED,
                ..pending()
            },
            Begin(Job::Create),
            Starting,
            None,
            false,
        ),
        (
            "half made, and the script is gone with that process",
            Facts {
                container: CREATED,
                script: false,
                ..pending()
            },
            Wait,
            WaitingScript,
            None,
            false,
        ),
        (
            "made",
            Facts {
                container: RUNNING,
                ..pending()
            },
            Wait,
            Ready,
            Some(Next::Start),
            false,
        ),
        (
            "made, and the chain is not read",
            Facts {
                container: RUNNING,
                fresh: false,
                ..pending()
            },
            Wait,
            Ready,
            None,
            false,
        ),
        (
            "made, and died before it was started on chain",
            Facts {
                container: EXITED,
                ..pending()
            },
            Begin(Job::Start),
            Starting,
            None,
            false,
        ),
        (
            "not started in time",
            Facts {
                container: RUNNING,
                time_over: true,
                ..pending()
            },
            Begin(Job::Stop),
            Ended,
            None,
            false,
        ),
        (
            "refused after it was made",
            Facts {
                container: RUNNING,
                refused: true,
                ..pending()
            },
            Begin(Job::Remove),
            Refused,
            None,
            false,
        ),
        ("active", active(), Wait, Running, None, true),
        (
            "active, and the chain is not read",
            Facts {
                fresh: false,
                ..active()
            },
            Wait,
            Running,
            None,
            true,
        ),
        (
            "active under rules of before",
            Facts {
                refused: true,
                ..active()
            },
            Wait,
            Running,
            None,
            true,
        ),
        (
            "died",
            Facts {
                container: EXITED,
                ..active()
            },
            Begin(Job::Start),
            Starting,
            None,
            true,
        ),
        (
            "died again",
            Facts {
                container: EXITED,
                backing_off: true,
                ..active()
            },
            Wait,
            Starting,
            None,
            true,
        ),
        (
            "lost",
            Facts {
                container: Seen::Absent,
                place: false,
                ..active()
            },
            Begin(Job::Create),
            Starting,
            None,
            true,
        ),
        (
            "beyond repair",
            Facts {
                container: DEAD,
                ..active()
            },
            Begin(Job::Remove),
            Starting,
            None,
            true,
        ),
        (
            "too much on disk",
            Facts {
                disk_exceeded: true,
                ..active()
            },
            Begin(Job::Stop),
            DiskExceeded,
            None,
            true,
        ),
        (
            "stopped for its disk",
            Facts {
                disk_exceeded: true,
                container: EXITED,
                ..active()
            },
            Wait,
            DiskExceeded,
            None,
            true,
        ),
        (
            "time over",
            Facts {
                time_over: true,
                ..active()
            },
            Begin(Job::Stop),
            Ended,
            Some(Next::Complete),
            false,
        ),
        (
            "time over by this node's count alone",
            Facts {
                time_over: true,
                seen_over: false,
                fresh: false,
                grace_over: true,
                ..active()
            },
            Begin(Job::Stop),
            Ended,
            None,
            false,
        ),
        (
            "time over, and perhaps paid for more in the last moment",
            Facts {
                time_over: true,
                seen_over: false,
                ..active()
            },
            Wait,
            Ended,
            None,
            false,
        ),
        (
            "time over, stopped",
            Facts {
                time_over: true,
                container: EXITED,
                ..active()
            },
            Wait,
            Ended,
            Some(Next::Complete),
            false,
        ),
        (
            "time over for good",
            Facts {
                time_over: true,
                end_final: true,
                container: EXITED,
                ..active()
            },
            Begin(Job::Remove),
            Ended,
            Some(Next::Complete),
            false,
        ),
        ("ended", ended(), Begin(Job::Stop), Ended, None, false),
        (
            "ended, and started again where the end is taken back",
            Facts {
                container: EXITED,
                ..active()
            },
            Begin(Job::Start),
            Starting,
            None,
            true,
        ),
        (
            "ended some time ago",
            Facts {
                grace_over: true,
                ..ended()
            },
            Begin(Job::Remove),
            Ended,
            None,
            false,
        ),
        (
            "ended for good",
            Facts {
                end_final: true,
                ..ended()
            },
            Begin(Job::Remove),
            Ended,
            None,
            false,
        ),
        (
            "disputed",
            Facts {
                status: RentalStatus::Disputed,
                ..active()
            },
            Begin(Job::Stop),
            Ended,
            None,
            false,
        ),
        (
            "over and gone",
            Facts {
                end_final: true,
                container: Seen::Absent,
                ..ended()
            },
            Wait,
            Ended,
            None,
            false,
        ),
    ];
    for (name, facts, action, state, next, access) in table {
        let seen = (facts.action(), facts.state(false), facts.next(), facts.access());
        assert_eq!(seen, (action, state, next, access), "{name}");
    }
    let pulling = Facts {
        job: Some(Job::Create),
        ..pending()
    };
    assert_eq!(pulling.state(true), State::Pulling);
}
