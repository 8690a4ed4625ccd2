//! What becomes of rentals where nothing goes wrong.

use std::ops::Range;

use super::*;
use crate::rentals::lease::{Certified, End};

fn running(stage: &Stage, id: RentalId) -> bool {
    stage.engine.state(id) == Some(ContainerState::Running)
}

#[tokio::test(start_paused = true)]
async fn a_rental_is_made_started_used_extended_and_ended() {
    let stage = Stage::new();
    let id = stage.chain.create(wish(7));
    stage.until_state(id, "waiting_finality").await;
    assert_eq!(
        stage.engine.state(id),
        None,
        "nothing is done for what may leave the chain"
    );
    stage.until_state(id, "ready").await;
    let shown = stage.show(id).await;
    assert_eq!(shown["next"]["operation"], "start");
    assert_eq!(shown["next"]["sshHost"], "ssh.example");
    assert_eq!(shown["next"]["sshPort"], 2222);
    assert_eq!(shown["next"]["containerId"], shown["container"]["containerId"]);
    assert!(!stage.may_log_in(id), "not before it is started on chain");

    stage.chain.start(id, "ssh.example", 2222).unwrap();
    stage.until("login", async |stage| stage.may_log_in(id)).await;
    stage.until_state(id, "running").await;
    assert!(stage.show(id).await["next"].is_null());
    let end = stage.chain.record(id).end_time;
    stage.chain.extend(id, 1).unwrap();
    stage
        .until("the first end", async |stage| stage.chain.now() > end + 10)
        .await;
    assert!(stage.may_log_in(id) && running(&stage, id), "it was extended");

    stage.until("the end", async |stage| !stage.may_log_in(id)).await;
    let late = stage.chain.now() - (end + HOUR);
    assert!(late <= 4, "{late} s late");
    stage.until("stopped", async |stage| !running(stage, id)).await;
    let shown = stage.show(id).await;
    assert_eq!(
        (&shown["state"], &shown["next"]["operation"]),
        (&"ended".into(), &"complete".into())
    );
    stage
        .until("removed", async |stage| stage.engine.state(id).is_none())
        .await;
    let counted = stage.chain.now() - (end + HOUR);
    assert!(
        (10..40).contains(&counted),
        "once the end is final, not after the grace: {counted} s"
    );
    stage.chain.end(id, RentalStatus::Completed).unwrap();
    stage
        .until("completed", async |stage| stage.show(id).await["next"].is_null())
        .await;
    assert_eq!(stage.show(id).await["status"], 3);
    assert_eq!(stage.engine.world.lock().unwrap().first_starts[&id], 1);
}

#[tokio::test(start_paused = true)]
async fn certificates_are_valid_by_the_clock_that_ends_rentals() {
    let stage = Stage::new();
    tokio::spawn(stage.clone().wallet());
    let id = stage.chain.create(wish(7));
    stage.until("login", async |stage| stage.may_log_in(id)).await;
    let (leases, now) = (stage.board().unwrap().leases.clone(), stage.chain.now());
    let key = super::super::order::key(&stage.chain.record(id)).unwrap();
    let find = |valid: Range<u64>| {
        let (rentals, valid) = (&[id][..], &valid);
        leases.find_certified(&key, "", Certified { rentals, valid })
    };
    assert!(find(0..now - 60).is_none() && find(now + 60..now + 120).is_none());
    let mut session = find(now - 60..now + 20).unwrap();
    assert_eq!(session.ended().await, End::Certificate);
    // Blocks come every now and then, and are read a little later.
    let ended = stage.chain.now() - now;
    assert!((16..=26).contains(&ended), "{ended} s");
}

#[tokio::test(start_paused = true)]
async fn every_end_takes_login_and_container_away() {
    for status in [RentalStatus::Completed, RentalStatus::Disputed] {
        let stage = Stage::new();
        tokio::spawn(stage.clone().wallet());
        let id = stage.chain.create(wish(7));
        stage.until("login", async |stage| stage.may_log_in(id)).await;
        stage.chain.end(id, status).unwrap();
        stage.until("no login", async |stage| !stage.may_log_in(id)).await;
        let ended = stage.chain.record(id).ended_at;
        assert!(stage.chain.now() - ended <= 6);
        stage
            .until("gone", async |stage| stage.engine.state(id).is_none())
            .await;
    }
    let stage = Stage::new();
    let id = stage.chain.create(wish(7));
    stage.until_state(id, "ready").await;
    stage.chain.cancel(id).unwrap();
    stage
        .until("gone", async |stage| stage.engine.state(id).is_none())
        .await;
    // Nobody starts this one.
    let late = stage.chain.create(wish(7));
    stage.until_state(late, "ready").await;
    stage
        .until("gone", async |stage| stage.engine.state(late).is_none())
        .await;
    assert!(stage.chain.now() > stage.chain.record(late).start_deadline);
    assert_eq!(stage.show(late).await["state"], "ended");
}

#[tokio::test(start_paused = true)]
async fn a_script_by_digest_is_awaited_and_compared() {
    let stage = Stage::new();
    tokio::spawn(stage.clone().wallet());
    let digest = script_digest();
    let wish = Wish {
        script: &digest,
        ..wish(7)
    };
    let id = stage.chain.create(wish);
    let plain = stage.chain.create(super::wish(8));
    stage.until_state(id, "waiting_script").await;
    assert_eq!(stage.engine.state(id), None);
    assert_eq!(stage.show(id).await["scriptExpected"], true);
    assert_eq!(stage.upload(id, b"another").await, Err(Refusal::ScriptMismatch));
    assert_eq!(stage.upload(plain, SCRIPT).await, Err(Refusal::ScriptNotExpected));
    let action = Action::Script {
        rental: HexBytes(id),
        script: STANDARD.encode(SCRIPT),
    };
    for (account, refusal) in [(None, Refusal::Unauthorised), (Some([8; 20]), Refusal::NotRenter)] {
        let answer = stage.ask(account, action.clone()).await;
        assert!(matches!(answer, Some(Answer::Refused { refusal: given, .. }) if given == refusal));
    }
    assert_eq!(stage.upload(id, SCRIPT).await, Ok(()));
    stage.until("login", async |stage| stage.may_log_in(id)).await;
    let made = stage.engine.world.lock().unwrap().containers[&id].clone();
    assert_eq!(made.spec.script.as_deref(), Some(SCRIPT));
    assert_eq!(stage.upload(id, SCRIPT).await, Err(Refusal::ScriptNotExpected));
}

#[tokio::test(start_paused = true)]
async fn no_more_run_than_may_and_whoever_paid_first_is_first() {
    let mut rules = rules();
    rules.max = 2;
    let stage = Stage::with(rules);
    tokio::spawn(stage.clone().wallet());
    let rentals: Vec<RentalId> = (1..=4).map(|user| stage.chain.create(wish(user))).collect();
    stage.until_state(rentals[1], "running").await;
    stage.until_state(rentals[2], "waiting_capacity").await;
    let shown = stage.show(rentals[2]).await;
    assert_eq!(shown["refusal"]["code"], "at_capacity");
    assert_eq!(shown["refusal"]["final"], false);
    assert_eq!(stage.engine.world.lock().unwrap().containers.len(), 2);
    stage.chain.end(rentals[0], RentalStatus::Completed).unwrap();
    stage.until_state(rentals[2], "running").await;
    assert_eq!(stage.show(rentals[3]).await["state"], "waiting_capacity");
    // The offer's own limit holds too.
    let stage = Stage::new();
    tokio::spawn(stage.clone().wallet());
    stage.chain.set_offer(|offer| offer.max_concurrent = 1);
    let rentals: Vec<RentalId> = (1..=2).map(|user| stage.chain.create(wish(user))).collect();
    stage.until_state(rentals[0], "running").await;
    assert_eq!(stage.show(rentals[1]).await["state"], "waiting_capacity");
}

#[tokio::test(start_paused = true)]
async fn what_leaves_the_chain_again_was_nothing_and_what_comes_back_goes_on() {
    let stage = Stage::new();
    tokio::spawn(stage.clone().wallet());
    let kept = stage.chain.create(wish(1));
    stage.until_state(kept, "running").await;
    let id = stage.chain.create(wish(2));
    stage.until_state(id, "waiting_finality").await;
    stage.chain.take_back();
    stage
        .until("forgotten", async |stage| stage.show(id).await.is_null())
        .await;
    // The end of a rental that is taken back: its container was stopped, and kept.
    stage.chain.end(kept, RentalStatus::Completed).unwrap();
    stage
        .until("stopped", async |stage| {
            !running(stage, kept) && !stage.may_log_in(kept)
        })
        .await;
    assert!(stage.engine.state(kept).is_some());
    stage.chain.take_back();
    stage.until_state(kept, "running").await;
    assert!(stage.may_log_in(kept));
    assert_eq!(stage.engine.world.lock().unwrap().first_starts[&kept], 1);
}

#[tokio::test(start_paused = true)]
async fn what_another_node_of_the_provider_started_is_left_to_it() {
    let stage = Stage::new();
    let id = stage.chain.create(wish(7));
    stage.until_state(id, "ready").await;
    // Its wallet was faster.
    stage.chain.start(id, "other.example", 2222).unwrap();
    stage.until_state(id, "elsewhere").await;
    stage
        .until("removed", async |stage| stage.engine.state(id).is_none())
        .await;
    let shown = stage.show(id).await;
    assert_eq!(shown["refusal"]["code"], "started_elsewhere");
    assert!(!stage.may_log_in(id) && shown["next"].is_null());
    let (user, rental) = (stage.chain.record(id).user, HexBytes(id));
    let command = vec!["true".to_owned()];
    let answer = stage.ask(Some(user), Action::Exec { rental, command }).await;
    assert!(
        matches!(
            answer,
            Some(Answer::Refused {
                refusal: Refusal::NotRunning,
                ..
            })
        ),
        "{answer:?}"
    );
    // Should that node be gone at the end, this one has the provider paid.
    let end = stage.chain.record(id).end_time;
    stage
        .until("the end", async |stage| stage.chain.now() > end + 60)
        .await;
    assert!(stage.show(id).await["next"].is_null());
    stage
        .until("asked for", async |stage| {
            stage.show(id).await["next"]["operation"] == "complete"
        })
        .await;
    assert_eq!(stage.engine.world.lock().unwrap().first_starts[&id], 1);
}

#[tokio::test(start_paused = true)]
async fn a_container_made_under_another_address_of_this_node_stays_its_own() {
    let stage = Stage::new();
    let id = stage.chain.create(wish(7));
    stage.until_state(id, "ready").await;
    let old = Some("old.example:2222".to_owned());
    stage.engine.change(id, |made| made.container.address = old);
    stage.chain.start(id, "old.example", 2222).unwrap();
    stage.until("login", async |stage| stage.may_log_in(id)).await;
    stage.until_state(id, "running").await;
}
